"""kill -9 at any moment, then the same command: the bytes of a run that nobody interrupted."""

import numpy as np
import pytest
from folders import hole_file, numbered
from processes import script


def killed_at(tmp_path, *moments):
    """Deaths and files of the runs in `killed.py`."""
    source = numbered(tmp_path / "in", 20)
    hole = hole_file(tmp_path / "hole.png", (10, 10, 30, 25))
    return tuple(map(int, script("killed.py", source, hole, tmp_path, *moments).split()))


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed_it_equals_an_uninterrupted_run(tmp_path):
    # While the folder becomes ours, among files of the first batch, and behind some lines.
    assert killed_at(tmp_path, 2, 15, 30) == (3, 20 + 4 + 3)


@pytest.mark.slow
def test_killed_at_twenty_moments_and_resumed_it_equals_an_uninterrupted_run(tmp_path):
    moments = np.random.default_rng(0).uniform(0.05, 1, 20).round(4)
    deaths, files = killed_at(tmp_path, *moments)
    assert deaths >= 10
    assert files == 20 + 4 + 3
