"""What every experiment is checked with, before anything is compiled."""

from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints


class ConfigError(ValueError):
    """A field of an experiment holds a value that makes no sense."""


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


class Range(NamedTuple):
    """What fields must lie in: an interval, and how it is called."""

    name: str
    interval: str
    fields: tuple[str, ...]

    def has(self, number: Any) -> bool:
        """Whether the interval does."""
        low, high = map(float, self.interval[1:-1].split(", "))
        closed = {low: self.interval[0] == "[", high: self.interval[-1] == "]"}
        return low < number < high or closed.get(number, False)


def at_least(least: int, *fields: str) -> Range:
    """From a number on."""
    return Range(f"at least {least}", f"[{least}, inf]", fields)


def positive(*fields: str) -> Range:
    """More than nothing."""
    return Range("positive", "(0, inf]", fields)


def within(interval: str, *fields: str) -> Range:
    """Between two numbers, as in [0, 1), which has 0 and has not 1."""
    return Range(f"in {interval}", interval, fields)


def check(part: object, name: str, *ranges: Range) -> None:
    """Raises ConfigError for a number out of its range, or what is none of its literal choices.

    Args:
        part: of an experiment.
        name: of the part, which messages put before those of its fields; may be empty.
        ranges: of its numbers; None is left alone where it is allowed.
    """
    prefix, kinds = name and f"{name}.", get_type_hints(type(part))
    for numbers in ranges:
        for field in numbers.fields:
            value = getattr(part, field)
            left_out = value is None and type(None) in get_args(kinds[field])
            if not left_out and not numbers.has(value):
                raise refused(part, prefix + field, numbers.name)
    for field, kind in kinds.items():
        if get_origin(kind) is Literal and getattr(part, field) not in get_args(kind):
            raise refused(part, prefix + field, " or ".join(map(str, get_args(kind))))


def require_size(size: int, sizes: tuple[int, ...], field: str, *, of: str = "") -> None:
    """Raises ConfigError for a side that is not among those that networks take."""
    require(size in sizes, field, size, f"one of {', '.join(map(str, sizes))}{of}")


def require_colour(colour: tuple[int, int, int]) -> None:
    """Raises ConfigError for what is not an 8-bit colour to paint holes with."""
    whole = len(colour) == 3 and all(0 <= value <= 255 for value in colour)
    require(whole, "model.fill", colour, "three numbers from 0 to 255")


def require_seed(seed: int) -> None:
    """Raises ConfigError for a seed that JAX cannot tell from another one."""
    require(0 <= seed < 2**32, "seed", seed, "in [0, 2**32), the seeds that JAX tells apart")


def require_local(folder: str, field: str) -> None:
    """Raises ConfigError for a folder in an object store, where files cannot be replaced."""
    require("://" not in folder, field, folder, "a folder on a disk")


def nearest(number: int, divisor: int) -> str:
    """The multiples of a divisor on both sides of a number that it does not divide: `16 or 24`."""
    below = number // divisor * divisor
    return f"{below} or {below + divisor}" if below else f"{divisor}"
