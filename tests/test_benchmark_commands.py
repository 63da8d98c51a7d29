"""The benchmarks that are commands of their own: what they count, and what they refuse."""

import json
import sys

import pytest
from folders import numbered

from benchmarks import dataset, overhead, search_cost, waiting


@pytest.mark.parametrize(
    ("main", "words", "told"),
    [
        (dataset.main, ["--out", "never", "--counts", "1000", "199"], "must be at least 200"),
        (
            search_cost.main,
            ["--out", "never", "--only", "30 steps", "31 steps"],
            "invalid choice: '31 steps' (choose from",
        ),
        (overhead.main, ["configs/laplace.py"], "configs/laplace.py is no training"),
        (overhead.main, ["configs/smoke.py", "--steps", "403"], "multiples of the 5 steps"),
        (overhead.main, ["configs/smoke.py", "--every", "99"], "multiples of the 5 steps"),
        (overhead.main, ["configs/smoke.py", "--steps", "250"], "at least three times as many"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_done(main, words, told, capsys):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert told in capsys.readouterr().err


def test_waiting_takes_what_inpainting_takes_and_does_nothing_twice(tmp_path, capsys, monkeypatch):
    config = "from ce_jax.config import Inpainting\n"
    config += "get_config = lambda: Inpainting(method='laplace')  # of no frame\n"
    (tmp_path / "mine.py").write_text(config)
    (tmp_path / "broken").mkdir()
    images = numbered(tmp_path / "broken", 9)
    words = [str(tmp_path / "mine.py"), "--images", images, "--holes", "center"]
    words += ["--output", str(tmp_path / "out"), "--batch-size", "8", "--frame.size", "32"]
    monkeypatch.setattr(sys, "argv", ["waiting", *words])
    assert waiting.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["batches"] == 2
    assert 0 <= found["waited"] <= found["seconds"]
    assert found["share"] == found["waited"] / found["seconds"]
    with pytest.raises(ValueError, match="choose a new --output"):
        waiting.main(words)


def test_devices_wait_from_the_end_of_a_batch_until_the_next_is_queued():
    """The second is queued before the first is done; then two seconds of seven nothing is."""
    watch = waiting.Watch()
    watch.queued, watch.done = [10.0, 11.0, 15.0], {1: 13.0, 0: 12.0, 2: 17.0}
    assert watch.figures() == {"batches": 3, "seconds": 7, "waited": 2, "share": 2 / 7}
