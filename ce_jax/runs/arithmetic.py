"""How much arithmetic a function is, and how much of it the devices can do.

Operations are those of the model: of one step as XLA counts them in the native convolutions of an
accelerator, before it changes anything, on a batch that is seen at once. What a device saves
(Winograd's products on a CPU) or does twice (microbatches) does not change them.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import jax
import jax.numpy as jnp

from ce_jax import sharding, systems
from ce_jax.config import Training

_PRODUCTS = 5  # the fastest of which is what the devices can do


def native(function: Callable, *arguments: Any) -> jax.stages.Lowered:
    """A jitted function, lowered for an accelerator that need not be there."""
    return cast(Any, function).trace(*arguments).lower(lowering_platforms=("tpu",))


def flops(function: Callable, *arguments: Any) -> float:
    """Floating-point operations of a function of arrays, or of shapes, bound to no devices.

    As XLA counts them in its program before it changes it; the body of a loop counts once.
    """
    shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), arguments)
    # On the CPU, wherever the function will run: what serves the other devices does not count.
    with jax.default_device(sharding.processor()):
        analysis: Any = native(jax.jit(function), *shapes).cost_analysis()
    return analysis["flops"]


def abstract_step(config: Training, *, axis: str | None = None) -> tuple[Callable, tuple]:
    """The pure step of a config, and what it is called with, as shapes: nothing is allocated."""
    size, count = config.data.frame.size, config.batch_size
    system = systems.build(config, axis=axis)
    key = jax.eval_shape(lambda: jax.random.key(0))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), count))
    images = jax.ShapeDtypeStruct((count, size, size, 3), jnp.float32)
    return system.step, (jax.eval_shape(system.init, key), images, keys)


def step_flops(config: Training) -> float:
    """Floating-point operations of one step of a run, over all devices."""
    step, arguments = abstract_step(replace(config, microbatches=1))
    return flops(step, *arguments)


def product_side() -> int:
    """The side of square matrices that are as much arithmetic as a device can do."""
    return 2048 if jax.default_backend() == "cpu" else 8192


def ceiling(precision: str) -> float:
    """FLOP/s at which all devices together multiply large matrices of this precision."""
    mesh, n = sharding.make_mesh(), product_side()
    shared = sharding.split(mesh)

    def factors() -> jax.Array:
        key = jax.random.key(0)
        return jax.random.normal(key, (mesh.size, n, n), precision) / jnp.asarray(n**0.5, precision)

    left = jax.jit(factors, out_shardings=shared)()
    product = jax.jit(jnp.matmul, out_shardings=shared)
    chain, seconds = jax.block_until_ready(product(left, left)), []
    for _ in range(_PRODUCTS):
        start = time.perf_counter()
        chain = jax.block_until_ready(product(chain, left))
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 * mesh.size / min(seconds)
