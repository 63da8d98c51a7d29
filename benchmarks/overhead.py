"""What a run costs beside its steps: logging, pictures, checkpoints, the images themselves.

    python -m benchmarks.overhead configs/demo_digits.py --steps 400 --every 100

In turns, on a quiet machine: a part of a real run in a new folder, from one call to a later one,
with a picture and a checkpoint after every so many steps; and the same compiled program, called as
often, on batches that already lie on the devices. Medians, with quartiles.
"""

import argparse
import dataclasses
import runpy
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import spread
from ce_jax.config import Training
from ce_jax.training import train


class Comparison:
    """Both sides of one run; the program is compiled once, by the first."""

    def __init__(self, config: Training) -> None:
        self._config = config
        self._update: Callable | None = None
        self._inputs: tuple[Any, Any] | None = None
        self._ended: list[tuple[int, float]] = []

    def loop(self) -> float:
        """Seconds for a step of a real run, from the end of its second period to its own."""
        self._ended = []
        with tempfile.TemporaryDirectory() as folder:
            train(self._config, Path(folder, "run"), watch=self._watch)
        # After the first picture, which is compiled; with those of all periods but the last.
        (first, begun), (last, ended) = self._ended
        return (ended - begun) / (last - first)

    def bare(self) -> float:
        """Seconds for a step of the program alone."""
        assert self._update is not None and self._inputs is not None
        state, batches = self._inputs
        game = jax.tree.map(jnp.copy, state)
        calls = (self._config.steps - 2 * self._config.picture_every) // len(batches)
        game, scalars = self._update(game, batches)
        jax.block_until_ready(game)
        start = time.perf_counter()
        for _ in range(calls):
            game, scalars = self._update(game, batches)
        jax.block_until_ready((game, scalars))
        return (time.perf_counter() - start) / (calls * len(batches))

    def _watch(self, update: Callable) -> Callable:
        self._update = update = self._update or update
        step, ends = 0, (2 * self._config.picture_every, self._config.steps)

        def watched(state: Any, batches: Sequence[jax.Array]) -> Any:
            nonlocal step
            if self._inputs is None:
                self._inputs = jax.tree.map(jnp.copy, state), batches
            result, step = update(state, batches), step + len(batches)
            if step in ends:
                jax.block_until_ready(result)
                self._ended.append((step, time.perf_counter()))
            return result

        return watched


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the flags, measures, and prints one line for each side and their ratio."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("config", type=Path, help="an experiment of configs/ to train")
    add("--steps", type=int, default=400, help="steps of a run; 400")
    add("--every", type=int, default=100, help="steps between pictures and checkpoints; 100")
    add("--repetitions", type=int, default=5, help="turns of each side; 5")
    add("--source", help="images to train on, in the place of those of the config")
    options = parser.parse_args(arguments)
    config = runpy.run_path(str(options.config))["get_config"]()
    if not isinstance(config, Training):
        parser.error(f"{options.config} is no training")
    every, steps, call = options.every, options.steps, config.steps_per_call
    if every % call or steps % call or steps < 3 * every:
        parser.error(
            f"--every and --steps must be multiples of the {call} steps of a call, "
            "and --steps at least three times as many"
        )
    data = dataclasses.replace(config.data, source=options.source or config.data.source)
    changes = {"steps": steps, "picture_every": every, "checkpoint_every": every}
    comparison = Comparison(dataclasses.replace(config, data=data, **changes))
    comparison.loop()
    turns = [(comparison.loop(), comparison.bare()) for _ in range(options.repetitions)]
    for name, seconds in zip(("in the loop", "alone"), zip(*turns, strict=True), strict=True):
        found = spread(seconds)
        lower, upper = (1e3 * quartile for quartile in found.quartiles)
        print(f"{name:12} {1e3 * found.median:.3f} ms a step ({lower:.3f}-{upper:.3f})")
    ratios = [loop / bare for loop, bare in turns]
    print(f"ratio        {np.median(ratios):.4f} (n = {len(ratios)} turns)")


if __name__ == "__main__":
    main()
