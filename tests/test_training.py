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
import untrained
from PIL import Image

from ce_jax import checkpointing, history, sharding, systems, training
from ce_jax.checkpointing import CheckpointError
from ce_jax.config import Adam, ConfigError, Data, Frame
from ce_jax.logbook import Diverged, Logbook

KINDS = ("dcgan", "context_encoder_alone")  # with all that a state can hold, and with the least


@pytest.fixture(scope="module", autouse=True)
def built_once():
    with tiny.built_once():
        yield


def after(steps):
    """Asks a run to stop after so many further steps."""
    asked = iter(range(steps + 1))
    return lambda: next(asked) == steps


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The work directories of one whole run of each kind; to be copied before they are changed."""
    home = tmp_path_factory.mktemp("runs")
    for kind in KINDS:
        assert training.train(tiny.EVERY_KIND[kind], home / kind) == 4
    return home


def everything(workdir, experiment):
    """All arrays of the newest checkpoint; the step among them is also the place in the data."""
    shapes = jax.eval_shape(systems.build(experiment).init, jax.random.key(0))
    layout = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return jax.device_get(checkpointing.restore(workdir, layout))


def scalars_of(workdir):
    lines = [json.loads(line) for line in (workdir / "scalars.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "images/s"} for line in lines]


def steps_on_disk(workdir):
    names = (path.name for path in (workdir / "checkpoints").iterdir())
    return sorted(int(name) for name in names if "damaged" not in name)


def assert_same_run(workdir, other, experiment):
    state, other_state = (everything(folder, experiment) for folder in (workdir, other))
    jax.tree.map(np.testing.assert_array_equal, state, other_state)
    assert scalars_of(workdir) == scalars_of(other)
    for picture in (other / "pictures").iterdir():
        assert (workdir / "pictures" / picture.name).read_bytes() == picture.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_four_steps_are_two_and_two_more_bit_for_bit(kind, uninterrupted, tmp_path):
    experiment, workdir = tiny.EVERY_KIND[kind], tmp_path / "run"
    assert training.train(experiment, workdir, stopped=after(2)) == 2
    assert steps_on_disk(workdir) == [2]
    assert training.train(experiment, workdir) == 4
    assert_same_run(workdir, uninterrupted / kind, experiment)


def test_a_run_that_is_stopped_anywhere_saves_and_loses_nothing(uninterrupted, tmp_path):
    workdir = tmp_path / "run"
    assert training.train(tiny.dcgan(), workdir, stopped=after(0)) == 0
    assert steps_on_disk(workdir) == []
    assert training.train(tiny.dcgan(), workdir, stopped=after(1)) == 1
    assert scalars_of(workdir) == scalars_of(uninterrupted / "dcgan")[:1]
    assert training.train(tiny.dcgan(), workdir, stopped=after(2)) == 3
    assert steps_on_disk(workdir) == [1, 2, 3]
    assert training.train(tiny.dcgan(), workdir) == 4
    assert steps_on_disk(workdir) == [2, 3, 4]
    assert_same_run(workdir, uninterrupted / "dcgan", tiny.dcgan())


def test_a_killed_run_repeats_what_was_reported_but_not_saved(uninterrupted, tmp_path):
    workdir = shutil.copytree(uninterrupted / "dcgan", tmp_path / "run")
    shutil.rmtree(workdir / "checkpoints" / "4")
    unfinished = workdir / "checkpoints" / "4.orbax-checkpoint-tmp"
    unfinished.mkdir()
    (unfinished / "half").write_text("a checkpoint")
    with (workdir / "scalars.jsonl").open("a") as scalars:
        scalars.write('{"step": 5, "loss/cri')
    assert training.train(tiny.dcgan(), workdir) == 4
    assert steps_on_disk(workdir) == [2, 4]
    assert_same_run(workdir, uninterrupted / "dcgan", tiny.dcgan())


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
    workdir = shutil.copytree(uninterrupted / "dcgan", tmp_path / "run")
    newest = workdir / "checkpoints" / "4"
    largest = max((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    assert checkpointing.load(workdir).step == 2
    (told,) = (record.getMessage() for record in caplog.records)
    assert re.fullmatch(rf"{newest} is damaged \(.+\); taking {newest.parent / '2'} instead", told)
    caplog.clear()
    assert training.train(tiny.dcgan(), workdir) == 4
    assert [record.getMessage() for record in caplog.records] == [told]
    assert steps_on_disk(workdir) == [2, 4]
    assert [path.name[:10] for path in newest.parent.glob("*.damaged*")] == ["4.damaged-"]
    assert_same_run(workdir, uninterrupted / "dcgan", tiny.dcgan())
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
    whole = checkpointing.load(uninterrupted / "dcgan")
    newest = uninterrupted / "dcgan" / "checkpoints" / "4"
    names = [path.relative_to(newest) for path in newest.rglob("*") if path.is_file()]
    fallen = 0
    for number, name in enumerate(names):
        workdir = shutil.copytree(uninterrupted / "dcgan", tmp_path / str(number))
        path = workdir / "checkpoints" / "4" / name
        os.truncate(path, path.stat().st_size // 2)
        trained = checkpointing.load(workdir)
        if trained.step == 4:  # it was not needed
            jax.tree.map(np.testing.assert_array_equal, trained.generator, whole.generator)
        fallen += trained.step == 2
    assert fallen >= 3


def test_checkpoints_are_kept_as_many_and_as_often_as_was_said(tmp_path):
    state = untrained.game(tiny.dcgan())
    with checkpointing.Checkpoints(tmp_path / "run", keep_last=2, keep_every=3) as checkpoints:
        for step in range(1, 9):
            checkpoints.save(step, state)
    assert checkpointing.saved_steps(tmp_path / "run") == [3, 6, 7, 8]


def test_a_finished_run_is_left_as_it_is(uninterrupted, tmp_path):
    workdir = shutil.copytree(uninterrupted / "dcgan", tmp_path / "run")
    assert training.train(tiny.dcgan(), workdir) == 4
    assert_same_run(workdir, uninterrupted / "dcgan", tiny.dcgan())
    assert steps_on_disk(workdir) == [2, 4]


def test_a_run_can_be_made_longer_and_keeps_its_three_newest_checkpoints(uninterrupted, tmp_path):
    workdir = shutil.copytree(uninterrupted / "dcgan", tmp_path / "run")
    longer = tiny.dcgan(steps=6, checkpoint_every=1, picture_every=5, log_every=2)
    assert training.train(longer, workdir) == 6
    assert steps_on_disk(workdir) == [4, 5, 6]
    assert [line["step"] for line in scalars_of(workdir)] == [1, 2, 3, 4, 6]
    pictures = sorted(picture.name for picture in (workdir / "pictures").iterdir())
    assert pictures == [f"{step:08}.png" for step in (2, 4, 5, 6)]
    assert checkpointing.read_config(workdir) == longer


def poisoned(monkeypatch, *, step, scalar):
    """Makes a loss of one step of the next run a NaN."""
    compile_steps = sharding.compile_steps

    def compile_poisoned(pure, mesh, *, mode):
        update = compile_steps(pure, mesh, mode=mode)

        @jax.transfer_guard("allow")
        def poison(game, batches, key):
            done = int(game.step) + 1 + jnp.arange(len(batches))
            game, scalars = update(game, batches, key)
            return game, scalars | {scalar: jnp.where(done == step, jnp.nan, scalars[scalar])}

        return poison

    monkeypatch.setattr(sharding, "compile_steps", compile_poisoned)


@pytest.mark.parametrize(("step", "saved"), [(2, []), (3, [2])])
def test_a_run_that_diverges_stops_and_leaves_what_it_had(
    step, saved, uninterrupted, tmp_path, monkeypatch
):
    workdir = tmp_path / "run"
    with monkeypatch.context() as patch:
        poisoned(patch, step=step, scalar="loss/critic")
        with pytest.raises(Diverged, match=f"^step {step}: loss/critic is nan"):
            training.train(tiny.dcgan(), workdir)
    assert steps_on_disk(workdir) == saved
    assert [line["step"] for line in scalars_of(workdir)] == list(range(1, step))
    assert training.train(tiny.dcgan(), workdir) == 4
    assert_same_run(workdir, uninterrupted / "dcgan", tiny.dcgan())


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_reports_every_step_and_shows_pictures(kind, uninterrupted):
    workdir = uninterrupted / kind
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


def test_a_context_encoder_shows_what_it_saw_what_it_made_of_it_and_the_truth():
    experiment = tiny.context_encoder_alone()
    images = jax.random.uniform(jax.random.key(1), (2, 32, 32, 3), minval=-1.0)
    preview = jax.jit(systems.build(experiment).preview)
    rows = preview(
        untrained.game(experiment).exhibit, images, jax.random.split(jax.random.key(2), 2)
    )
    painted, completed, truth = np.moveaxis(np.asarray(rows), 1, 0)
    known = (painted == truth).all(axis=-1)
    np.testing.assert_array_equal(truth, images)
    np.testing.assert_array_equal(completed[known], truth[known])
    assert set(np.sum(~known, axis=(1, 2))) <= {12 * 12, round(0.3 * 32 * 32)}
    assert (completed[~known] != painted[~known]).any(axis=-1).all()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (tiny.dcgan(batch_size=8), r"another batch_size \(batch_size: 16 there, 8 now\)"),
        (tiny.dcgan(seed=1), "another seed"),
        (tiny.dcgan(generator=Adam(rate=1e-3)), "another generator.rate"),
        (tiny.dcgan(generator=Adam(schedule="cosine"), steps=5), "another generator.schedule and"),
        (tiny.dcgan(data=Data(frame=Frame(size=64))), "another data.frame.size and data.source"),
        (tiny.context_encoder(average=0.9), "model.kind"),
    ],
)
def test_another_run_is_refused_by_the_fields_that_differ(changed, named, uninterrupted):
    workdir = uninterrupted / "dcgan"
    before = (workdir / "config.json").read_bytes()
    with pytest.raises(CheckpointError, match=f"{named}.*choose another --workdir") as refusal:
        checkpointing.claim(workdir, changed)
    assert "\n" not in str(refusal.value)
    assert (workdir / "config.json").read_bytes() == before


def test_a_run_that_saved_nothing_makes_way_for_another(tmp_path):
    checkpointing.claim(tmp_path / "run", tiny.dcgan())
    changed = tiny.dcgan(generator=Adam(rate=1e-5))
    checkpointing.claim(tmp_path / "run", changed)
    assert checkpointing.read_config(tmp_path / "run") == changed


def test_a_cosine_schedule_fixes_the_length_of_a_run(uninterrupted):
    longer = tiny.context_encoder_alone(steps=5)
    with pytest.raises(CheckpointError, match=r"another steps \(steps: 4 there, 5 now\)"):
        checkpointing.claim(uninterrupted / "context_encoder_alone", longer)


def test_what_does_not_touch_the_numbers_may_change(uninterrupted, tmp_path):
    workdir = shutil.copytree(uninterrupted / "dcgan", tmp_path / "run")
    free = tiny.dcgan(log_every=7, picture_every=7, checkpoint_every=7, steps=9)
    free = replace(free, keep_last=1, keep_every=2)
    free = replace(free, data=replace(free.data, threads=5, cache=0.0))
    checkpointing.claim(workdir, free)
    assert checkpointing.read_config(workdir) == free


def test_a_folder_with_somebodys_files_is_refused_and_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose")
    with pytest.raises(CheckpointError, match="is not empty and holds no training run"):
        training.train(tiny.dcgan(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


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


@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_network_is_loaded_onto_one_device(kind, uninterrupted):
    experiment = tiny.EVERY_KIND[kind]
    trained = checkpointing.load(uninterrupted / kind)
    state = everything(uninterrupted / kind, experiment)
    assert (trained.config, trained.step) == (experiment, 4)
    jax.tree.map(np.testing.assert_array_equal, trained.generator, state.exhibit)
    if state.critic is None:
        assert trained.critic is None
    else:
        jax.tree.map(np.testing.assert_array_equal, trained.critic, state.critic.variables)
    for leaf in jax.tree.leaves(trained.generator):
        assert leaf.devices() == {jax.devices()[0]}


def test_what_cannot_be_loaded_is_explained(uninterrupted, tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no training run \(no config.json in it\)"):
        checkpointing.load(tmp_path)
    checkpointing.claim(tmp_path / "new", tiny.dcgan())
    with pytest.raises(CheckpointError, match="has no checkpoint yet; train first"):
        checkpointing.load(tmp_path / "new")

    workdir = shutil.copytree(uninterrupted / "dcgan", tmp_path / "run")
    record = workdir / "config.json"
    record.write_text(record.read_text().replace('"width": 4', '"width": 6'))
    with pytest.raises(CheckpointError, match=r"checkpoints/4 .*config\.json") as refusal:
        checkpointing.load(workdir)
    assert "\n" not in str(refusal.value)
    for damage in (record.read_text()[:40], '{"model": {"kind": "Gan"}}'):
        record.write_text(damage)
        with pytest.raises(CheckpointError, match=r"config.json cannot be read: ") as refusal:
            checkpointing.load(workdir)
        assert "\n" not in str(refusal.value)
    assert issubclass(ConfigError, ValueError)


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
    assert scalars_of(tmp_path / "together") == scalars_of(tmp_path / "apart")
    state, expected = (everything(tmp_path / name, apart) for name in ("together", "apart"))
    jax.tree.map(np.testing.assert_array_equal, state, expected)


def logbook(workdir, **changes):
    return Logbook(workdir, **({"start": 0, "steps": 9, "batch_size": 4, "every": 1} | changes))


def test_a_logbook_writes_every_so_often_but_looks_at_every_step(tmp_path):
    with logbook(tmp_path, every=3) as book:
        for step in range(1, 8):
            book.write(step - 1, {"loss/a": jnp.array([step / 2])})
        with pytest.raises(Diverged, match=r"^step 9: loss/a is inf"):
            book.write(7, {"loss/a": jnp.array([4, jnp.inf])})
    assert scalars_of(tmp_path) == [{"step": 3, "loss/a": 1.5}, {"step": 6, "loss/a": 3.0}]


def test_a_logbook_that_is_continued_has_no_step_twice(tmp_path):
    with logbook(tmp_path) as book:
        for step in range(1, 6):
            book.write(step - 1, {"loss/a": jnp.array([1.0])})
    with logbook(tmp_path, start=3) as book:
        book.write(3, {"loss/a": jnp.array([2.0, 2.0, 2.0])})
    assert [line["step"] for line in scalars_of(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert [line["loss/a"] for line in scalars_of(tmp_path)] == [1, 1, 1, 2, 2, 2]


def test_a_damaged_line_is_dropped_and_the_end_of_a_run_is_told(tmp_path):
    (tmp_path / "scalars.jsonl").write_text('{"step": 1}\n\0\0\0\n{"step": 2}\n{"step": 3')
    with pytest.raises(Diverged), logbook(tmp_path, start=3) as book:
        book.write(3, {"loss/a": jnp.array([1.0])})
        book.write(4, {"loss/a": jnp.array([jnp.nan])})
    with logbook(tmp_path, start=4):
        pass
    assert [line["step"] for line in scalars_of(tmp_path)] == [1, 2, 4]
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
