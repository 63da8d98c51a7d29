"""What there is to do, the most important first, and how much of it fits into the time."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from benchmarks import searching, theirs, training
from benchmarks.setting import Setting
from benchmarks.timing import alternate
from benchmarks.work import OutOfTime, Planned, Skipped, Timed, Work, why

BY_SIZE = "latent search step by size"

_SHARE = 0.5
"""Of the time that is left, what one work may take."""

_BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
_WIDTHS = (32, 64, 96, 128)
_IMAGES = (32, 64, 128, 256)


def plans(
    setting: Setting, batch_sizes: Sequence[int], others: Iterable[Work | Skipped]
) -> Iterator[Work | Planned | Skipped]:
    """Every kind of work at its smallest batch, then those of others, then larger ones.

    Args:
        setting: of the networks.
        batch_sizes: of training steps and searches; the other works take the smallest.
        others: works that are built already.
    """
    small, *larger = (replace(setting, batch_size=count) for count in sorted(set(batch_sizes)))
    encoded = small.context_encoder.data.frame.size
    yield _planned(training.matrix_product, "matrix product", small)
    yield _planned(training.dcgan_step, "DCGAN training step", small)
    yield _planned(searching.search_step, "latent search step", small)
    yield _planned(
        training.context_encoder_step, "context encoder training step", small, size=encoded
    )
    yield _planned(training.inference, "context encoder inference", small, size=encoded)
    yield _planned(searching.guided_search, searching.GUIDED, small)
    yield _planned(searching.fast_search, searching.ALGORITHMS, small)
    yield _planned(searching.whole_search, "latent search, 1,500 steps", small)
    yield from others
    for large in larger:
        yield _planned(training.dcgan_step, "DCGAN training step", large)
        yield _planned(searching.search_step, "latent search step", large)
    build = partial(searching.search_step, name=BY_SIZE, keep=theirs.fastest)
    for point in sorted(_points(setting), key=lambda one: (_cost(one), one.batch_size, one.width)):
        yield _planned(build, BY_SIZE, point)


class Budget:
    """The time that there is for everything, from when it is made."""

    def __init__(self, minutes: float) -> None:
        self._end, self._minutes = time.monotonic() + 60 * minutes, minutes

    def begin(self) -> None:
        """Raises OutOfTime when nothing more can be begun."""
        if self._left <= 0:
            raise OutOfTime(f"the {self._minutes:g} minutes are over; give more --minutes")

    def spare(self, *, turn: float, repetitions: int, building: float = 0.0) -> None:
        """Raises OutOfTime for a work whose turns, and whose making, take so many seconds."""
        needed = building + turn * repetitions
        if needed > _SHARE * self._left:
            spent = 60 * self._minutes - self._left
            compiling = f" and {building:.0f} s of compiling" if building else ""
            raise OutOfTime(
                f"{repetitions} turns of {turn:.3g} s{compiling} take too long; "
                f"give --minutes {math.ceil((spent + needed / _SHARE) / 60)}"
            )

    @property
    def _left(self) -> float:
        return self._end - time.monotonic()


class _Known(NamedTuple):
    """What a turn of all sides took, and what it took to build them, for a work of this cost."""

    cost: float
    turn: float
    building: float


class Bench:
    """Times one work after another, as long as there is time.

    Args:
        budget: what of them fits.
        repetitions: turns of all sides.
        say: is told what is being done.
    """

    def __init__(self, budget: Budget, *, repetitions: int, say: Callable[[str], None]) -> None:
        self._budget, self._repetitions, self._say = budget, repetitions, say
        self._known: dict[str, _Known] = {}

    def time(self, asked: Planned | Work | Skipped) -> Timed | Skipped:
        """What a work took, or why it was not done."""
        if isinstance(asked, Skipped):
            return asked
        try:
            self._budget.begin()
            work = self._built(asked) if isinstance(asked, Planned) else self._called(asked)
            return _timed(work, self._repetitions)
        except Exception as error:  # memory that is short: what is smaller has its figures
            return asked.skipped(why(error))

    def _built(self, planned: Planned) -> Work:
        """The work, if it fits: by what a smaller one has taken, and by its own first turn."""
        if (smaller := self._known.get(planned.name)) is not None:
            self._fit(smaller.turn * planned.cost / smaller.cost, building=smaller.building)
        self._say(f"{planned.name}, {planned.setting}")
        start = time.monotonic()
        work = planned.build()
        building, turn = time.monotonic() - start, _turn(work)
        self._known[planned.name] = _Known(planned.cost, turn, building)
        self._fit(turn)
        return work

    def _called(self, work: Work) -> Work:
        """The same work, if it fits by its first turn or by its second: the first may compile."""
        self._say(f"{work.name}, {work.setting}")
        try:
            self._fit(_turn(work))
        except OutOfTime:
            self._fit(_turn(work))
        return work

    def _fit(self, turn: float, *, building: float = 0.0) -> None:
        self._budget.spare(turn=turn, repetitions=self._repetitions, building=building)


def _turn(work: Work) -> float:
    start = time.perf_counter()
    for side in work.sides.values():
        side.call()
    return time.perf_counter() - start


def _timed(work: Work, repetitions: int) -> Timed:
    calls = [side.call for side in work.sides.values()]
    spreads = alternate(calls, repetitions=repetitions, steps=work.steps)
    pairs = zip(work.sides.items(), spreads, strict=True)
    scaled = {name: spread.scaled(1 / side.part) for (name, side), spread in pairs}
    ended = {name: replace(side, call=_over) for name, side in work.sides.items()}
    return Timed(replace(work, sides=ended), scaled)


def _over() -> None:
    raise RuntimeError("this work is over")


def _planned(
    build: Callable[[Setting], Work], name: str, setting: Setting, *, size: int | None = None
) -> Planned:
    label = training.label(setting, size)
    return Planned(name=name, setting=label, cost=_cost(setting), build=partial(build, setting))


def _cost(setting: Setting) -> float:
    """Products of a convolution times how many of them a call makes, but for a factor."""
    area = setting.width**2 * setting.size**2
    return setting.steps * setting.batch_size * area * math.log2(setting.size / 4)


def _points(setting: Setting) -> set[Setting]:
    """Around the published network: each of three sizes alone.

    What a call costs beside its steps is nothing to a large one, which makes fewer of them.
    """
    center = Setting(steps=1)
    points = {
        *(replace(center, batch_size=batch) for batch in _BATCHES),
        *(replace(center, width=width) for width in _WIDTHS),
        *(replace(center, size=size) for size in _IMAGES),
    }
    few = {point: setting.steps / max(_cost(point) / _cost(center), 1) for point in points}
    return {replace(point, steps=max(round(steps), 1)) for point, steps in few.items()}
