"""The training loop: batches in, one compiled update after another, everything kept on disk."""

import dataclasses
import os
from collections.abc import Callable

import jax
from etils import epath
from jax.sharding import Mesh

from ce_jax import checkpointing, data, files, hosts, images, sharding, sources, systems
from ce_jax.config import Training
from ce_jax.logbook import Logbook, Onlooker
from ce_jax.state import Game

_PREVIEWS = 64
_VALIDATED = 256


def train(
    config: Training,
    workdir: str | os.PathLike,
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Trains until `config.steps`, or until `stopped()` says so; saves, and returns the last step.

    A work directory that already holds a checkpoint of this config is continued exactly where it
    stood: same data, same noise, same numbers. Of many processes (see `hosts`), all do the steps
    and write the checkpoints; all else is the first one's.

    Raises:
        CheckpointError, SourceError, HoleError, DeviceError, PlaceError: the run cannot start as
            asked.
        HostsError: it cannot start in another process.
        Diverged: a loss became NaN or infinite; what was saved before is untouched.
    """
    mesh = sharding.make_mesh()
    workdir, first, examples = files.place(workdir), hosts.is_first(), None
    with hosts.together():
        sharding.check_batch(config.batch_size, mesh)
        source = sources.open_source(config.data.source)
        sources.keep_apart(config.data.source, workdir)
        data.check(config, source)
        if first:
            examples = images.to_float(data.examples(config.data, source, _PREVIEWS))
        searched = checkpointing.searched(config, workdir)
    system = systems.build(config)
    update = sharding.compile_steps(system.step, mesh)
    preview = jax.jit(system.preview)
    init_key, step_key, preview_key = jax.random.split(jax.random.key(config.seed), 3)
    epoch, validate = max(len(source) // config.batch_size, 1), None
    if system.validate is not None:
        validate = _validator(system.validate, config, jax.random.fold_in(preview_key, 1), mesh)
    with hosts.together():
        if first:
            checkpointing.claim(workdir, config)  # after everything that may refuse to begin
    game = jax.jit(system.init, out_shardings=sharding.replicated(mesh))(init_key)
    game = checkpointing.restore(workdir, checkpointing.with_searched(game, searched))
    start = step = int(game.step)
    stopped = hosts.agreed(stopped, mesh)
    kept = {"keep_last": config.keep_last, "keep_every": config.keep_every}
    batches = data.training_batches(config, source, sharding.split(mesh), start=start)
    try:
        with checkpointing.Checkpoints(workdir, **kept) as checkpoints:
            with _logbook(config, workdir, start=start) as logbook:
                pending = None
                while step < config.steps and not stopped():
                    together = _steps_together(config, step, epoch if validate else config.steps)
                    game, scalars = update(game, [next(batches) for _ in range(together)], step_key)
                    # One call late, so that the next is already queued on the device.
                    if pending is not None:
                        logbook.write(*pending)
                    pending = (step, scalars)
                    step += together
                    if validate is not None and step % epoch == 0:
                        game = validate(game)
                    if examples is not None and (
                        step % config.picture_every == 0 or step == config.steps
                    ):
                        # One scene, again and again, on one device: no other host takes part.
                        keys = jax.random.split(jax.random.clone(preview_key), len(examples))
                        shown = preview(sharding.here(game.exhibit), examples, keys)
                        logbook.picture(step, shown)
                    if step % config.checkpoint_every == 0:
                        logbook.write(*pending)  # never keep a state that is not a number
                        logbook.keep()
                        pending = None
                        checkpoints.save(step, game)
                if pending is not None:
                    logbook.write(*pending)
                if step > start:
                    logbook.keep()
                    checkpoints.save(step, game)
            return step
    finally:
        batches.close()


def _steps_together(config: Training, step: int, epoch: int) -> int:
    """How many steps to ask of the device from `step` on, up to where the host has work to do.

    A function of the step alone, so that a resumed run compiles what the first one did.
    """
    events = (config.picture_every, config.checkpoint_every, epoch)
    return min(config.steps_per_call, *(e - step % e for e in events), config.steps - step)


def _logbook(config: Training, workdir: epath.Path, *, start: int) -> Logbook | Onlooker:
    if not hosts.is_first():
        return Onlooker()
    return Logbook(
        workdir,
        start=start,
        steps=config.steps,
        batch_size=config.batch_size,
        every=config.log_every,
    )


def _validator(
    validate: Callable, config: Training, key: jax.Array, mesh: Mesh
) -> Callable[[Game], Game]:
    """What begins the next epoch of a game, always on the same validation images and holes."""
    name = config.data.validation or config.data.source
    validation = data.examples(
        dataclasses.replace(config.data, source=name), sources.open_source(name), _VALIDATED
    )
    squares = images.to_float(validation)
    keys = jax.random.split(key, len(squares))
    compiled = jax.jit(validate, out_shardings=sharding.replicated(mesh))
    return lambda game: compiled(game, squares, jax.random.clone(keys))
