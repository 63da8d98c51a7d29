"""A work directory belongs to one run; what it holds is loaded as it was saved, or refused."""

import errno
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
import untrained

from ce_jax import files, sharding, training
from ce_jax.config import Adam, Data, Frame
from ce_jax.runs import checkpointing, history, workdirs
from ce_jax.runs.workdirs import CheckpointError
from ce_jax.sources import open_source


def test_checkpoints_are_kept_as_many_and_as_often_as_was_said(tmp_path):
    state = untrained.game(tiny.dcgan())
    with checkpointing.Checkpoints(tmp_path / "run", keep_last=2, keep_every=3) as checkpoints:
        for step in range(1, 9):
            checkpoints.save(step, state)
    assert workdirs.saved_steps(tmp_path / "run") == [3, 6, 7, 8]


def test_checkpoints_are_fetched_where_fetching_is_allowed(tmp_path, monkeypatch):
    """A TPU tells of what moves in secret, as orbax does; a processor never does."""
    checkpointer = checkpointing.ocp.training.Checkpointer
    seen, save = [], checkpointer.save_checkpointables_async

    def look(self, *arguments, **options):
        seen.append(jax.config.jax_transfer_guard_device_to_host)
        return save(self, *arguments, **options)

    monkeypatch.setattr(checkpointer, "save_checkpointables_async", look)
    training.train(tiny.dcgan(), tmp_path / "run")
    assert set(seen) == {"allow"}


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
def test_another_run_is_refused_by_the_fields_that_differ(changed, named, model):
    workdir = Path(model)
    before = (workdir / "config.json").read_bytes()
    with pytest.raises(CheckpointError, match=f"{named}.*choose another --workdir") as refusal:
        workdirs.claim(workdir, changed)
    assert "\n" not in str(refusal.value)
    assert (workdir / "config.json").read_bytes() == before


def test_a_run_that_saved_nothing_makes_way_for_another(tmp_path):
    workdirs.claim(tmp_path / "run", tiny.dcgan())
    changed = tiny.dcgan(generator=Adam(rate=1e-5))
    workdirs.claim(tmp_path / "run", changed)
    assert workdirs.read_config(tmp_path / "run") == changed


def test_what_a_run_that_saved_nothing_has_shown_is_not_shown_as_that_of_another(tmp_path, model):
    for workdir in (tmp_path / "new", shutil.copytree(model, tmp_path / "saved")):
        workdirs.claim(workdir, tiny.dcgan())
        (workdir / "pictures").mkdir()
        for name in ("00000050.png", "mine.png"):
            (workdir / "pictures" / name).touch()
        workdirs.claim(workdir, tiny.dcgan(steps=9))
    left = [[path.name for path in workdirs.pictures(tmp_path / name)] for name in ("new", "saved")]
    assert left == [[], ["00000050.png"]]
    assert (tmp_path / "new" / "pictures" / "mine.png").exists()


def test_a_cosine_schedule_fixes_the_length_of_a_run(tmp_path):
    untrained.workdir(tmp_path / "run", tiny.context_encoder_alone())
    longer = tiny.context_encoder_alone(steps=5)
    with pytest.raises(CheckpointError, match=r"another steps \(steps: 4 there, 5 now\)"):
        workdirs.claim(tmp_path / "run", longer)


def test_what_does_not_touch_the_numbers_may_change(model, tmp_path):
    workdir = shutil.copytree(model, tmp_path / "run")
    free = tiny.dcgan(log_every=7, picture_every=7, checkpoint_every=7, steps=9)
    free = replace(free, keep_last=1, keep_every=2)
    free = replace(free, data=replace(free.data, threads=5, cache=0.0))
    workdirs.claim(workdir, free)
    assert workdirs.read_config(workdir) == free


def test_a_folder_with_somebodys_files_is_refused_and_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose")
    with pytest.raises(CheckpointError, match="is not empty and holds no training run"):
        training.train(tiny.dcgan(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_config_of_somebody_else_is_refused_and_not_touched(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError, match=r"config\.json.* Choose another --workdir"):
        training.train(tiny.dcgan(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert (tmp_path / "config.json").read_text() == '{"model_type": "bert"}'


def test_nobody_trains_where_somebody_does(tmp_path, monkeypatch, caplog):
    workdir, config = tmp_path / "run", tiny.dcgan()
    monkeypatch.setattr(workdirs, "_PATIENCE", 0.2)
    with workdirs.locked(workdir, config):
        workdirs.claim(workdir, config)
        with pytest.raises(CheckpointError, match=r"another process is training in .*run; wait"):
            training.train(config, workdir)
    assert "waiting for it to end" in caplog.text
    assert workdirs.saved_steps(workdir) == []
    with workdirs.locked(workdir, config):  # it was given back
        pass


def test_who_is_told_to_stop_waits_no_longer(tmp_path):
    workdir, config = tmp_path / "run", tiny.dcgan()
    with workdirs.locked(workdir, config), pytest.raises(CheckpointError, match="another process"):
        training.train(config, workdir, stopped=lambda: True)


def test_a_run_that_is_still_saving_is_waited_for(tmp_path):
    workdir, config = tmp_path / "run", tiny.dcgan()
    saving, saved = threading.Event(), []

    def save():
        with workdirs.locked(workdir, config):
            saving.set()
            time.sleep(0.5)
            saved.append(True)

    other = threading.Thread(target=save)
    other.start()
    saving.wait()
    with workdirs.locked(workdir, config):
        assert saved
    other.join()


def test_a_file_system_without_locks_keeps_nobody_out(tmp_path, monkeypatch):
    def hold(file):
        raise OSError(errno.ENOSYS, "no locks")

    monkeypatch.setattr(files, "hold", hold)
    with workdirs.locked(tmp_path, tiny.dcgan()), workdirs.locked(tmp_path, tiny.dcgan()):
        workdirs.claim(tmp_path, tiny.dcgan())


@pytest.mark.parametrize("experiment", [tiny.dcgan(), tiny.context_encoder_alone()])
def test_a_network_that_eight_devices_saved_is_loaded_onto_one(experiment, tmp_path):
    state = untrained.game(experiment)
    workdirs.claim(tmp_path / "run", experiment)
    with checkpointing.Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.save(4, jax.device_put(state, sharding.replicated(sharding.make_mesh())))
    trained = checkpointing.load(tmp_path / "run")
    assert (trained.config, trained.step) == (experiment, 4)
    jax.tree.map(np.testing.assert_array_equal, trained.generator, state.inference_variables)
    if state.critic is None:
        assert trained.critic is None
    else:
        jax.tree.map(np.testing.assert_array_equal, trained.critic, state.critic.variables)
    for leaf in jax.tree.leaves(trained.generator):
        assert leaf.devices() == {jax.devices()[0]}


def test_what_cannot_be_loaded_is_explained(model, tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no training run \(no config.json in it\)"):
        checkpointing.load(tmp_path)
    workdirs.claim(tmp_path / "new", tiny.dcgan())
    with pytest.raises(CheckpointError, match="has no checkpoint yet; train first"):
        checkpointing.load(tmp_path / "new")

    workdir = shutil.copytree(model, tmp_path / "run")
    record = workdir / "config.json"
    record.write_text(record.read_text().replace('"width": 4', '"width": 6'))
    with pytest.raises(CheckpointError, match=r"checkpoints/7 .*config\.json") as refusal:
        checkpointing.load(workdir)
    assert "\n" not in str(refusal.value)
    for damage in (record.read_text()[:40], '{"model": {"kind": "Gan"}}'):
        record.write_text(damage)
        with pytest.raises(CheckpointError, match=r"config.json cannot be read: ") as refusal:
            checkpointing.load(workdir)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"images": 60}, "on 60 images, and now there are 64; give"),
        ({"names": "0123456789abcdef"}, "on 64 images, and now there are as many of other names;"),
    ],
)
def test_a_run_does_not_go_on_with_other_images(model, tmp_path, before, now):
    workdir = shutil.copytree(model, tmp_path / "run")
    seen = history.of_images(64, open_source("bundled:digits[:64]").names)
    history.add(workdir, "began", 0, **seen | before)
    untouched = {name: (workdir / name).read_bytes() for name in ("history.jsonl", "config.json")}
    with pytest.raises(CheckpointError, match=f"{now}.*--start-from {workdir}") as refusal:
        training.train(tiny.dcgan(steps=9), workdir)
    assert "\n" not in str(refusal.value)
    assert untouched == {name: (workdir / name).read_bytes() for name in untouched}
    history.add(workdir, "began", 0, images=64)  # as it was said before there was a digest
    history.require_same_images(workdir, seen)


def test_a_run_whose_last_checkpoint_cannot_be_written_is_not_called_finished(
    tmp_path, monkeypatch
):
    def close(self):
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpointing.ocp.training.Checkpointer, "close", close)
    with pytest.raises(OSError, match="no space left"):
        training.train(tiny.dcgan(), tmp_path / "run")
    events = [(line["event"], line.get("note")) for line in history.read(tmp_path / "run")]
    assert events == [("began", None), ("failed", "OSError: no space left on device")]


def test_a_tilde_is_the_home_of_the_user(model, tmp_path, monkeypatch):
    shutil.copytree(model, tmp_path / "home" / "run")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert checkpointing.load("~/run").step == 7
    workdirs.claim("~/new", tiny.dcgan())
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
