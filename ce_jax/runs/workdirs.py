"""Whose a work directory is: the record of its run, and the lock of who is training there.

config.json       the experiment
checkpoints/STEP  its state, see `checkpointing`
.lock             held by whoever is training; the file itself means nothing
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from etils import epath

from ce_jax import config as configuration
from ce_jax import files
from ce_jax.config import Training

_log = logging.getLogger(__name__)
_FREE_TO_CHANGE = {
    "steps_per_call",
    "log_every",
    "picture_every",
    "checkpoint_every",
    "sharding.mode",
    "keep_last",
    "keep_every",
    "data.threads",
    "data.cache",
}
# Seconds: Linux' NFS server forgets the locks of a client that is gone after 90.
_PATIENCE = 120
# Object stores cannot rename folders: there, orbax says with this file that one is complete.
_COMPLETE = "commit_success.txt"


class CheckpointError(ValueError):
    """A work directory that does not hold what is asked of it."""


@contextmanager
def locked(
    workdir: os.PathLike | str, config: Training, *, stopped: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """While this lasts, nobody else trains in `workdir`, which is, or can be, that of this run.

    Whoever else does is waited for: a run that was told to stop is still saving, and a network file
    system forgets what a lost host has held only after a while. In an object store, and where files
    cannot be locked, nobody is kept out.

    Args:
        workdir: made if need be.
        config: the run.
        stopped: asked while waiting; True ends it.

    Raises:
        CheckpointError: as `claim`; or somebody else trains there, and goes on.
    """
    workdir = files.place(workdir)
    _refuse_others(workdir, config)
    if files.is_remote(workdir):
        yield
        return
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / ".lock").open("a") as lock:
        with suppress(OSError):  # where there are no locks
            _wait_for(lock, workdir, stopped)
        yield


def _wait_for(lock: IO, workdir: epath.Path, stopped: Callable[[], bool]) -> None:
    deadline, told = time.monotonic() + _PATIENCE, False
    while not files.hold(lock):
        if stopped() or time.monotonic() > deadline:
            raise CheckpointError(
                f"another process is training in {workdir}; wait until it has ended, or choose "
                "another --workdir."
            )
        if not told:
            _log.warning("another process is training in %s; waiting for it to end", workdir)
        told = True
        time.sleep(0.1)


def claim(workdir: os.PathLike | str, config: Training) -> None:
    """Makes `workdir` the home of this run, or finds that it already is.

    What a run has shown that has saved nothing, and so begins anew or makes way, is removed.

    Raises:
        CheckpointError: it holds checkpoints of another run, or somebody's files.
    """
    workdir = files.place(workdir)
    _refuse_others(workdir, config)
    workdir.mkdir(parents=True, exist_ok=True)
    record = json.dumps(configuration.to_dict(config), indent=2)
    if not saved_steps(workdir):
        for picture in pictures(workdir):
            picture.unlink()
    files.write_text(workdir / "config.json", record + "\n")


def _refuse_others(workdir: epath.Path, config: Training) -> None:
    """Raises CheckpointError for somebody's files, and for a run of another config."""
    if not (workdir / "config.json").exists():
        if workdir.exists() and not all(map(files.is_passing, workdir.iterdir())):
            raise CheckpointError(
                f"{workdir} is not empty and holds no training run; choose another --workdir."
            )
        return
    try:
        before = read_config(workdir)
    except CheckpointError as error:  # somebody else's file, or one of another version
        raise CheckpointError(f"{error} Choose another --workdir.") from error
    if saved_steps(workdir):
        changed = _differences(before, config)
        cosine = "cosine" in (config.generator.schedule, config.critic.schedule)
        allowed = _FREE_TO_CHANGE if cosine else {*_FREE_TO_CHANGE, "steps"}
        if refused := sorted(changed.keys() - allowed):
            name = refused[0]
            old, new = changed[name]
            raise CheckpointError(
                f"{workdir} holds a run with another {' and '.join(refused)} "
                f"({name}: {old!r} there, {new!r} now); choose another --workdir."
            )


def read_config(workdir: os.PathLike | str) -> Training:
    """The config of the run in `workdir`.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    record = files.place(workdir) / "config.json"
    if not record.is_file():
        raise CheckpointError(f"{workdir} holds no training run (no config.json in it).")
    try:
        return configuration.training_from_dict(json.loads(record.read_text()))
    except ValueError as error:
        raise CheckpointError(f"{record} cannot be read: {error}") from error


def saved_steps(workdir: os.PathLike | str) -> list[int]:
    """The steps of which `workdir` has a complete checkpoint."""
    folder = files.place(workdir) / "checkpoints"
    found = [path for path in folder.iterdir() if path.name.isdecimal()] if folder.exists() else []
    if files.is_remote(folder):
        found = [path for path in found if (path / _COMPLETE).exists()]
    return sorted(int(path.name) for path in found)


def pictures(workdir: os.PathLike | str) -> list[epath.Path]:
    """What the run in `workdir` has shown, in order of the steps."""
    found = files.place(workdir).glob("pictures/*.png")
    return sorted(path for path in found if path.stem.isdecimal())


def _differences(before: Training, after: Training) -> dict[str, tuple[Any, Any]]:
    """Fields (dotted) whose value is not the same: name -> (before, after)."""
    old, new = (configuration.flat(configuration.to_dict(each)) for each in (before, after))
    pairs = {name: (old.get(name), new.get(name)) for name in old.keys() | new.keys()}
    return {name: (a, b) for name, (a, b) in pairs.items() if json.dumps(a) != json.dumps(b)}
