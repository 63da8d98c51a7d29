"""How fast a run is, beside how fast its devices multiply."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax

from ce_jax import files
from ce_jax.config import Training
from ce_jax.runs import arithmetic

Update = Callable[[Any, Sequence[jax.Array]], tuple[Any, Any]]

# Calls before which the warming up, the timing and the tracing end.
_WARM, _TIMED, _TRACED = 3, 13, 16


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
        self._config, self._folder = config, os.fspath(files.place(folder))
        self._calls, self._steps, self._since = 0, 0, 0.0
        self._ceiling = self._flops = 0.0
        self.report: str | None = None

    def watch(self, update: Update) -> Update:
        """The same update, looked at."""
        self._flops = arithmetic.step_flops(self._config)
        self._ceiling = arithmetic.ceiling(self._config.precision)

        def watched(state: Any, batches: Sequence[jax.Array]) -> tuple[Any, Any]:
            self._before(state)
            self._steps += len(batches)
            return update(state, batches)

        return watched

    def _before(self, state: Any) -> None:
        if self._calls in (_WARM, _TIMED, _TRACED):
            jax.block_until_ready(state)
        if self._calls == _WARM:
            self._steps, self._since = 0, time.perf_counter()
        elif self._calls == _TIMED:
            self.report = self._told(time.perf_counter() - self._since)
            jax.profiler.start_trace(self._folder)
        elif self._calls == _TRACED:
            self.close()
        self._calls += 1

    def close(self) -> None:
        """Ends a trace that a run which has ended has left open."""
        if _TIMED < self._calls <= _TRACED:
            jax.profiler.stop_trace()
            self.report = (
                f"{self.report}\ntrace: {self._folder} (tensorboard, xprof or ui.perfetto.dev)"
            )

    def _told(self, seconds: float) -> str:
        images, rate = self._steps * self._config.batch_size, self._steps * self._flops / seconds
        return (
            f"{images / seconds:,.1f} images/s ({seconds / self._steps * 1e3:,.1f} ms a step of "
            f"{self._config.batch_size}, {self._steps} steps with all that the loop does besides)\n"
            f"{rate / 1e9:,.1f} GFLOP/s ({self._flops / 1e9:,.3f} GFLOP a step): "
            f"{rate / self._ceiling:.1%} of the {self._ceiling / 1e9:,.1f} GFLOP/s of a "
            f"{self._config.precision} matrix product on {jax.device_count()} devices"
        )
