"""What there is to do, the most important first, and how much of it fits into the time."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from benchmarks import searching, theirs, training
from benchmarks.setting import Setting
from benchmarks.timing import Spread, alternate
from benchmarks.work import Planned, Skipped, Work

SIZES = "latent search step by size"

_SHARE = 0.5
"""Of the time that is left, what one work may take."""

_BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
_WIDTHS = (32, 64, 96, 128)
_IMAGES = (32, 64, 128, 256)


@dataclass(frozen=True)
class Timed:
    """A work that was done, and what a step of each of its sides took, in the order of turns.

    The sides can be called no more: what they needed has made room for other works.
    """

    work: Work
    spreads: dict[str, Spread]


@dataclass(frozen=True)
class _Known:
    """What a turn of all sides took, and what it took to build them, for a work of this cost."""

    cost: float
    turn: float
    building: float


def plans(
    setting: Setting, batch_sizes: Sequence[int], others: Iterable[Work | Skipped]
) -> Iterator[Work | Planned | Skipped]:
    """Every kind of work at its smallest batch, then those of others, then larger ones.

    Args:
        setting: of the networks.
        batch_sizes: of training steps and searches; the other works take the smallest.
        others: works that are built already.
    """
    smallest, *larger = sorted(set(batch_sizes))
    small, larger = replace(setting, batch_size=smallest), map(_resized(setting), larger)
    yield _planned(training.matrix_product, "matrix product", small)
    yield _planned(training.dcgan_step, "DCGAN training step", small)
    yield _planned(searching.search_step, "latent search step", small)
    encoded = small.context_encoder.data.frame.size
    for name, build in (
        ("context encoder training step", training.context_encoder_step),
        ("context encoder inference", training.inference),
    ):
        yield _planned(build, name, small, size=encoded)
    yield _planned(searching.guided_search, searching.GUIDED, small)
    yield _planned(searching.fast_search, searching.ALGORITHMS, small)
    yield _planned(searching.whole_search, "latent search, 1,500 steps", small)
    yield from others
    for large in larger:
        yield _planned(training.dcgan_step, "DCGAN training step", large)
        yield _planned(searching.search_step, "latent search step", large)
    build = partial(searching.search_step, name=SIZES, modes=theirs.fastest)
    for point in sorted(_points(setting), key=_cost):
        yield _planned(build, SIZES, point)


class Budget:
    """The time that there is for everything, from when it is made."""

    def __init__(self, minutes: float) -> None:
        self._end, self._minutes = time.monotonic() + 60 * minutes, minutes

    @property
    def is_spent(self) -> str | None:
        """What there is to say when nothing more can be begun."""
        over = f"the {self._minutes:g} minutes are over; give more --minutes"
        return over if self._left <= 0 else None

    def too_long(self, *, turn: float, repetitions: int, building: float = 0.0) -> str | None:
        """Why a work is left out whose turns, and whose making, take so many seconds."""
        needed = building + turn * repetitions
        if needed <= _SHARE * self._left:
            return None
        spent = 60 * self._minutes - self._left
        compiling = f" and {building:.0f} s of compiling" if building else ""
        return (
            f"{repetitions} turns of {turn:.2g} s{compiling} take too long; "
            f"give --minutes {math.ceil((spent + needed / _SHARE) / 60)}"
        )

    @property
    def _left(self) -> float:
        return self._end - time.monotonic()


def run(
    works: Iterable[Work | Planned | Skipped],
    *,
    budget: Budget,
    repetitions: int,
    wanted: Callable[[str], bool],
    say: Callable[[str], None],
) -> Iterator[Timed | Skipped]:
    """Times one work after another, as long as there is time.

    Args:
        works: what there is to do.
        budget: what of it fits.
        repetitions: turns of all sides.
        wanted: whether to do a work of this name.
        say: is told what is being done.
    """
    known: dict[str, _Known] = {}
    for asked in works:
        if wanted(asked.name):
            yield _done(asked, known, budget, repetitions=repetitions, say=say)
        del asked  # a work ends before the next one is built


def _done(
    asked: Work | Planned | Skipped,
    known: dict[str, _Known],
    budget: Budget,
    *,
    repetitions: int,
    say: Callable[[str], None],
) -> Timed | Skipped:
    try:
        found = _ready(asked, known, budget, repetitions=repetitions, say=say)
        return found if isinstance(found, Skipped) else _times(found, repetitions)
    except Exception as error:  # memory that is short: what is smaller has its figures
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        return _skipped(asked, reason)


def _ready(
    asked: Work | Planned | Skipped,
    known: dict[str, _Known],
    budget: Budget,
    *,
    repetitions: int,
    say: Callable[[str], None],
) -> Work | Skipped:
    """A work that has been called once and that there is time for; or that there is none."""
    if isinstance(asked, Skipped):
        return asked
    if reason := budget.is_spent:
        return _skipped(asked, reason)
    if isinstance(asked, Work):
        say(f"{asked.name}, {asked.setting}")
        turn = _turn(asked)
        if budget.too_long(turn=turn, repetitions=repetitions):
            turn = _turn(asked)  # the first one may have compiled
        reason = budget.too_long(turn=turn, repetitions=repetitions)
        return _skipped(asked, reason) if reason else asked
    if (before := known.get(asked.name)) is not None:
        turn = before.turn * asked.cost / before.cost
        reason = budget.too_long(turn=turn, repetitions=repetitions, building=before.building)
        if reason:
            return _skipped(asked, reason)
    say(f"{asked.name}, {asked.setting}")
    start = time.monotonic()
    work = asked.build()
    building, turn = time.monotonic() - start, _turn(work)
    known[asked.name] = _Known(asked.cost, turn, building)
    reason = budget.too_long(turn=turn, repetitions=repetitions)
    return _skipped(asked, reason) if reason else work


def _skipped(work: Work | Planned | Skipped, reason: str) -> Skipped:
    return Skipped(name=work.name, setting=work.setting, reason=reason)


def _turn(work: Work) -> float:
    start = time.perf_counter()
    for side in work.sides.values():
        side.call()
    return time.perf_counter() - start


def _times(work: Work, repetitions: int) -> Timed:
    calls = [side.call for side in work.sides.values()]
    spreads = alternate(calls, repetitions=repetitions, steps=work.steps, warm_up=0)
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
    """Products of a convolution times how many of them there are, but for a factor."""
    area = setting.width**2 * setting.size**2
    return setting.batch_size * area * math.log2(setting.size / 4)


def _resized(setting: Setting) -> Callable[[int], Setting]:
    return lambda batch_size: replace(setting, batch_size=batch_size)


def _points(setting: Setting) -> set[Setting]:
    """Around the published network: each of three sizes alone."""
    center = Setting(steps=setting.steps)
    return {
        *(replace(center, batch_size=batch) for batch in _BATCHES),
        *(replace(center, width=width) for width in _WIDTHS),
        *(replace(center, size=size) for size in _IMAGES),
    }
