"""Two sides timed in turns, so that whatever else the machine does meets both of them alike."""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """What one step of one side took, in seconds, over all repetitions."""

    median: float
    quartiles: tuple[float, float]
    minimum: float
    samples: tuple[float, ...]

    def scaled(self, factor: float) -> "Spread":
        """The same for so much more of the work."""
        return spread([factor * seconds for seconds in self.samples])


def alternate(
    sides: Sequence[Callable[[], object]], *, repetitions: int, steps: int
) -> list[Spread]:
    """Calls the sides in turns and gives the wall-clock time of a step, one `Spread` for each side.

    Args:
        sides: what to time; a call does `steps` steps and returns when they are done.
        repetitions: timed calls of each side.
        steps: steps in a call.
    """
    samples = [[] for _ in sides]
    turns = list(zip(sides, samples, strict=True))
    gc.collect()
    gc.disable()  # or a collection would be charged to the side that happens to run
    try:
        for _ in range(repetitions):
            for side, seconds in turns:
                start = time.perf_counter()
                side()
                seconds.append((time.perf_counter() - start) / steps)
            turns.reverse()  # neither side always comes second
    finally:
        gc.enable()
    return [spread(seconds) for seconds in samples]


def spread(samples: Sequence[float]) -> Spread:
    """Median, quartiles and minimum of samples in seconds."""
    minimum, lower, median, upper = map(float, np.quantile(samples, (0, 0.25, 0.5, 0.75)))
    return Spread(median, (lower, upper), minimum, tuple(samples))
