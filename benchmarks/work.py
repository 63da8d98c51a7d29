"""What a benchmark consists of: works, each with a few sides that do the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
class Work:
    """One thing to do.

    Attributes:
        name: what is done, "DCGAN training step".
        setting: what distinguishes works of the same name, "batch 64".
        images: how many images a call serves, all of its steps together.
        steps: how many steps a call does; times are given for one.
        flops: floating-point operations of a step, as XLA counts them in the native convolutions,
            whatever a device does to save some; None where arithmetic is not the point.
        bytes_moved: to and from memory in a step, as XLA counts them; None likewise.
        sides: by name, ours first.
        missing: other sides by name, and why each is not there.
        alike: all sides do the same; else it is algorithms that are compared.
    """

    name: str
    setting: str
    images: int
    steps: int = 1
    flops: float | None = None
    bytes_moved: float | None = None
    sides: Mapping[str, Side]
    missing: Mapping[str, str] = field(default_factory=dict)
    alike: bool = True


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A work that is built when its turn has come, and not if it would take too long.

    Attributes:
        name: as that of the work.
        setting: likewise.
        cost: what it takes, beside another work of the same name.
        build: makes the work, whose sides are compiled and have been called.
    """

    name: str
    setting: str
    cost: float
    build: Callable[[], Work]


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A work that was not done, and why: "grain is not installed"."""

    name: str
    setting: str
    reason: str
