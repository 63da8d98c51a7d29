"""Training steps and one-pass inpainting: both sides from the same weights and inputs.

The inputs lie on the device beforehand: reading images is no part of these works.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks import ours, pytorch, theirs
from benchmarks.pytorch.networks import frozen
from benchmarks.pytorch.running import EAGER, Mode
from benchmarks.pytorch.training import ContextEncoderTrainer, DcganTrainer, Joint, filler
from benchmarks.setting import Setting
from benchmarks.theirs import Call, tensor
from benchmarks.work import Side, Work
from ce_jax import pixels
from ce_jax.config import ContextEncoder, Training
from ce_jax.runs.arithmetic import abstract_step, flops, product_side


def matrix_product(setting: Setting) -> Work:
    """The ceiling: a product of large square matrices, as much arithmetic as a machine can do."""
    n = product_side()
    factors = np.random.default_rng(0).standard_normal((2, n, n), np.float32)
    factors[1] /= np.sqrt(n)  # a chain of products keeps its magnitude
    product = jax.jit(jnp.matmul)

    def our_side(setting: Setting) -> Side:
        left, right = (jnp.asarray(factor, setting.precision) for factor in factors)
        made = ours.executable(product, left, right)

        def call() -> None:
            chain = left
            for _ in range(setting.steps):
                chain = made.run(chain, right)
            jax.block_until_ready(chain)

        return made.side(call)

    def their_call(mode: Mode) -> Call:
        left, right = tensor(factors).to(mode.dtype)

        @torch.inference_mode()
        def call() -> None:
            chain = left
            for _ in range(setting.steps):
                chain = chain @ right
            pytorch.wait()

        return call

    counted = flops(jnp.matmul, *factors)
    found = theirs.sides(
        setting, ours=our_side, theirs=their_call, keep=lambda mode: not mode.compiled
    )
    return work_of_steps("matrix product", f"{n} x {n}", setting, counted, found, images=0)


def dcgan_step(setting: Setting) -> Work:
    """A step of the critic on real and generated images, then one of the generator against it."""

    def their_call(mode: Mode) -> Call:
        trainer = dcgan_trainer(setting, mode=mode)
        batch = tensor(noise(setting.batch_size, setting.size))
        z = torch.empty(setting.batch_size, setting.model.latent, device=batch.device)
        return _repeated(setting, mode.step(lambda: trainer.step(batch, z.uniform_(-1, 1))))

    return _training("DCGAN training step", setting, lambda s: s.dcgan, their_call)


def context_encoder_step(setting: Setting) -> Work:
    """A step of the critic, then one of the context encoder by its joint loss."""

    def their_call(mode: Mode) -> Call:
        trainer = context_encoder_trainer(setting, mode=mode)
        batch = tensor(noise(setting.batch_size, setting.context_encoder.data.frame.size))
        return _repeated(setting, mode.step(lambda: trainer.step(batch)))

    name = "context encoder training step"
    return _training(name, setting, lambda s: s.context_encoder, their_call)


def inference(setting: Setting) -> Work:
    """One pass of a context encoder: from images and hole to completions."""
    run = setting.context_encoder
    variables = ours.start(run).generator.variables
    inputs = holed(setting.batch_size, run.data.frame.size)
    fill = ours.filling(run)

    def our_side(setting: Setting) -> Side:
        images, hole = map(jnp.asarray, inputs)
        made = ours.executable(fill, variables, images, hole)

        def call() -> None:
            jax.block_until_ready([made.run(variables, images, hole) for _ in range(setting.steps)])

        return made.side(call)

    def their_call(mode: Mode) -> Call:
        images, hole = map(tensor, inputs)
        fill = their_filling(setting, mode=mode)
        return _repeated(setting, mode.step(lambda: fill(images, hole)))

    counted = flops(fill, variables, *inputs)
    found = theirs.sides(setting, ours=our_side, theirs=their_call, keep=theirs.in_full)
    size = run.data.frame.size
    return work_of_steps("context encoder inference", label(setting, size), setting, counted, found)


def dcgan_trainer(setting: Setting, *, mode: Mode = EAGER) -> DcganTrainer:
    """The opponent, with the weights of step 0 of our run."""
    game = ours.start(setting.dcgan)
    assert game.critic is not None
    generator = theirs.generator_twin(game.generator.variables, setting)
    sizes = {"size": setting.size, "width": setting.width}
    return DcganTrainer(generator, theirs.critic_twin(game.critic.variables, **sizes), mode=mode)


def context_encoder_trainer(setting: Setting, *, mode: Mode = EAGER) -> ContextEncoderTrainer:
    """Likewise for the context encoder."""
    run, game = setting.context_encoder, ours.start(setting.context_encoder)
    model, size = run.model, run.data.frame.size
    assert game.critic is not None and isinstance(model, ContextEncoder)
    return ContextEncoderTrainer(
        theirs.context_encoder_twin(game.generator.variables, run),
        theirs.critic_twin(game.critic.variables, size=size // 2, width=setting.width),
        size=size,
        rates=(run.generator.rate, run.critic.rate),
        joint=Joint(model.fill, model.overlap, model.overlap_weight, model.adversarial),
        mode=mode,
    )


def their_filling(setting: Setting, *, mode: Mode = EAGER) -> Callable:
    """(images, hole) -> completions by the twin of our context encoder at step 0."""
    run = setting.context_encoder
    assert isinstance(run.model, ContextEncoder)
    twin = theirs.context_encoder_twin(ours.start(run).generator.variables, run)
    return filler(frozen(twin, dtype=mode.dtype), colour=run.model.fill, mode=mode)


def noise(count: int, size: int) -> np.ndarray:
    """Bytes to learn from, [count, size, size, 3]."""
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def holed(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images to complete, and a hole in the middle of each."""
    hole = np.zeros((count, size, size, 1), bool)
    hole[:, size // 4 : -(size // 4), size // 4 : -(size // 4)] = True
    return pixels.to_float(noise(count, size)), hole


def label(setting: Setting, size: int | None = None) -> str:
    """What distinguishes a work from others of its name."""
    return f"batch {setting.batch_size}, width {setting.width}, {size or setting.size} px"


def work_of_steps(
    name: str,
    of: str,
    setting: Setting,
    counted: float,
    found: theirs.Sides,
    *,
    images: int | None = None,
) -> Work:
    """What a call does in the steps of a setting; so many images, or a batch in each step."""
    return Work(
        name=name,
        setting=of,
        images=setting.batch_size * setting.steps if images is None else images,
        steps=setting.steps,
        flops=counted,
        sides=found.sides,
        missing=found.missing,
    )


def _training(
    name: str, setting: Setting, run_of: Callable[[Setting], Training], their_call: Callable
) -> Work:
    run = run_of(setting)
    size, key = run.data.frame.size, jax.random.key(1)
    batches = [jnp.asarray(noise(setting.batch_size, size))] * setting.steps

    def our_side(setting: Setting) -> Side:
        run = run_of(setting)
        game = ours.start(run)
        made = ours.executable(ours.training(run), game, batches, key)

        def call() -> None:
            nonlocal game
            game, _ = made.run(game, batches, key)
            jax.block_until_ready(game)

        return made.side(call)

    step, arguments = abstract_step(run)
    counted = flops(step, *arguments)
    found = theirs.sides(setting, ours=our_side, theirs=their_call)
    return work_of_steps(name, label(setting, size), setting, counted, found)


def _repeated(setting: Setting, step: Call) -> Call:
    def call() -> None:
        for _ in range(setting.steps):
            step()
        pytorch.wait()

    return call
