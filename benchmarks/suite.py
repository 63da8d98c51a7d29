"""The work: each entry builds both sides from the same weights and the same inputs.

Our side is what the package runs, compiled as the package compiles it. The inputs lie on the
device beforehand: reading images is no part of the work.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.stages import Compiled, Wrapped
from torch import Tensor

from benchmarks import pytorch
from benchmarks.weights import to_pytorch
from ce_jax import images, sharding, systems
from ce_jax.completion import latent
from ce_jax.completion.objective import Problem, objective_of, seen
from ce_jax.completion.space import Networks, space_of
from ce_jax.config import Data, Dcgan, Frame, LatentSearch, Training
from ce_jax.profiling import flops, product_side
from ce_jax.state import Game, apply
from ce_jax.systems import dcgan

Array = jax.Array


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The size of the work; the defaults are the published DCGAN."""

    size: int = 64
    width: int = 64
    batch_size: int = 64
    steps: int = 5
    """Steps in a call: as in a real run, the device does them without waiting for the host."""

    @property
    def model(self) -> Dcgan:
        """The networks of both works."""
        return Dcgan(width=self.width)

    @property
    def training(self) -> Training:
        """The run that the training step is one step of."""
        data = Data(frame=Frame(size=self.size))
        return Training(model=self.model, data=data, batch_size=self.batch_size)


@dataclass(frozen=True)
class Work:
    """One thing to do, on two sides.

    Attributes:
        name: what a step does.
        flops: floating-point operations of a step, as XLA counts them in the native convolutions,
            whatever a device does to save some.
        compile_seconds: from Python to machine code on the JAX side.
        ours: does `Setting.steps` steps in JAX and returns when they are done.
        theirs: likewise in PyTorch.
    """

    name: str
    flops: float
    compile_seconds: float
    ours: Callable[[], object]
    theirs: Callable[[], object]


def works(setting: Setting) -> Iterator[Work]:
    """Everything there is to do, the ceiling first; each is built when its turn has come."""
    yield matrix_product(setting)
    yield training_step(setting)
    yield search_step(setting)


def matrix_product(setting: Setting) -> Work:
    """The ceiling: a product of large square matrices, as much arithmetic as a machine can do."""
    n = product_side()
    factors = np.random.default_rng(0).standard_normal((2, n, n), np.float32)
    factors[1] /= np.sqrt(n)  # a chain of products keeps its magnitude
    our_left, our_right = map(jnp.asarray, factors)
    their_left, their_right = _tensor(factors)
    product = jax.jit(jnp.matmul)
    compiled, seconds = _compile(product, our_left, our_right)

    def ours():
        chain = our_left
        for _ in range(setting.steps):
            chain = compiled(chain, our_right)
        jax.block_until_ready(chain)

    @torch.inference_mode()
    def theirs():
        chain = their_left
        for _ in range(setting.steps):
            chain = chain @ their_right
        pytorch.wait()

    return Work("matrix product", flops(product, our_left, our_right), seconds, ours, theirs)


def training_step(setting: Setting) -> Work:
    """A step of the critic on real and generated images, then one of the generator against it."""
    game = start(setting)
    trainer = pytorch.Trainer(*twins(game, setting))
    batch = _noise(setting)
    our_batch, their_batch, key = jnp.asarray(batch), _tensor(batch), jax.random.key(1)
    z = torch.empty(setting.batch_size, setting.model.latent, device=their_batch.device)
    update = our_training(setting)
    batches = [our_batch] * setting.steps
    operations = flops(update, game, batches, key)  # the body of a loop counts once
    compiled, seconds = _compile(update, game, batches, key)

    def ours():
        nonlocal game
        game, _ = compiled(game, batches, key)
        jax.block_until_ready(game)

    def theirs():
        for _ in range(setting.steps):
            trainer.step(their_batch, z.uniform_(-1, 1))
        pytorch.wait()

    return Work("DCGAN training step", operations, seconds, ours, theirs)


def search_step(setting: Setting) -> Work:
    """A step of latent search in frozen networks; a call ends by judging where it has arrived."""
    game = start(setting)
    assert game.critic is not None
    networks = Networks(game.generator.variables, game.critic.variables)
    generator, critic = twins(game, setting)
    generator, critic = pytorch.frozen(generator), pytorch.frozen(critic)
    quarter = setting.size // 4
    truth = images.to_float(_noise(setting))
    hole = np.zeros((*truth.shape[:3], 1), bool)
    hole[:, quarter:-quarter, quarter:-quarter] = True
    z = np.random.default_rng(1).uniform(-1, 1, (len(truth), setting.model.latent))
    problem = truth, hole, z.astype(np.float32)
    our_problem = jax.device_put(problem)
    their_truth, their_hole, their_z = map(_tensor, problem)

    settings = LatentSearch(steps=setting.steps)
    search, judge = our_search(setting, settings)
    compiled, seconds = _compile(search, networks, *our_problem)
    # The body of a loop counts once, however often it runs: count one step, less its judging.
    judging = flops(judge, networks, our_problem[-1])
    one_step, _ = our_search(setting, LatentSearch(steps=1))
    operations = flops(one_step, networks, *our_problem) - judging + judging / setting.steps

    def ours():
        jax.block_until_ready(compiled(networks, *our_problem))

    def theirs():
        pytorch.search(
            generator,
            critic,
            their_truth,
            their_hole,
            their_z,
            steps=settings.steps,
            rate=settings.rate,
            window=settings.window,
            prior=settings.prior,
        )
        pytorch.wait()

    return Work("latent search step", operations, seconds, ours, theirs)


def start(setting: Setting) -> Game:
    """The state of a run at step 0, in buffers of its own."""
    return jax.tree.map(jnp.array, _start(setting))


@cache
def _start(setting: Setting) -> Game:
    return jax.device_get(jax.jit(systems.build(setting.training).init)(jax.random.key(0)))


def our_training(setting: Setting) -> Callable:
    """(game, batches of uint8 images, key) -> (game, scalars), compiled for one device."""
    step = systems.build(setting.training).step
    return sharding.compile_steps(step, sharding.make_mesh(jax.devices()[:1]))


def our_search(setting: Setting, settings: LatentSearch) -> tuple[Wrapped, Wrapped]:
    """(networks, images, hole, start) -> (z, objective), and (networks, z) -> logits, jitted."""
    generator, critic = dcgan.modules(setting.model, size=setting.size)
    keys = jax.random.split(jax.random.key(0), setting.batch_size)

    def judge(networks: Networks, z: Array) -> Array:
        return apply(critic, networks[1], apply(generator, networks[0], z))

    def search(networks: Networks, images: Array, hole: Array, start: Array):
        space = space_of(setting.model, networks, settings)
        problem = Problem(images, hole, keys, space, settings)
        begun = latent.begin(problem, None)._replace(z=start[:, None])
        ended, _ = latent.search(problem, begun)
        z = ended.z[:, 0]
        objective = objective_of(problem, seen(problem), starts=1)
        return z, objective(z, space.generate(z))

    return jax.jit(search), jax.jit(judge)


def twins(game: Game, setting: Setting) -> tuple[pytorch.Generator, pytorch.Critic]:
    """The players of a game in PyTorch, on its device."""
    assert game.critic is not None
    sizes = {"size": setting.size, "width": setting.width}
    generator = pytorch.Generator(**sizes, latent=setting.model.latent)
    return (
        to_pytorch(game.generator.variables, generator).to(pytorch.device()),
        to_pytorch(game.critic.variables, pytorch.Critic(**sizes)).to(pytorch.device()),
    )


def _noise(setting: Setting) -> np.ndarray:
    shape = (setting.batch_size, setting.size, setting.size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array).to(pytorch.device())


def _compile(function: Callable, *arguments: object) -> tuple[Compiled, float]:
    """An executable for these arguments, and how many seconds it took to make."""
    start = time.perf_counter()
    compiled = cast(Wrapped, function).lower(*arguments).compile()
    return compiled, time.perf_counter() - start
