"""kill -9 at any moment, then the same command: the bytes of a run that nobody interrupted."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from folders import hole_file, numbered

HERE = Path(__file__).parent


def killed_at(tmp_path, *moments):
    """Deaths and files of the runs in `killed.py`."""
    source = numbered(tmp_path / "in", 20)
    hole = hole_file(tmp_path / "hole.png", (10, 10, 30, 25))
    ended = subprocess.run(
        [sys.executable, HERE / "killed.py", source, hole, tmp_path, *map(str, moments)],
        cwd=HERE,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return tuple(map(int, ended.stdout.split()))


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
