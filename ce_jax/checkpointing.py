"""What a run keeps on disk, in its work directory: `config.json` and `checkpoints/STEP`.

A checkpoint is the state together with the position in the data, written by orbax while the
device works on, so that a run that was stopped continues as if it had not been.
"""

import json
import os
import textwrap
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint.experimental import v1 as ocp

from ce_jax import config as configuration
from ce_jax import files, systems
from ce_jax.config import LatentEncoder, Training
from ce_jax.state import Game, GuessingGame, Searched, Trained

_FREE_TO_CHANGE = {
    "steps_per_call",
    "log_every",
    "picture_every",
    "checkpoint_every",
    "sharding.mode",
}
_KEPT = 3


class CheckpointError(ValueError):
    """A work directory that does not hold what is asked of it."""


def claim(workdir: Path, config: Training) -> None:
    """Makes `workdir` the home of this run, or finds that it already is.

    Raises:
        CheckpointError: it holds checkpoints of another run, or somebody's files.
    """
    record = workdir / "config.json"
    if not record.exists():
        if workdir.exists() and any(workdir.iterdir()):
            raise CheckpointError(
                f"{workdir} is not empty and holds no training run; choose another --workdir."
            )
        workdir.mkdir(parents=True, exist_ok=True)
    elif saved_steps(workdir):
        before = read_config(workdir)
        changed = _differences(configuration.to_dict(before), configuration.to_dict(config))
        allowed = set(_FREE_TO_CHANGE) | {"data.threads"}
        if "cosine" not in (config.generator.schedule, config.critic.schedule):
            allowed.add("steps")
        if refused := sorted(set(changed) - allowed):
            name = refused[0]
            old, new = changed[name]
            raise CheckpointError(
                f"{workdir} holds a run with another {' and '.join(refused)} "
                f"({name}: {old!r} there, {new!r} now); choose another --workdir."
            )
    files.write_text(record, json.dumps(configuration.to_dict(config), indent=2) + "\n")


def read_config(workdir: Path) -> Training:
    """The config of the run in `workdir`.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    record = workdir / "config.json"
    if not record.is_file():
        raise CheckpointError(f"{workdir} holds no training run (no config.json in it).")
    try:
        return configuration.training_from_dict(json.loads(record.read_text()))
    except ValueError as error:
        raise CheckpointError(f"{record} cannot be read: {error}") from error


def saved_steps(workdir: os.PathLike | str) -> list[int]:
    """The steps of which `workdir` has a checkpoint; each gets its name when it is complete."""
    checkpoints = Path(workdir).glob("checkpoints/*")
    return sorted(int(path.name) for path in checkpoints if path.name.isdecimal())


class Checkpoints:
    """The checkpoints of one run: the newest three, written in the background.

    A context manager: leaving it waits for what is still being written.
    """

    def __init__(self, workdir: Path) -> None:
        every_time = ocp.training.save_decision_policies.FixedIntervalPolicy(1)
        newest = ocp.training.preservation_policies.LatestN(_KEPT)
        self._checkpointer = ocp.training.Checkpointer(
            str((workdir / "checkpoints").absolute()),
            # orbax declares both policies as protocols that its own classes meet only at run time
            save_decision_policy=every_time,  # pyright: ignore[reportArgumentType]
            preservation_policy=newest,  # pyright: ignore[reportArgumentType]
            cleanup_tmp_directories=True,
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._checkpointer.close()

    @property
    def latest(self) -> int | None:
        """The newest step that is completely on disk."""
        newest = self._checkpointer.latest
        return None if newest is None else newest.step

    def restore(self, state: Game, batches: Any) -> Game:
        """The newest state, laid out over the devices like `state`; moves `batches` to its place.

        Without a checkpoint, `state` itself.
        """
        if self.latest is None:
            return state
        wanted = {"state": jax.tree.map(_abstract, state), "data": batches}
        return self._checkpointer.load_checkpointables(self.latest, wanted)["state"]

    def save(self, step: int, state: Game, batches: Any) -> None:
        """Starts to write a checkpoint; returns as soon as the device may go on."""
        if step != self.latest:
            content = {"state": state, "data": batches}
            self._checkpointer.save_checkpointables_async(step, content, force=True)


def load(workdir: Path) -> Trained:
    """The networks of the newest checkpoint of a run, on the first device.

    Raises:
        CheckpointError: no run, no checkpoint, or one of another architecture.
    """
    config = read_config(workdir)
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.eval_shape(systems.build(config).init, jax.random.key(0))
    wanted = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), shapes
    )
    # Read without a Checkpointer, which would create folders, and clear away what a run that is
    # still going on has half written.
    steps = saved_steps(workdir)
    if not steps:
        raise CheckpointError(f"{workdir} has no checkpoint yet; train first.")
    checkpoint = str((workdir / "checkpoints" / str(steps[-1])).absolute())
    try:
        held = _shapes(ocp.metadata(checkpoint, "state").metadata)
        if differing := {name for name, _ in held ^ _shapes(wanted)}:
            raise CheckpointError(
                f"{checkpoint} and {workdir}/config.json do not belong together "
                f"({min(differing)} differs); restore that file or name another --model."
            )
        game = ocp.load_checkpointables(checkpoint, {"state": wanted})["state"]
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, OSError) as error:
        reason = textwrap.shorten(str(error), 200)  # orbax may print whole trees
        raise CheckpointError(f"{checkpoint} is damaged: {reason}") from error
    critic = None if game.critic is None else game.critic.variables
    return Trained(config, game.exhibit, critic, steps[-1])


def searched(config: Training, workdir: Path) -> Searched | None:
    """The DCGAN of another run that a run begins with, where its config asks so and it is new.

    Raises:
        CheckpointError: that run is not there, or trained something else.
    """
    model, frame = config.model, config.data.frame
    if not isinstance(model, LatentEncoder) or saved_steps(workdir):
        return None
    trained = load(Path(model.run))
    theirs = trained.config
    if (theirs.model, theirs.data.frame) != (model.dcgan, frame) or trained.critic is None:
        raise CheckpointError(
            f"{model.run} trained {theirs.model} on {theirs.data.frame}, but this config says "
            f"model.dcgan = {model.dcgan} and data.frame = {frame}; change it, or --model.run."
        )
    return Searched(trained.generator, trained.critic)


def with_searched(state: Game, networks: Searched | None) -> Game:
    """The state in which a run begins, with the DCGAN of another run if there is one."""
    if networks is None:
        return state
    assert isinstance(state, GuessingGame)
    alike = jax.tree.map(
        lambda new, old: jax.device_put(new, old.sharding), networks, state.searched
    )
    return replace(state, searched=alike)


def _shapes(state: Any) -> set[tuple[str, tuple[int, ...]]]:
    """The dotted name and the shape of everything in a state."""
    leaves = jax.tree_util.tree_leaves_with_path(state, is_leaf=lambda x: hasattr(x, "shape"))
    keystr = partial(jax.tree_util.keystr, simple=True, separator=".")
    return {(keystr(path), tuple(leaf.shape)) for path, leaf in leaves}


def _abstract(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


def _differences(before: dict, after: dict, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Fields (dotted) whose value is not the same: name -> (before, after)."""
    changed = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            changed |= _differences(old, new, f"{prefix}{name}.")
        elif json.dumps(old) != json.dumps(new):
            changed[prefix + name] = (old, new)
    return changed
