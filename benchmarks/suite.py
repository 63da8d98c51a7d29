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
    """A work that was done, and what a step of each of its sides took, in the order of turns."""

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
    yield _planned(searching.fast_search, "latent search to the result", small)
    yield _planned(searching.whole_search, "latent search, 1,500 steps", small)
    yield from others
    for large in larger:
        yield _planned(training.dcgan_step, "DCGAN training step", large)
        yield _planned(searching.search_step, "latent search step", large)
    build = partial(searching.search_step, name=SIZES, modes=theirs.fastest)
    for point in sorted(_points(setting), key=_cost):
        yield _planned(build, SIZES, point)


def run(
    works: Iterable[Work | Planned | Skipped],
    *,
    minutes: float,
    repetitions: int,
    wanted: Callable[[str], bool],
    say: Callable[[str], None],
) -> Iterator[Timed | Skipped]:
    """Times one work after another, as long as there is time.

    Args:
        works: what there is to do.
        minutes: for everything.
        repetitions: turns of all sides.
        wanted: whether to do a work of this name.
        say: is told what is being done.
    """
    begun, known = time.monotonic(), {}

    def left() -> float:
        return 60 * minutes - (time.monotonic() - begun)

    def too_long(turn: float, building: float) -> str | None:
        """Why a work is not done whose turns take so long."""
        needed = building + turn * repetitions
        if needed <= _SHARE * left():
            return None
        enough = math.ceil((60 * minutes - left() + needed / _SHARE) / 60)
        return f"a turn of all sides takes {turn:.2g} s; give --minutes {enough}"

    for planned in works:
        if not wanted(planned.name):
            continue
        if isinstance(planned, Skipped):
            yield planned
            continue
        skipped = partial(Skipped, name=planned.name, setting=planned.setting)
        say(f"{planned.name}, {planned.setting}")
        work = planned
        if isinstance(planned, Planned):
            before = known.get(planned.name)
            if before is not None:
                times = planned.cost / before.cost
                # A graph of twice the size is not twice as long in the making.
                if reason := too_long(before.turn * max(times, 0.1), before.building):
                    yield skipped(reason=reason)
                    continue
            if left() <= 0:
                yield skipped(reason=f"the {minutes:g} minutes are over; give more --minutes")
                continue
            start = time.monotonic()
            try:
                work = planned.build()
            except Exception as error:  # memory that is short: what is smaller has its figures
                yield skipped(reason=f"{type(error).__name__}: {str(error).splitlines()[0]}")
                continue
            building = time.monotonic() - start
        turn = _turn(work)
        if isinstance(planned, Planned):
            known[planned.name] = _Known(planned.cost, turn, building)
        elif too_long(turn, 0.0):
            turn = _turn(work)  # the first one may have compiled
        if reason := too_long(turn, 0.0):
            yield skipped(reason=reason)
            continue
        yield Timed(work, _times(work, repetitions))


def _turn(work: Work) -> float:
    start = time.perf_counter()
    for side in work.sides.values():
        side.call()
    return time.perf_counter() - start


def _times(work: Work, repetitions: int) -> dict[str, Spread]:
    calls = [side.call for side in work.sides.values()]
    spreads = alternate(calls, repetitions=repetitions, steps=work.steps, warm_up=0)
    return {
        name: spread.scaled(1 / side.part)
        for (name, side), spread in zip(work.sides.items(), spreads, strict=True)
    }


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
