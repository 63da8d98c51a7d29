"""The training loop: batches in, one compiled update after another, everything kept on disk."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
from jax.sharding import Mesh

from ce_jax import checkpointing, data, images, run_report, sharding, sources, systems
from ce_jax.config import Training
from ce_jax.logbook import Logbook
from ce_jax.state import Game, parameters

_PREVIEWS = 64
_VALIDATED = 256


def train(
    config: Training,
    workdir: Path,
    *,
    stopped: Callable[[], bool] = lambda: False,
    command: str = "",
    watch: Callable[[Callable], Callable] = lambda update: update,
) -> int:
    """Trains until `config.steps`, or until `stopped()` says so; saves, and returns the last step.

    A work directory that already holds a checkpoint of this config is continued exactly where it
    stood: same data, same noise, same numbers. `command` is what its report says to do for that.
    stood: same data, same noise, same numbers. `watch` may put itself between the loop and the
    compiled steps; it is given them, and gives back what the loop calls.

    Raises:
        CheckpointError, SourceError, HoleError, DeviceError: the run cannot start as asked.
        Diverged: a loss became NaN or infinite; what was saved before is untouched.
    """
    mesh = sharding.make_mesh()
    whole = sharding.replicated(mesh)
    sharding.check_batch(config.batch_size, mesh, parts=config.microbatches)
    source = sources.open_source(config.data.source)
    sources.keep_apart(config.data.source, workdir)
    mode = config.sharding.mode
    system = systems.build(config, axis=sharding.axis_of(mode))
    update = watch(sharding.compile_steps(system.step, mesh, mode=mode))
    preview = jax.jit(system.preview)
    init_key, step_key, preview_key = jax.random.split(jax.random.key(config.seed), 3)
    step_key = jax.device_put(step_key, whole)
    epoch, validate = max(len(source) // config.batch_size, 1), None
    if system.validate is not None:
        validate = _validator(system.validate, config, jax.random.fold_in(preview_key, 1), mesh)

    examples = images.to_float(data.examples(config.data, source, _PREVIEWS))
    scene = jax.device_put((examples, jax.random.split(preview_key, len(examples))), whole)
    searched = checkpointing.searched(config, workdir)
    batches = data.training_batches(config, source, sharding.split(mesh))
    try:
        checkpointing.claim(workdir, config)  # after everything that may refuse to begin
        with run_report.reported(workdir), checkpointing.Checkpoints(workdir) as checkpoints:
            game = jax.jit(system.init, out_shardings=sharding.replicated(mesh))(init_key)
            game = checkpoints.restore(checkpointing.with_searched(game, searched), batches)
            start = step = int(game.step)
            with (
                Logbook(
                workdir,
                start=start,
                steps=config.steps,
                batch_size=config.batch_size,
                every=config.log_every,
                facts={
                    "command": command,
                    "images": len(source),
                    "parameters": parameters(game),
                },
            ) as logbook:
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
                    if step % config.picture_every == 0 or step == config.steps:
                        examples, keys = scene
                        same = jax.random.clone(keys)  # one scene, again and again
                        logbook.picture(step, preview(game.exhibit, examples, same))
                    if step % config.checkpoint_every == 0:
                        logbook.write(*pending)  # never keep a state that is not a number
                        pending = None
                        checkpoints.save(step, game, batches)
                if pending is not None:
                    logbook.write(*pending)
                if step > start:
                    checkpoints.save(step, game, batches)
            return step
    finally:
        batches.close()


def _steps_together(config: Training, step: int, epoch: int) -> int:
    """How many steps to ask of the device from `step` on, up to where the host has work to do.

    A function of the step alone, so that a resumed run compiles what the first one did.
    """
    events = (config.picture_every, config.checkpoint_every, epoch)
    return min(config.steps_per_call, *(e - step % e for e in events), config.steps - step)


def _validator(
    validate: Callable, config: Training, key: jax.Array, mesh: Mesh
) -> Callable[[Game], Game]:
    """What begins the next epoch of a game, always on the same validation images and holes."""
    name = config.data.validation or config.data.source
    validation = data.examples(
        dataclasses.replace(config.data, source=name), sources.open_source(name), _VALIDATED
    )
    squares, whole = images.to_float(validation), sharding.replicated(mesh)
    squares, keys = jax.device_put((squares, jax.random.split(key, len(squares))), whole)
    compiled = jax.jit(validate, out_shardings=whole)
    return lambda game: compiled(game, squares, jax.random.clone(keys))
