"""What a benchmark consists of: works, each with a few sides that do the same.

A work begins as `Planned`, or is there at once; built, it is a `Work`, whose sides can be called;
at last it is `Timed`, or it was `Skipped` on the way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.timing import Spread

OURS = ("JAX", "ce_jax")
"""What the names of our sides begin with: in JAX, or on the host without it."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One way to do a work.

    Attributes:
        call: does it once and returns when it is done.
        compile_seconds: from Python to machine code, before the first call.
        part: what share of the work a call does; its time is taken for so much more.
        peak_bytes: memory of the device that it needs at once, with all that it keeps there; None
            where nobody has counted.
    """

    call: Callable[[], object]
    compile_seconds: float = 0.0
    part: float = 1.0
    peak_bytes: float | None = None


@dataclass(frozen=True, kw_only=True)
class Named:
    """A work at any stage.

    Attributes:
        name: what is done, "DCGAN training step".
        setting: what distinguishes works of the same name, "batch 64".
    """

    name: str
    setting: str

    def skipped(self, reason: str) -> "Skipped":
        """It was not done."""
        return Skipped(name=self.name, setting=self.setting, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Planned(Named):
    """Before: a work that is not built until its turn has come, nor if it would take too long.

    Attributes:
        cost: what it takes, beside another work of the same name.
        build: makes the work, whose sides are compiled and have been called.
    """

    cost: float
    build: Callable[[], "Work"]


@dataclass(frozen=True, kw_only=True)
class Work(Named):
    """Now: a work that is built and can be done.

    Attributes:
        images: how many images a call serves, all of its steps together.
        steps: how many steps a call does; times are given for one.
        flops: floating-point operations of a step, as XLA counts them in the native convolutions,
            whatever a device does to save some; None where arithmetic is not the point.
        sides: by name, ours first.
        missing: other sides by name, and why each is not there.
        alike: all sides do the same; else it is algorithms that are compared.
    """

    images: int
    steps: int = 1
    flops: float | None = None
    sides: Mapping[str, Side]
    missing: Mapping[str, str] = field(default_factory=dict)
    alike: bool = True


@dataclass(frozen=True)
class Timed:
    """After: a work that was done, and what a step of each side took, in the order of turns.

    The sides can be called no more: what they needed has made room for other works.
    """

    work: Work
    spreads: Mapping[str, Spread]


@dataclass(frozen=True, kw_only=True)
class Skipped(Named):
    """Instead: a work that was not done, and why: "grain is not installed"."""

    reason: str


class OutOfTime(Exception):
    """There is no time for a work; says so."""


def why(error: Exception) -> str:
    """The reason why something was not done, in one line."""
    if isinstance(error, OutOfTime):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
