"""What every experiment is checked with, before anything is compiled."""

from collections.abc import Callable, Sequence
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    get_args,
    get_origin,
    get_type_hints,
)


class ConfigError(ValueError):
    """A field of an experiment holds a value that makes no sense."""


class Rule(NamedTuple):
    """What the value of a field must be: in words, and whether it is."""

    name: str
    holds: Callable[[Any], bool]


def at_least(least: int) -> Rule:
    """From a number on."""
    return Rule(f"at least {least}", lambda number: number >= least)


def among(*values: int) -> Rule:
    """One of these."""
    return Rule(f"one of {', '.join(map(str, values))}", values.__contains__)


def _is_colour(colour: Sequence[float]) -> bool:
    return len(colour) == 3 and all(0 <= part <= 255 for part in colour)


POSITIVE = Rule("positive", lambda number: number > 0)
SHARE = Rule("in [0, 1]", lambda number: 0 <= number <= 1)
BELOW_1 = Rule("in [0, 1)", lambda number: 0 <= number < 1)
SEED = Rule("in [0, 2**32), the seeds that JAX tells apart", lambda seed: 0 <= seed < 2**32)
COLOUR = Rule("three numbers from 0 to 255", _is_colour)
# An object store cannot replace a file by another at once.
LOCAL = Rule("a folder on a disk", lambda folder: "://" not in folder)


class Part:
    """A part of an experiment, whose fields obey the rules in their annotations.

    Raises:
        ConfigError: one does not, or is none of its literal choices; None obeys where it is allowed.
    """

    _prefix: ClassVar[str] = ""

    def __init_subclass__(cls, *, called: str | None = None) -> None:
        if called is not None:
            cls._prefix = f"{called}."

    def __post_init__(self) -> None:
        for field, kind in get_type_hints(type(self), include_extras=True).items():
            bare, *rules = get_args(kind) if get_origin(kind) is Annotated else (kind,)
            value, choices = getattr(self, field), get_args(bare)
            if get_origin(bare) is Literal:
                rules = [Rule(" or ".join(map(str, choices)), choices.__contains__)]
            elif value is None and type(None) in choices:
                continue
            for rule in rules:
                if isinstance(rule, Rule) and (value is None or not rule.holds(value)):
                    raise refused(self, self._prefix + field, rule.name)


def require(condition: bool, field: str, value: object, rule: str) -> None:
    """Raises ConfigError, naming the field, its value and the rule, unless the condition holds."""
    if not condition:
        raise ConfigError(f"{field} must be {rule}, got {value!r}.")


def require_only(part: object, field: str, value: object, why: str) -> None:
    """Raises ConfigError unless a field of a part of an experiment has the one value it can have."""
    if getattr(part, field.rpartition(".")[2]) != value:
        raise refused(part, field, f"{value} {why}")


def refused(part: object, field: str, rule: str) -> ConfigError:
    """The error of a part of an experiment whose field is not what it must be."""
    return ConfigError(f"{field} must be {rule}, got {getattr(part, field.rpartition('.')[2])!r}.")


def nearest(number: int, divisor: int) -> str:
    """The multiples of a divisor on both sides of a number that it does not divide: `16 or 24`."""
    below = number // divisor * divisor
    return f"{below} or {below + divisor}" if below else f"{divisor}"
