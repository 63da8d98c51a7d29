"""The scalars of a run over its steps, in little memory however long it is."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

PACE = "images/s"
"""The scalar that says how fast a run was between one line and the next."""

# About twice as many as a screen has columns of pixels to draw them in.
_MOST = 2000
_DIGITS = 5


class _Range(NamedTuple):
    """What the values of a scalar were over a stretch of lines."""

    lines: int
    total: float
    low: float
    high: float

    def joined(self, other: Self) -> Self:
        return type(self)(
            self.lines + other.lines,
            self.total + other.total,
            min(self.low, other.low),
            max(self.high, other.high),
        )


_Stretch = Mapping[str, _Range]


class Curves:
    """Every scalar of a run, in stretches of equally many lines: the mean and both ends of each.

    A stretch is one line at first. Whenever there are too many, each two become one, so that what
    is kept is a function of the lines alone, whether they came one by one or out of a file.
    """

    def __init__(self, lines: Iterable[Mapping[str, Any]] = (), *, most: int = _MOST) -> None:
        self.step, self._seconds_for_each_image = 0, 0.0
        self._stretches: list[_Stretch] = []
        self._most, self._length, self._room = most, 1, 0
        for line in lines:
            self.add(line)

    def add(self, line: Mapping[str, Any]) -> None:
        """Takes down the scalars of a step, which is `line["step"]`; one without it is no line."""
        if not isinstance(line.get("step"), int):
            return
        numbers = {name: value for name, value in line.items() if _is_number(value)}
        if numbers.get(PACE, 0) > 0:
            self._seconds_for_each_image += max(line["step"] - self.step, 0) / numbers[PACE]
        self.step = line["step"]
        one = {name: _Range(1, value, value, value) for name, value in numbers.items()}
        if self._room:
            self._stretches[-1] = _joined(self._stretches[-1], one)
            self._room -= 1
            return
        if len(self._stretches) == self._most:
            pairs = zip(self._stretches[::2], self._stretches[1::2], strict=True)
            self._stretches = [_joined(*pair) for pair in pairs]
            self._length *= 2
        self._stretches.append(one)
        self._room = self._length - 1

    def copy(self) -> "Curves":
        """The same as it stands; nothing but a list is copied, however long the run was."""
        other = Curves(most=self._most)
        vars(other).update(vars(self))
        other._stretches = self._stretches.copy()
        return other

    @property
    def names(self) -> list[str]:
        """All scalars, in the order in which they first appear."""
        return list(dict.fromkeys(n for s in self._stretches for n in s if n != "step"))

    def steps(self) -> list[int]:
        """The middle of each stretch."""
        return [round(_mean(stretch["step"])) for stretch in self._stretches]

    def of(self, name: str) -> dict[str, list[float | None]]:
        """`mean` of a scalar over each stretch, and `low` and `high` where those are not the same.

        None, where it is missing.
        """
        found = [stretch.get(name) for stretch in self._stretches]
        sides = {"mean": [one and _rounded(_mean(one)) for one in found]}
        if self._length > 1:
            sides["low"] = [one and _rounded(one.low) for one in found]
            sides["high"] = [one and _rounded(one.high) for one in found]
        return sides

    def pace(self) -> float | None:
        """Images per second over the last ten stretches; None while nothing is known."""
        last = [one.total / one.lines for s in self._stretches[-10:] if (one := s.get(PACE))]
        return sum(last) / len(last) if last else None

    def seconds(self, batch_size: int) -> float:
        """How long a run of such batches was at work, pauses between its parts not included."""
        return batch_size * self._seconds_for_each_image


def _joined(one: _Stretch, other: _Stretch) -> _Stretch:
    both = {name: one[name].joined(other[name]) for name in one.keys() & other.keys()}
    return {**one, **other, **both}


def _mean(values: _Range) -> float:
    return values.total / values.lines


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # pyright: ignore[reportArgumentType]
