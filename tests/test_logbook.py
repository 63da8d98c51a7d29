"""A logbook has every step once, looks at all of them, and tells how a run ended."""

import json
from types import SimpleNamespace

import jax.numpy as jnp
import pytest
import tiny
from processes import scalars

from ce_jax.runs import history
from ce_jax.runs.logbook import Diverged, Logbook


def logbook(workdir, *, start=0, every=1):
    return Logbook(workdir, tiny.dcgan(steps=9, log_every=every), start=start)


def test_a_logbook_writes_every_so_often_but_looks_at_every_step(tmp_path):
    with logbook(tmp_path, every=3) as book:
        for step in range(1, 8):
            book.write(step - 1, {"loss/a": jnp.array([step / 2])})
        with pytest.raises(Diverged, match=r"^step 9: loss/a is inf"):
            book.write(7, {"loss/a": jnp.array([4, jnp.inf])})
    assert scalars(tmp_path) == [{"step": 3, "loss/a": 1.5}, {"step": 6, "loss/a": 3.0}]


def test_the_pace_is_that_of_all_steps_since_the_last_line(tmp_path, monkeypatch):
    now = 50.0
    monkeypatch.setattr("ce_jax.runs.logbook.time", SimpleNamespace(monotonic=lambda: now))
    with logbook(tmp_path, start=3, every=2) as book:  # of 16 images each
        for start, seconds, steps in ((3, 1, 1), (4, 4, 1), (5, 3, 1), (6, 5, 3)):
            now += seconds
            book.write(start, {"loss/a": jnp.ones(steps)})
    lines = map(json.loads, (tmp_path / "scalars.jsonl").read_text().splitlines())
    paces = {4: 16 / 1, 6: 2 * 16 / 7, 8: 3 * 16 / 5}
    assert {line["step"]: line["images/s"] for line in lines} == pytest.approx(paces, rel=1e-3)


def test_a_logbook_that_is_continued_has_no_step_twice(tmp_path):
    with logbook(tmp_path) as book:
        for step in range(1, 6):
            book.write(step - 1, {"loss/a": jnp.array([1.0])})
    with logbook(tmp_path, start=3) as book:
        book.write(3, {"loss/a": jnp.array([2.0, 2.0, 2.0])})
    assert [line["step"] for line in scalars(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert [line["loss/a"] for line in scalars(tmp_path)] == [1, 1, 1, 2, 2, 2]


def test_a_damaged_line_is_dropped_and_the_end_of_a_run_is_told(tmp_path):
    damaged = b'{"step": 1}\n\0\0\0\n{"st\xff\xfep": 2}\n{"step": 2}\n{"step": 3'
    (tmp_path / "scalars.jsonl").write_bytes(damaged)
    with pytest.raises(Diverged), logbook(tmp_path, start=3) as book:
        book.write(3, {"loss/a": jnp.array([1.0])})
        book.write(4, {"loss/a": jnp.array([jnp.nan])})
    with logbook(tmp_path, start=4):
        pass
    assert [line["step"] for line in scalars(tmp_path)] == [1, 2, 4]
    events = [(line["event"], line["step"]) for line in history.read(tmp_path)]
    assert events == [("began", 3), ("diverged", 4), ("began", 4), ("stopped", 4)]
    assert history.read(tmp_path)[1]["note"] == "Diverged: step 5: loss/a is nan"


def test_tensorboard_forgets_the_steps_that_are_done_again_and_no_other(tmp_path):
    with logbook(tmp_path, start=3):
        pass
    (board,) = (tmp_path / "tensorboard").iterdir()
    records = board.read_bytes()
    assert b"\x10\x04:\x02\x08\x01" in records  # step 4, session_log: START


def test_a_picture_that_cannot_be_written_is_reported_at_the_end(tmp_path):
    (tmp_path / "pictures").write_text("a file in the way")
    with pytest.raises(OSError, match="pictures"), logbook(tmp_path) as book:
        book.picture(1, jnp.zeros((4, 1, 8, 8, 3)))
