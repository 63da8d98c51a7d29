"""What a run keeps on disk of its state: `checkpoints/STEP` in its work directory.

A checkpoint is the state, written by orbax while the device works on. Its step says where a run
stands in its data too, so that one that was stopped continues as if it had not been, on whatever
number of devices and hosts. A work directory may lie in an object store; that of a run on many
hosts is one that all of them see.
"""

import logging
import os
import textwrap
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import jax
from etils import epath
from orbax.checkpoint.experimental import v1 as ocp

from ce_jax import files, hosts, sharding, systems
from ce_jax.runs.workdirs import CheckpointError, read_config, saved_steps
from ce_jax.state import Game, Trained, by_name

_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one run as they are written, in the background, by all of its hosts.

    A context manager: leaving it waits for what is still being written.
    """

    def __init__(
        self, workdir: os.PathLike | str, *, keep_last: int = 3, keep_every: int | None = None
    ) -> None:
        every_time = ocp.training.save_decision_policies.FixedIntervalPolicy(1)
        kept = ocp.training.preservation_policies.LatestN(keep_last)
        if keep_every is not None:
            some = ocp.training.preservation_policies.EveryNSteps(keep_every)
            kept = ocp.training.preservation_policies.AnyPreservationPolicy([kept, some])
        self._checkpointer = ocp.training.Checkpointer(
            _absolute(files.place(workdir) / "checkpoints"),
            # orbax declares both policies as protocols that its own classes meet only at run time
            save_decision_policy=every_time,  # pyright: ignore[reportArgumentType]
            preservation_policy=kept,  # pyright: ignore[reportArgumentType]
            cleanup_tmp_directories=True,
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._checkpointer.close()

    def save(self, step: int, state: Game) -> None:
        """Starts to write a checkpoint; returns as soon as the device may go on."""
        newest = self._checkpointer.latest
        if newest is None or step != newest.step:
            # From a TPU, orbax fetches by what JAX calls an implicit transfer.
            with jax.transfer_guard("allow"):
                self._checkpointer.save_checkpointables_async(step, {"state": state}, force=True)


def restore(workdir: os.PathLike | str, state: Game) -> Game:
    """The newest state of a run that can be read, laid out like `state`; else `state` itself.

    What is newer but damaged is set aside, so that it will be written anew.

    Raises:
        CheckpointError: there are checkpoints, and none of them can be read.
    """
    if hosts.least(max(saved_steps(workdir), default=-1)) < 0:
        return state
    with hosts.together():
        step, found = _newest(workdir, state)
    agreed = hosts.least(step)
    with hosts.together():
        if agreed != step:
            step, found = _newest(workdir, state, until=agreed)
        if hosts.is_first():
            for damaged in saved_steps(workdir):
                if damaged > step:
                    path = _path(workdir, damaged)
                    path.rename(path.with_name(f"{damaged}.damaged-{uuid.uuid4().hex[:8]}"))
    return sharding.spread(found, state)


def load(workdir: os.PathLike | str) -> Trained:
    """The networks of the newest checkpoint of a run that can be read, on the first device.

    Raises:
        CheckpointError: no run, no checkpoint, or one of another architecture.
    """
    config = read_config(workdir)
    if not saved_steps(workdir):
        raise CheckpointError(f"{workdir} has no checkpoint yet; train first.")
    shapes = jax.eval_shape(systems.build(config).init, jax.random.key(0))
    step, game = _newest(workdir, shapes)
    return Trained.of(config, game, step)


def _newest(workdir: os.PathLike | str, shapes: Any, *, until: int | None = None) -> Any:
    """The newest step that can be read, and its state; a warning for each that cannot.

    Raises:
        CheckpointError: none can be read, or they are of another architecture.
    """
    steps = [step for step in saved_steps(workdir) if until is None or step <= until]
    paths = [_path(workdir, step) for step in reversed(steps)]
    for path, before in pairwise([*paths, None]):
        assert path is not None
        try:
            return int(path.name), _read(path, shapes)
        except _Damaged as damage:
            if before is None:
                raise CheckpointError(f"{path} is damaged: {damage}") from damage
            _log.warning("%s is damaged (%s); taking %s instead", path, damage, before)
    raise AssertionError("asked for a checkpoint where there is none")


class _Damaged(Exception):
    """A checkpoint that cannot be read; the message says why."""


def _read(path: epath.Path, shapes: Any) -> Any:
    """A checkpoint on the first device of this process, which asks no other one.

    It is read without a Checkpointer, which would create folders, and clear away what a run that
    is still going on has half written.
    """
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    wanted = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), shapes
    )
    alone, me = ocp.Context(), jax.process_index()
    alone.multiprocessing.primary_host = me
    alone.multiprocessing.active_processes = {me}
    alone.multiprocessing.barrier_sync_key_prefix = f"{me}"
    try:
        with alone, _silenced(logging.getLogger("absl")):
            held = ocp.metadata(_absolute(path), "state").metadata
            if held is None:
                raise ValueError("what it holds cannot be told")
            if differing := {name for name, _ in _shapes(held) ^ _shapes(wanted)}:
                raise CheckpointError(
                    f"{path} and {path.parent.parent}/config.json do not belong together "
                    f"({min(differing)} differs); restore that file or name another --model."
                )
            return ocp.load_checkpointables(_absolute(path), {"state": wanted})["state"]
    except CheckpointError:
        raise
    except Exception as error:  # whatever a parser meets in half a file
        # orbax may print whole trees
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
    raise _Damaged(reason)


@contextmanager
def _silenced(log: logging.Logger) -> Iterator[None]:
    """Of half a file, orbax complains at length; we say it in one line."""
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _path(workdir: os.PathLike | str, step: int) -> epath.Path:
    return files.place(workdir) / "checkpoints" / str(step)


def _absolute(path: epath.Path) -> str:
    return os.fspath(path if files.is_remote(path) else path.absolute())


def _shapes(state: Any) -> set[tuple[str, tuple[int, ...]]]:
    return {(name, tuple(leaf.shape)) for name, leaf in by_name(state).items()}
