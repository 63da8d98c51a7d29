"""The training loop: batches in, one compiled update after another, everything kept on disk."""

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax import Array
from jax.sharding import Mesh

from ce_jax import config as configuration
from ce_jax import data, files, hosts, images, sharding, sources, systems
from ce_jax.config import Training
from ce_jax.runs import checkpointing, history, loading, releases, run_report, workdirs
from ce_jax.runs.checkpointing import Checkpoints
from ce_jax.runs.logbook import Diverged, Logbook, Onlooker
from ce_jax.sources import Source
from ce_jax.state import Game, Scalars, Variables, parameters
from ce_jax.systems import System

_PREVIEWS = 64
_VALIDATED = 256


def train(
    config: Training,
    workdir: str | os.PathLike,
    *,
    stopped: Callable[[], bool] = lambda: False,
    command: str = "",
    watch: Callable[[Callable], Callable] = lambda update: update,
) -> int:
    """Trains until `config.steps`, or until `stopped()` says so; saves, and returns the last step.

    A work directory that already holds a checkpoint of this config is continued exactly where it
    stood: same data, same noise, same numbers. Of many processes (see `hosts`), all do the steps
    and write the checkpoints; all else is the first one's.

    Args:
        config: what is to be done.
        workdir: a folder, of which all processes see the same; gs:// and s3:// too.
        stopped: asked between two calls of the devices.
        command: what the report says to do in order to go on.
        watch: may put itself between the loop and the compiled steps, (game, batches) -> (game,
            scalars): it is given them, and gives back what the loop calls.

    Raises:
        CheckpointError, ReleaseError, SourceError, HoleError, DeviceError, PlaceError: the run
            cannot start as asked.
        HostsError: it cannot start in another process.
        Diverged: a loss or a weight became NaN or infinite; what was saved before is untouched.
    """
    mesh, workdir = sharding.make_mesh(), files.place(workdir)
    with contextlib.ExitStack() as held:
        source, seen, program, game = _prepared(config, workdir, mesh, held, stopped)
        program = program._replace(update=watch(program.update))
        start = int(game.step)
        facts = {"command": command, **seen, "parameters": parameters(game)}
        batches = data.training_batches(config, source, sharding.split(mesh), start=start)
        held.enter_context(contextlib.closing(batches))
        logbook = Onlooker()
        if hosts.is_first():
            held.enter_context(run_report.reported(workdir))
            logbook = held.enter_context(Logbook(workdir, config, start=start, facts=facts))
        # Closed before the logbook, which calls a run finished when all of it is on the disk.
        checkpoints = held.enter_context(
            Checkpoints(workdir, keep_last=config.keep_last, keep_every=config.keep_every)
        )
        held.enter_context(jax.transfer_guard("disallow"))  # what it moves, it moves on purpose
        stopped = hosts.agreed(stopped, mesh)
        step, pending = start, None
        while step < config.steps and not stopped():
            together = _steps_together(config, step, program.epoch)
            game, scalars = program.update(game, [next(batches) for _ in range(together)])
            # One call late, so that the next is already queued on the device.
            if pending is not None:
                logbook.write(*pending)
            pending = (step, scalars)
            step += together
            if program.validate is not None and step % program.epoch == 0:
                game = program.validate(game)
            if program.show and (step % config.picture_every == 0 or step == config.steps):
                logbook.picture(step, program.show(game))
            if step % config.checkpoint_every == 0:
                _keep(step, game, pending, logbook, checkpoints)
                pending = None
        if step > start:
            _keep(step, game, pending, logbook, checkpoints)
        return step


def _keep(
    step: int,
    game: Game,
    pending: tuple[int, Scalars] | None,
    logbook: Logbook | Onlooker,
    checkpoints: Checkpoints,
) -> None:
    """Writes down and saves how far a run has come, but never a state that is not a number.

    Losses are of the weights before a step: what it made of them is looked at here.
    """
    if pending is not None:
        logbook.write(*pending)
    if not jax.device_get(_all_finite(game)):
        raise Diverged(f"step {step}: a weight, a moment or a statistic is no longer finite")
    logbook.keep()
    checkpoints.save(step, game)


@jax.jit
def _all_finite(game: Game) -> Array:
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(game)]))


class _Program(NamedTuple):
    """What the devices do in a run.

    Attributes:
        update: (game, batches) -> the game after a step on each, and the scalars of the steps.
        show: game -> pictures of always the same scene; None in processes that show nothing.
        validate: begins the next epoch of a game; None for systems that do not look.
        epoch: steps between two of these, or all of a run.
    """

    update: Callable[[Game, list[Array]], tuple[Game, Scalars]]
    show: Callable[[Game], Array] | None
    validate: Callable[[Game], Game] | None
    epoch: int


def _prepared(
    config: Training,
    workdir: epath.Path,
    mesh: Mesh,
    held: contextlib.ExitStack,
    stopped: Callable[[], bool],
) -> tuple[Source, dict[str, Any], _Program, Game]:
    """Whatever may refuse to begin; then the work directory is held, and the game restored.

    Returns:
        The images, what the history is to say of them, the program, and the game.
    """
    hosts.require_alike("experiment", json.dumps(configuration.to_dict(config)).encode())
    with hosts.together():
        # A step names the axis of the devices where each of them has a program of its own.
        axis = sharding.AXIS if config.sharding.mode == "pmap" else None
        system = systems.build(config, axis=axis)
        sharding.check_batch(config.batch_size, mesh, parts=config.microbatches)
        source = _opened(config.data.source, workdir)
        data.check(config, source)
        known = loading.head_start(config, workdir)
        scene = _squares(config, source, _PREVIEWS) if hosts.is_first() else None
        validated, epoch, names = None, config.steps, [*source.names]
        if system.validate is not None:
            of = config.data.validation
            tried = source if of is None else _opened(of, workdir)
            names += tried.names
            validated = _squares(config, tried, _VALIDATED)
            epoch = max(len(source) // config.batch_size, 1)
        seen = history.of_images(len(source), names)
    hosts.require_alike("set of images", seen["names"].encode())
    init_key, step_key, preview_key = jax.random.split(jax.random.key(config.seed), 3)
    update = sharding.compile_steps(system.step, mesh, mode=config.sharding.mode)
    step_key, validate = sharding.copied(step_key, mesh), None
    if system.validate is not None and validated is not None:
        key = jax.random.fold_in(preview_key, 1)
        validate = _validator(system.validate, validated, key, mesh)
    program = _Program(
        lambda game, batches: update(game, batches, step_key),
        None if scene is None else _painter(system, scene, preview_key, mesh),
        validate,
        epoch,
    )
    with hosts.together():
        if hosts.is_first():
            # After everything that may refuse to begin.
            held.enter_context(workdirs.locked(workdir, config, stopped=stopped))
            history.require_same_images(workdir, seen)
            workdirs.claim(workdir, config)
    hosts.require_shared(workdir)
    hosts.require_alike("network to begin with", releases.pack(known) if known else b"")
    game = jax.jit(system.init, out_shardings=sharding.replicated(mesh))(init_key)
    if known:
        game = sharding.spread(game.with_variables(known.generator, known.critic), game)
    return source, seen, program, checkpointing.restore(workdir, game)


def _opened(spec: str, workdir: epath.Path) -> Source:
    """A source that a run does not write into."""
    source = sources.open_source(spec)
    sources.keep_apart(spec, workdir)
    return source


def _squares(config: Training, source: Source, count: int) -> np.ndarray:
    """The first images of a source, float32 [n, s, s, 3]."""
    return images.to_float(data.examples(source, config.data.frame, count))


def _painter(system: System, scene: np.ndarray, key: Array, mesh: Mesh) -> Callable[[Game], Array]:
    """Shows what a game has learned, always on the same images with the same keys.

    On one device, so that no other host has to take part.
    """
    compiled = jax.jit(system.preview)
    on_device, keys = jax.device_put(
        (scene, jax.random.split(key, len(scene))), mesh.local_devices[0]
    )

    def show(game: Game) -> Array:
        variables: Variables = sharding.here(game.inference_variables)
        return compiled(variables, on_device, jax.random.clone(keys))

    return show


def _validator(
    validate: Callable, squares: np.ndarray, key: Array, mesh: Mesh
) -> Callable[[Game], Game]:
    """What begins the next epoch of a game, always on the same validation images and holes."""
    on_devices, keys = sharding.copied((squares, jax.random.split(key, len(squares))), mesh)
    compiled = jax.jit(validate, out_shardings=sharding.replicated(mesh))
    return lambda game: compiled(game, on_devices, jax.random.clone(keys))


def _steps_together(config: Training, step: int, epoch: int) -> int:
    """How many steps to ask of the device from `step` on, up to where the host has work to do.

    A function of the step alone, so that a resumed run compiles what the first one did.
    """
    events = (config.picture_every, config.checkpoint_every, epoch)
    return min(config.steps_per_call, *(e - step % e for e in events), config.steps - step)
