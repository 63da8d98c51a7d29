"""How fast a run is, beside how fast its devices multiply.

Operations are those of the model: of one step as XLA counts them in the native convolutions of an
accelerator, before it changes anything, on a batch that is seen at once. What a device saves
(Winograd's products on a CPU) or does twice (microbatches) does not change them.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import jax
import jax.numpy as jnp

from ce_jax import files, sharding, systems
from ce_jax.config import Training

Update = Callable[[Any, Sequence[jax.Array], jax.Array], tuple[Any, Any]]

_WARM_UP = 3
_TIMED = 10
_TRACED = 3


def native(function: Callable, *arguments: Any, platform: str = "tpu") -> jax.stages.Lowered:
    """A jitted function, lowered for an accelerator that need not be there."""
    return cast(Any, function).trace(*arguments).lower(lowering_platforms=(platform,))


def flops(function: Callable, *arguments: Any) -> float:
    """Floating-point operations of a jitted function, as above; the body of a loop counts once."""
    analysis = native(function, *arguments).cost_analysis()
    return analysis["flops"]  # pyright: ignore[reportOptionalSubscript, reportIndexIssue]


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
    return flops(jax.jit(step), *arguments)


def product_side() -> int:
    """The side of square matrices that are as much arithmetic as a device can do."""
    return 2048 if jax.default_backend() == "cpu" else 8192


def ceiling(precision: str, *, repetitions: int = 5) -> float:
    """FLOP/s at which all devices together multiply large matrices of this precision."""
    mesh, n = sharding.make_mesh(), product_side()
    shared = sharding.split(mesh)

    def factors() -> jax.Array:
        key = jax.random.key(0)
        return jax.random.normal(key, (mesh.size, n, n), precision) / jnp.asarray(n**0.5, precision)

    left = jax.jit(factors, out_shardings=shared)()
    product = jax.jit(jnp.matmul, out_shardings=shared)
    chain, seconds = jax.block_until_ready(product(left, left)), []
    for _ in range(repetitions):
        start = time.perf_counter()
        chain = jax.block_until_ready(product(chain, left))
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 * mesh.size / min(seconds)


class Profile:
    """Looks at a run without changing it: some calls are timed, then a few are traced.

    `report` is what came out, None as long as there was too little to look at.
    """

    def __init__(self, config: Training, folder: str | os.PathLike) -> None:
        """Looks at a run of this config, and writes its trace into a folder.

        Raises:
            PlaceError: the folder is in an object store, where JAX writes no traces.
        """
        if files.is_remote(folder):
            raise files.PlaceError(
                f"{folder}: traces are written to disks alone; leave --profile, or name another "
                "--workdir"
            )
        self._config, self._folder = config, os.fspath(folder)
        self._calls, self._steps, self._since = 0, 0, 0.0
        self._ceiling = self._flops = 0.0
        self._traced: int | None = None  # calls of an open trace
        self.report: str | None = None

    def watch(self, update: Update) -> Update:
        """The same update, looked at."""
        self._flops, self._ceiling = step_flops(self._config), ceiling(self._config.precision)

        def watched(state: Any, batches: Sequence[jax.Array], key: jax.Array) -> tuple[Any, Any]:
            self._before(state)
            self._steps += len(batches)
            return update(state, batches, key)

        return watched

    def _before(self, state: Any) -> None:
        if self._calls == _WARM_UP:
            jax.block_until_ready(state)
            self._steps, self._since = 0, time.perf_counter()
        if self._calls == _WARM_UP + _TIMED:
            jax.block_until_ready(state)
            self.report = self._told(time.perf_counter() - self._since)
            jax.profiler.start_trace(self._folder)
            self._traced = 0
        elif self._traced is not None:
            self._traced += 1
            if self._traced == _TRACED:
                jax.block_until_ready(state)
                self.close()
        self._calls += 1

    def close(self) -> None:
        """Ends a trace that a run which has ended has left open."""
        if self._traced is not None:
            jax.profiler.stop_trace()
            self.report = (
                f"{self.report}\ntrace: {self._folder} (tensorboard, xprof or ui.perfetto.dev)"
            )
            self._traced = None

    def _told(self, seconds: float) -> str:
        images, rate = self._steps * self._config.batch_size, self._steps * self._flops / seconds
        return (
            f"{images / seconds:,.1f} images/s ({seconds / self._steps * 1e3:,.1f} ms a step of "
            f"{self._config.batch_size}, {self._steps} steps with all that the loop does besides)\n"
            f"{rate / 1e9:,.1f} GFLOP/s ({self._flops / 1e9:,.3f} GFLOP a step): "
            f"{rate / self._ceiling:.1%} of the {self._ceiling / 1e9:,.1f} GFLOP/s of a "
            f"{self._config.precision} matrix product on {jax.device_count()} devices"
        )
