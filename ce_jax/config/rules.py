"""What every experiment is checked with, before anything is compiled."""


class ConfigError(ValueError):
    """A field of an experiment holds a value that makes no sense."""


def require(condition: bool, field: str, value: object, rule: str) -> None:
    """Raises ConfigError, naming the field, its value and the rule, unless the condition holds."""
    if not condition:
        raise ConfigError(f"{field} must be {rule}, got {value!r}.")


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
