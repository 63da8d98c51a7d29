"""Our side: what the package runs, compiled as the package compiles it, for one device."""

import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import Array
from jax.stages import Compiled, Wrapped

from benchmarks.setting import Setting
from benchmarks.work import Side
from ce_jax import sharding, systems
from ce_jax.completion import context_encoder, latent
from ce_jax.completion.objective import Problem, objective_of, weights
from ce_jax.completion.space import Networks, space_of
from ce_jax.config import ContextEncoder, LatentEncoder, LatentSearch, Training
from ce_jax.state import Game, Variables
from ce_jax.systems import dcgan, latent_encoder


class Executable(NamedTuple):
    """A program for one shape, how many seconds it took to make, and the memory that it needs."""

    run: Compiled
    seconds: float
    peak_bytes: float

    def side(self, call: Callable[[], object], *, part: float = 1.0) -> Side:
        """A side that calls it, once called."""
        call()
        return Side(call=call, compile_seconds=self.seconds, part=part, peak_bytes=self.peak_bytes)


def executable(function: Callable, *arguments: object) -> Executable:
    """Compiles a jitted function for these arguments."""
    start = time.perf_counter()
    compiled = cast(Wrapped, function).lower(*arguments).compile()
    seconds = time.perf_counter() - start
    memory: Any = compiled.memory_analysis()
    kept = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return Executable(
        compiled, seconds, kept - memory.alias_size_in_bytes + memory.temp_size_in_bytes
    )


def start(run: Training) -> Game:
    """The state of a run at step 0, in buffers of its own."""
    return jax.tree.map(jnp.array, _start(run))


@lru_cache(maxsize=2)  # those of the work at hand
def _start(run: Training) -> Game:
    return jax.device_get(jax.jit(systems.build(run).init)(jax.random.key(0)))


def training(run: Training) -> Callable:
    """(game, batches of uint8 images, key) -> (game, scalars), jitted for one device."""
    step = systems.build(run).step
    return sharding.compile_steps(step, sharding.make_mesh(jax.devices()[:1]))


def dcgan_networks(setting: Setting, size: int) -> Networks:
    """A DCGAN that has learned nothing, of any power of two as its size."""
    generator, critic = dcgan.modules(setting.model, size=size)

    def init(key: Array) -> tuple[Any, Any]:
        z, picture = jnp.zeros((1, setting.model.latent)), jnp.zeros((1, size, size, 3))
        return generator.init(key, z, train=False), critic.init(key, picture, train=False)

    return Networks(*jax.jit(init)(jax.random.key(0)))


def search(setting: Setting, settings: LatentSearch) -> tuple[Wrapped, Wrapped]:
    """(networks, images, hole, start) -> (z, objective), and (networks, z) -> logits, jitted."""
    keys = jax.random.split(jax.random.key(0), setting.batch_size)

    def judge(networks: Networks, z: Array) -> Array:
        space = space_of(setting.model, networks, settings)
        return space.prior_loss(z, space.generate(z))

    def search(networks: Networks, images: Array, hole: Array, start: Array):
        space = space_of(setting.model, networks, settings)
        problem = Problem(images, hole, keys)
        begun = latent.begin(space, problem, None)._replace(z=start[:, None])
        ended, _ = latent.search(space, problem, begun)
        z = ended.z[:, 0]
        objective = objective_of(space, problem, weights(problem, settings)[0], starts=1)
        return z, objective(z, space.generate(z))

    return jax.jit(search), jax.jit(judge)


def guided_search(model: LatentEncoder, settings: LatentSearch) -> Wrapped:
    """(networks, images, hole, key) -> what a search from the encoder's guess finds, jitted."""
    return jax.jit(latent.method(model, settings))


def guided(networks: Networks, setting: Setting) -> Networks:
    """The networks of a search that begins with a guess; the encoder has learned nothing."""
    encoder = latent_encoder.module_of(setting.guesser, size=setting.size)
    shown = jnp.zeros((1, setting.size, setting.size, 4))
    variables = jax.jit(partial(encoder.init, train=False))(jax.random.key(2), shown)
    searched = (networks.generator, networks.critic)
    return Networks({"encoder": variables, "searched": searched}, None)


def filling(run: Training) -> Wrapped:
    """(variables, images, hole) -> completions, by one pass of a context encoder, jitted."""
    assert isinstance(run.model, ContextEncoder)
    predict = partial(context_encoder.predict, run.model)

    def fill(variables: Variables, images: Array, hole: Array) -> Array:
        return jnp.where(hole, predict(variables, images, hole), images)

    return jax.jit(fill)
