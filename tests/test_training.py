"""A run that was stopped, killed or went wrong continues as if nothing had happened.

Everything here trains on eight devices; two runs are compared bit for bit.
"""

import functools
import gc
import json
import os
import re
import shutil
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from PIL import Image
from processes import scalars

from ce_jax import sharding, systems, training
from ce_jax.config import Adam, Data
from ce_jax.runs import checkpointing, history, workdirs
from ce_jax.runs.logbook import Diverged
from ce_jax.runs.workdirs import CheckpointError

# With all that a state can hold, and with the least.
both_kinds = pytest.mark.parametrize(
    "kind", ["dcgan", pytest.param("context_encoder_alone", marks=pytest.mark.slow)]
)


@pytest.fixture(scope="module", autouse=True)
def built_once():
    with tiny.built_once():
        yield


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Kind -> the work directory of a whole run; to be copied before it is changed."""
    home = tmp_path_factory.mktemp("runs")

    def trained(kind="dcgan"):
        if not (home / kind).exists():
            assert training.train(tiny.EVERY_KIND[kind], home / kind) == 4
        return home / kind

    return trained


def everything(workdir, experiment):
    """All arrays of the newest checkpoint; the step among them is also the place in the data."""
    shapes = jax.eval_shape(systems.build(experiment).init, jax.random.key(0))
    layout = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return jax.device_get(checkpointing.restore(workdir, layout))


def steps_on_disk(workdir):
    names = (path.name for path in (workdir / "checkpoints").iterdir())
    return sorted(int(name) for name in names if "damaged" not in name)


def assert_same_run(workdir, other, experiment):
    state, other_state = (everything(folder, experiment) for folder in (workdir, other))
    jax.tree.map(np.testing.assert_array_equal, state, other_state)
    assert scalars(workdir) == scalars(other)
    for picture in (other / "pictures").iterdir():
        assert (workdir / "pictures" / picture.name).read_bytes() == picture.read_bytes()


@both_kinds
def test_four_steps_are_two_and_two_more_bit_for_bit(kind, uninterrupted, tmp_path):
    experiment, workdir = tiny.EVERY_KIND[kind], tmp_path / "run"
    assert training.train(experiment, workdir, stopped=tiny.after(2)) == 2
    assert steps_on_disk(workdir) == [2]
    assert training.train(experiment, workdir) == 4
    assert_same_run(workdir, uninterrupted(kind), experiment)


def test_a_run_that_is_stopped_anywhere_saves_and_loses_nothing(uninterrupted, tmp_path):
    workdir = tmp_path / "run"
    assert training.train(tiny.dcgan(), workdir, stopped=tiny.after(0)) == 0
    assert steps_on_disk(workdir) == []
    assert training.train(tiny.dcgan(), workdir, stopped=tiny.after(1)) == 1
    assert scalars(workdir) == scalars(uninterrupted())[:1]
    assert training.train(tiny.dcgan(), workdir, stopped=tiny.after(2)) == 3
    assert steps_on_disk(workdir) == [1, 2, 3]
    assert training.train(tiny.dcgan(), workdir) == 4
    assert steps_on_disk(workdir) == [2, 3, 4]
    assert_same_run(workdir, uninterrupted(), tiny.dcgan())


def test_a_killed_run_repeats_what_was_reported_but_not_saved(uninterrupted, tmp_path):
    workdir = shutil.copytree(uninterrupted(), tmp_path / "run")
    shutil.rmtree(workdir / "checkpoints" / "4")
    unfinished = workdir / "checkpoints" / "4.orbax-checkpoint-tmp"
    unfinished.mkdir()
    (unfinished / "half").write_text("a checkpoint")
    with (workdir / "scalars.jsonl").open("a") as file:
        file.write('{"step": 5, "loss/cri')
    assert training.train(tiny.dcgan(), workdir) == 4
    assert steps_on_disk(workdir) == [2, 4]
    assert_same_run(workdir, uninterrupted(), tiny.dcgan())


@pytest.fixture
def half_read():
    """What orbax has begun to read of half a file, it never awaits: that is collected here."""
    yield
    gc.collect()


never_awaited = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@never_awaited
@pytest.mark.usefixtures("half_read")
def test_a_damaged_newest_checkpoint_is_set_aside_loudly_and_its_steps_are_done_again(
    uninterrupted, tmp_path, caplog
):
    workdir = shutil.copytree(uninterrupted(), tmp_path / "run")
    newest = workdir / "checkpoints" / "4"
    largest = max((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    os.truncate(largest, 1)  # of a half, what completes images may lie in the other one
    assert checkpointing.load(workdir).step == 2
    (told,) = (record.getMessage() for record in caplog.records)
    assert re.fullmatch(rf"{newest} is damaged \(.+\); taking {newest.parent / '2'} instead", told)
    caplog.clear()
    assert training.train(tiny.dcgan(), workdir) == 4
    assert [record.getMessage() for record in caplog.records] == [told]
    assert steps_on_disk(workdir) == [2, 4]
    assert [path.name[:10] for path in newest.parent.glob("*.damaged*")] == ["4.damaged-"]
    assert_same_run(workdir, uninterrupted(), tiny.dcgan())
    for path in newest.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    shutil.rmtree(newest.parent / "2")
    with pytest.raises(CheckpointError, match=rf"{newest} is damaged: ") as refusal:
        checkpointing.load(workdir)
    assert "\n" not in str(refusal.value)


@never_awaited
@pytest.mark.usefixtures("half_read")
@pytest.mark.slow
def test_whichever_file_of_a_checkpoint_is_cut_off_the_one_before_serves(uninterrupted, tmp_path):
    whole = checkpointing.load(uninterrupted())
    newest = uninterrupted() / "checkpoints" / "4"
    names = [path.relative_to(newest) for path in newest.rglob("*") if path.is_file()]
    fallen = 0
    for number, name in enumerate(names):
        workdir = shutil.copytree(uninterrupted(), tmp_path / str(number))
        path = workdir / "checkpoints" / "4" / name
        os.truncate(path, path.stat().st_size // 2)
        trained = checkpointing.load(workdir)
        if trained.step == 4:  # it was not needed
            jax.tree.map(np.testing.assert_array_equal, trained.generator, whole.generator)
        fallen += trained.step == 2
    assert fallen >= 3


def test_a_finished_run_is_left_as_it_is(uninterrupted, tmp_path):
    workdir = shutil.copytree(uninterrupted(), tmp_path / "run")
    assert training.train(tiny.dcgan(), workdir) == 4
    assert_same_run(workdir, uninterrupted(), tiny.dcgan())
    assert steps_on_disk(workdir) == [2, 4]


def test_a_run_can_be_made_longer_and_keeps_its_three_newest_checkpoints(uninterrupted, tmp_path):
    workdir = shutil.copytree(uninterrupted(), tmp_path / "run")
    longer = tiny.dcgan(steps=6, checkpoint_every=1, picture_every=5, log_every=2)
    assert training.train(longer, workdir) == 6
    assert steps_on_disk(workdir) == [4, 5, 6]
    assert [line["step"] for line in scalars(workdir)] == [1, 2, 3, 4, 6]
    pictures = sorted(picture.name for picture in (workdir / "pictures").iterdir())
    assert pictures == [f"{step:08}.png" for step in (2, 4, 5, 6)]
    assert workdirs.read_config(workdir) == longer


def poisoned(monkeypatch, poison):
    """Every call of the devices in the next run: (game, scalars) -> (game, scalars) behind it."""
    compile_steps = sharding.compile_steps

    def compile_poisoned(pure, mesh, *, mode):
        update = compile_steps(pure, mesh, mode=mode)
        return jax.transfer_guard("allow")(lambda *given: poison(*update(*given)))

    monkeypatch.setattr(sharding, "compile_steps", compile_poisoned)


@pytest.mark.parametrize(("step", "saved"), [(2, []), (3, [2])])
def test_a_run_that_diverges_stops_and_leaves_what_it_had(
    step, saved, uninterrupted, tmp_path, monkeypatch
):
    workdir = tmp_path / "run"

    def poison(game, scalars):
        loss = scalars["loss/critic"]
        done = int(game.step) - len(loss) + 1 + jnp.arange(len(loss))
        return game, scalars | {"loss/critic": jnp.where(done == step, jnp.nan, loss)}

    with monkeypatch.context() as patch:
        poisoned(patch, poison)
        with pytest.raises(Diverged, match=f"^step {step}: loss/critic is nan"):
            training.train(tiny.dcgan(), workdir)
    assert steps_on_disk(workdir) == saved
    assert [line["step"] for line in scalars(workdir)] == list(range(1, step))
    assert training.train(tiny.dcgan(), workdir) == 4
    assert_same_run(workdir, uninterrupted(), tiny.dcgan())


def test_a_state_that_is_no_number_is_not_kept(uninterrupted, tmp_path, monkeypatch):
    """Its losses are those of the weights before it."""
    workdir = tmp_path / "run"

    def poison(game, scalars):
        if int(game.step) == 2:
            spoilt = jax.tree.map(lambda leaf: leaf * jnp.nan, game.generator.params)
            game = replace(game, generator=replace(game.generator, params=spoilt))
        return game, scalars

    with monkeypatch.context() as patch:
        poisoned(patch, poison)
        with pytest.raises(Diverged, match=r"^step 2: a weight"):
            training.train(tiny.dcgan(), workdir)
    assert steps_on_disk(workdir) == []
    assert training.train(tiny.dcgan(), workdir) == 4
    assert_same_run(workdir, uninterrupted(), tiny.dcgan())


@both_kinds
def test_a_run_reports_every_step_and_shows_pictures(kind, uninterrupted):
    workdir = uninterrupted(kind)
    lines = [json.loads(line) for line in (workdir / "scalars.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    for line in lines:
        assert line["images/s"] > 0
        assert all(np.isfinite(value) for value in line.values())
        assert "loss/generator" in line
    (board,) = (workdir / "tensorboard").iterdir()
    tags = (b"loss/generator", b"images/s", b"pictures", b"config", b'"batch_size": 16')
    assert all(tag in board.read_bytes() for tag in tags)
    pictures = sorted((workdir / "pictures").iterdir())
    assert [picture.name for picture in pictures] == ["00000002.png", "00000004.png"]
    # 64 examples: 8x8 latents, or 64 rows of three (painted, completed, true) in 15 columns
    columns, rows = {"dcgan": (8, 8), "context_encoder_alone": (15, 13)}[kind]
    for picture in pictures:
        with Image.open(picture) as image:
            assert image.size == (columns * 34 - 2, rows * 34 - 2)
            assert np.asarray(image).std() > 1
    first, last = (picture.read_bytes() for picture in pictures)
    assert first != last
    report = (workdir / "report.html").read_text()
    assert "Step 4 of 4, finished" in report
    assert '"steps": [1, 2, 3, 4]' in report
    assert re.search(r"<dt>checkpoints</dt><dd>2, 4</dd>", report)
    began, finished = history.read(workdir)
    assert (began["event"], began["step"], began["images"]) == ("began", 0, 64)
    assert finished["event"] == "finished"


@pytest.mark.parametrize(
    ("experiment", "complaint"),
    [
        (tiny.dcgan(batch_size=12), "try 8 or 16"),
        (tiny.dcgan(data=Data(source="bundled:digit")), "digits"),
    ],
)
def test_a_run_that_cannot_start_leaves_no_folder_behind(experiment, complaint, tmp_path):
    with pytest.raises(ValueError, match=complaint):
        training.train(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "apart", [tiny.dcgan(generator=Adam(schedule="cosine")), tiny.context_encoder_alone()]
)
def test_steps_in_one_call_are_the_steps_of_several(tmp_path, monkeypatch, apart):
    """With all that a state can hold and a rate that goes down; and with holes drawn in each."""
    together = replace(apart, steps_per_call=3, picture_every=4, checkpoint_every=4)

    @functools.cache
    def exactly(step, mesh, *, mode, compile_steps=sharding.compile_steps.__wrapped__):
        with tiny.quickly(tiny.EXACTLY):
            return compile_steps(step, mesh, mode=mode)

    monkeypatch.setattr(sharding, "compile_steps", exactly)
    assert training.train(apart, tmp_path / "apart") == 4
    assert training.train(together, tmp_path / "together") == 4  # three and the last one
    assert scalars(tmp_path / "together") == scalars(tmp_path / "apart")
    state, expected = (everything(tmp_path / name, apart) for name in ("together", "apart"))
    jax.tree.map(np.testing.assert_array_equal, state, expected)
