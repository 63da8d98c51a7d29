"""Holes: which pixels of a photograph are missing, each drawn from its own key.

A hole is bool, True where pixels are missing.
"""

import contextlib
import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from ce_jax.holes.irregular import free_form, lowest, smooth_noise

KINDS: Mapping[str, str] = {
    "center": "a side in whole pixels, as in center:24",
    "block": "a side in whole pixels, or the first and the last of several: block:24, block:7-12",
    "blocks": "a share above 0 and below 1, as in blocks:0.25",
    "random": "a share above 0 and below 1, as in random:0.8",
    "pattern": "a share above 0 and below 1, as in pattern:0.25",
    "free-form": "two whole per cents from 0 to 99, as in free-form:20-30",
    "half": "left, right, top or bottom, as in half:left",
    "quarter": "top-left, top-right, bottom-left or bottom-right, as in quarter:top-left",
}
"""The names of all hole kinds, and what may stand behind their colon."""

_USUAL = {"random": 0.8, "pattern": 0.25, "blocks": 0.25, "free-form": (1, 60)}
_EDGES = ("left", "right", "top", "bottom")
_CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")
_BLOCKS_TRIED = 32


class HoleError(ValueError):
    """A hole that cannot be drawn or read; the message says which one and what to do."""


@dataclasses.dataclass(frozen=True)
class HoleKind:
    """A way of drawing holes, hashable so that it can be static under `jax.jit`.

    Attributes:
        name: one of `KINDS`.
        parameter: the side of `center` and `block` in pixels (None: half the image; two numbers:
            any from the first to the last), the share of missing pixels of `random`, `pattern` and
            `blocks`, the bin of `free-form` in per cent, the missing side of `half`, the corner of
            `quarter` (None: by chance).
    """

    name: str
    parameter: int | float | str | tuple[int, int] | None = None

    def __post_init__(self) -> None:
        match self.name, self.parameter:
            case "center" | "block" | "half" | "quarter", None:
                return
            case "center" | "block", int(side) if side > 0:
                return
            case "block", (int(first), int(last)) if 0 < first <= last:
                return
            case "random" | "pattern" | "blocks", float(share) if 0 < share < 1:
                return
            case "free-form", (int(first), int(last)) if 0 <= first < last < 100:
                return
            case "half", str(edge) if edge in _EDGES:
                return
            case "quarter", str(corner) if corner in _CORNERS:
                return
            case name, value if name in KINDS:
                raise HoleError(f"hole kind '{self}': {value!r} is not {KINDS[name]}")
            case _:
                raise HoleError(f"hole kind '{self}' is unknown; {kinds_for(self.name)}")

    def __str__(self) -> str:
        match self.parameter:
            case None:
                return self.name
            case (first, last):
                return f"{self.name}:{first}-{last}"
            case parameter:
                return f"{self.name}:{parameter}"


def parse(kind: str) -> HoleKind:
    """The hole kind that is written as `NAME` or `NAME:PARAMETER`, as in `random:0.8`.

    Raises:
        HoleError: the name is unknown, or the parameter is not one that it takes.
    """
    name, colon, parameter = kind.partition(":")
    return HoleKind(name, _parameter(parameter) if colon else _USUAL.get(name))


def draw(kind: HoleKind, key: jax.Array, *, size: int) -> jax.Array:
    """One hole per key.

    `center`, `pattern`, `random` and `half` are the holes of Yeh et al. (2017, section 4.1).
    `random` takes exactly `round(share * size²)` pixels anywhere, `pattern` as many in smooth
    regions: the random regions of Pathak et al. (2016, section 3.3), cut at their own quantile so
    that the share is exact. `block` is a square at a random place; `blocks` are squares of an
    eighth to a quarter of the side, each within `share` of the image, that may overlap, as many as
    fit into it: the random blocks of Pathak et al., who leave their sizes open. `free-form` are
    brush strokes as in Yu et al. (2019) whose share lies in (first, last] per cent, the bins of Liu
    et al. (2018).
    `quarter` is the square of Salem et al. in one corner, as `quarter` says.

    Args:
        kind: how to draw; static under `jax.jit`, as is `size`.
        key: typed keys `[b]`, one per image. A hole depends on its own key and on nothing else.
        size: side of the square images in pixels.

    Returns:
        bool `[b, size, size, 1]`, True where pixels are missing.

    Raises:
        HoleError: the hole would leave nothing to fill, or nothing to fill it from.
    """
    return jax.vmap(lambda one: _draw_one(kind, one, size))(key)[..., None]


def quarter(corner: str, *, size: int) -> tuple[int, int, int]:
    """Top, left and side of the square that is missing of a quarter of the image, in pixels.

    128 pixels of 350 (Salem et al., section V), in the middle of the quarter: the paper leaves the
    exact place open. Opposite corners mirror each other.

    Args:
        corner: top-left, top-right, bottom-left or bottom-right.
        size: side of the image in pixels.
    """
    side = size * 128 // 350
    near = (size // 2 - side) // 2
    far = size - side - near
    vertical, horizontal = corner.split("-")
    return near if vertical == "top" else far, near if horizontal == "left" else far, side


def check(kind: HoleKind, *, size: int) -> None:
    """Raises `HoleError`, as `draw` would, unless such holes fit into images of this size."""
    jax.eval_shape(lambda: draw(kind, jax.random.key(0)[None], size=size))


def draw_any(kinds: Sequence[HoleKind], key: jax.Array, *, size: int) -> jax.Array:
    """One hole per key `[b]`, of a kind that each chooses among `kinds`; else as `draw`."""
    if len(kinds) == 1:
        return draw(kinds[0], key, size=size)
    keys = jax.vmap(lambda one: jax.random.split(one, 1 + len(kinds)))(key)
    choice = jax.vmap(lambda one: jax.random.randint(one, (), 0, len(kinds)))(keys[:, 0])
    return _chosen(kinds, choice, keys[:, 1:], size)


def draw_chosen(
    kinds: Sequence[HoleKind], choice: jax.Array, key: jax.Array, *, size: int
) -> jax.Array:
    """One hole per key `[b]`, of the kind that `choice`, int `[b]`, numbers; else as `draw`."""
    keys = jax.vmap(lambda one: jax.random.split(one, len(kinds)))(key)
    return _chosen(kinds, choice, keys, size)


def reduce(hole: jax.Array, *, factor: int) -> jax.Array:
    """The hole at a size `factor` times smaller, where every pixel that it touches is missing.

    bool `[b, h, w, 1]` -> `[b, h / factor, w / factor, 1]`; `factor` divides both sides.
    """
    b, height, width, _ = hole.shape
    cells = hole.reshape(b, height // factor, factor, width // factor, factor, 1)
    return jnp.any(cells, axis=(2, 4))


def kinds_for(name: str) -> str:
    """All kinds of hole, for an error message, and the one that `name` may have been meant as."""
    nearest = difflib.get_close_matches(name, KINDS, n=1, cutoff=0.5)
    question = f"did you mean {nearest[0]}? " if nearest else ""
    return f"{question}kinds are {', '.join(KINDS)}"


def _chosen(kinds: Sequence[HoleKind], choice: jax.Array, key: jax.Array, size: int) -> jax.Array:
    every = jnp.stack([draw(kind, key[:, i], size=size) for i, kind in enumerate(kinds)])
    return jnp.take_along_axis(every, choice[None, :, None, None, None], axis=0)[0]


def _parameter(text: str) -> int | float | str | tuple[int, int]:
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    with contextlib.suppress(ValueError):
        first, last = map(int, text.split("-"))
        return first, last
    return text


def _draw_one(kind: HoleKind, key: jax.Array, size: int) -> jax.Array:
    match kind:
        case HoleKind("center", None | int() as side):
            side = _fitting_side(kind, side, size)
            start = (size - side) // 2
            return _square(start, start, side, size)
        case HoleKind("block", None | int() as side):
            side = _fitting_side(kind, side, size)
            top, left = jax.random.randint(key, (2,), 0, size - side + 1)
            return _square(top, left, side, size)
        case HoleKind("block", (int(first), int(last))):
            _fitting_side(kind, last, size)
            return _square_anywhere(key, first, last, size)
        case HoleKind("blocks", float(share)):
            return _blocks(kind, key, _count(kind, share, size), size)
        case HoleKind("quarter", corner):
            squares = jnp.array([quarter(corner, size=size) for corner in _CORNERS])
            top, left, side = squares[_chance(key, _CORNERS, corner)]
            return _square(top, left, side, size)
        case HoleKind("random", float(share)):
            return lowest(jax.random.bits(key, (size, size)), _count(kind, share, size))
        case HoleKind("pattern", float(share)):
            return lowest(smooth_noise(key, size=size), _count(kind, share, size))
        case HoleKind("free-form", (int(first), int(last))):
            if size**2 * first // 100 == size**2 * last // 100:
                raise HoleError(f"hole '{kind}' takes no whole pixel of {size}x{size}; use more")
            return free_form(key, first, last, size=size)
        case _:
            return _half(key, kind.parameter, size)


def _fitting_side(kind: HoleKind, side: int | None, size: int) -> int:
    side = side or size // 2
    if not 0 < side < size:
        raise HoleError(f"hole '{kind}' does not fit into {size} pixels; use 1 to {size - 1}")
    return side


def _count(kind: HoleKind, share: float, size: int) -> int:
    count = round(share * size * size)
    if not 0 < count < size * size:
        raise HoleError(f"hole '{kind}' takes {count} of {size}x{size} pixels; use another share")
    return count


def _square(
    top: jax.Array | int, left: jax.Array | int, side: jax.Array | int, size: int
) -> jax.Array:
    at = jnp.arange(size)
    rows, columns = ((start <= at) & (at < start + side) for start in (top, left))
    return rows[:, None] & columns[None, :]


def _square_anywhere(key: jax.Array, first: int, last: int, size: int) -> jax.Array:
    side_key, place_key = jax.random.split(key)
    side = jax.random.randint(side_key, (), first, last + 1)
    top, left = jax.random.randint(place_key, (2,), 0, size - side + 1)
    return _square(top, left, side, size)


def _blocks(kind: HoleKind, key: jax.Array, most: int, size: int) -> jax.Array:
    """The union of squares, each taken unless more than `most` pixels would then be missing."""
    first, last = max(size // 8, 1), min(max(size // 4, 1), math.isqrt(most))
    if last < first:
        raise HoleError(
            f"hole '{kind}' may take {most} of {size}x{size} pixels, but its smallest square has "
            f"{first**2}; use a larger share"
        )
    keys = jax.random.split(key, _BLOCKS_TRIED)
    squares = jax.vmap(lambda one: _square_anywhere(one, first, last, size))(keys)

    def add(hole: jax.Array, square: jax.Array) -> tuple[jax.Array, None]:
        larger = hole | square
        return jnp.where(jnp.sum(larger) <= most, larger, hole), None

    return jax.lax.scan(add, jnp.zeros((size, size), bool), squares)[0]


def _half(key: jax.Array, edge: object, size: int) -> jax.Array:
    left = jnp.tile(jnp.arange(size) < size // 2, (size, 1))
    halves = jnp.stack([left, left[:, ::-1], left.T, left.T[::-1]])  # in the order of _EDGES
    return halves[_chance(key, _EDGES, edge)]


def _chance(key: jax.Array, places: Sequence[str], place: object) -> jax.Array | int:
    """The number of a place, any of them for None."""
    if place is None:
        return jax.random.randint(key, (), 0, len(places))
    return places.index(str(place))
