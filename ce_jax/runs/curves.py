"""The scalars of a run over its steps: few points for a page, however long it is."""

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from statistics import fmean
from typing import Any

PACE = "images/s"
"""The scalar that says how fast a run was between one line and the next."""

# About twice as many as a screen has columns of pixels to draw them in.
_MOST = 2000


class Curves:
    """Every scalar of a run, in stretches of equally many lines: the mean and both ends of each.

    A stretch is one line, or so many times two that there are no more than `most` stretches.
    """

    def __init__(self, lines: Iterable[Mapping[str, Any]] = (), *, most: int = _MOST) -> None:
        """Of lines as a logbook writes them; one without a step is no line."""
        self._lines = [
            {name: value for name, value in line.items() if _is_number(value)}
            for line in lines
            if isinstance(line.get("step"), int)
        ]
        self.step = self._lines[-1]["step"] if self._lines else 0
        length = 1
        while length * most < len(self._lines):
            length *= 2
        starts = range(0, len(self._lines), length)
        self._stretches = [self._lines[start : start + length] for start in starts]

    @property
    def names(self) -> list[str]:
        """All scalars, in the order in which they first appear."""
        return list(dict.fromkeys(n for line in self._lines for n in line if n != "step"))

    def steps(self) -> list[int]:
        """The middle of each stretch."""
        return [round(fmean(line["step"] for line in some)) for some in self._stretches]

    def of(self, name: str) -> dict[str, list[float | None]]:
        """`mean` of a scalar over each stretch, and `low` and `high` where those are not the same.

        None, where it is missing.
        """
        found = [[line[name] for line in some if name in line] for some in self._stretches]
        sides: dict[str, Callable] = {"mean": fmean}
        if len(self._lines) > len(self._stretches):
            sides |= {"low": min, "high": max}
        return {
            side: [float(f"{of(values):.5g}") if values else None for values in found]
            for side, of in sides.items()
        }

    def pace(self) -> float | None:
        """Images per second over the last ten stretches; None while nothing is known."""
        last = [mean for mean in self.of(PACE)["mean"][-10:] if mean is not None]
        return fmean(last) if last else None

    def seconds(self, batch_size: int) -> float:
        """How long a run of such batches was at work, pauses between its parts not included."""
        return batch_size * sum(
            max(line["step"] - before["step"], 0) / line[PACE]
            for before, line in pairwise([{"step": 0}, *self._lines])
            if line.get(PACE, 0) > 0
        )


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # pyright: ignore[reportArgumentType]
