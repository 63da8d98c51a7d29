"""A square around the hole of a photograph of any size, as a network sees it, and the way back.

The hole of a photograph is bool [h, w, 1]; what stands in it is never read. A square may reach
beyond the photograph, where a hole is longer than its shorter side: there, everything is missing.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from ce_jax import blending
from ce_jax.config import Frame
from ce_jax.images import UnreadableImage

# So many times the hole: half of what a network sees is then known, as in its training.
_AROUND = 2
# A square of this side that is mostly empty still fits into memory.
_LONGEST = 8192
# Up to so many pixels, Poisson's equation is solved directly.
_SOLVED_DIRECTLY = 60_000
_STEPS, _TOLERANCE = 200, 2e-4


class Square(NamedTuple):
    """A square in a photograph, in its pixels; it may begin before the first."""

    top: int
    left: int
    side: int


class Place(NamedTuple):
    """Where a completed square belongs: the square, and the hole in the box that encloses it.

    Attributes:
        square: what was cut out.
        top: of the box, in pixels of the photograph; the box has a rim of known pixels.
        left: of the box.
        hole: bool [height, width, 1], in the box.
        missing: share of the whole photograph.
    """

    square: Square
    top: int
    left: int
    hole: np.ndarray
    missing: float


def place_of(hole: np.ndarray, size: int, frame: Frame | None) -> Place:
    """Where to cut a square for a network of that size, and to put it back.

    Twice as large as the hole, at least as large as what the network sees, and no larger than the
    photograph unless the hole is. With a frame it is that of the frame, if the hole lies in it.

    Raises:
        UnreadableImage: the hole is far longer than the photograph's shorter side.
    """
    height, width = hole.shape[:2]
    rows, columns = (np.flatnonzero(hole[..., 0].any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        square = Square((height - min(height, width)) // 2, 0, min(height, width))
        return Place(square, 0, 0, hole[:0, :0], 0.0)
    spans = (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)
    extent = max(end - begin for begin, end in spans)
    square = None if frame is None else _of_frame(frame, height, width)
    if square is None or not all(
        first <= begin and end <= first + square.side
        for first, (begin, end) in zip((square.top, square.left), spans, strict=True)
    ):
        fits = min(height, width)
        wanted = max(_AROUND * extent, size)
        side = wanted if wanted <= fits else max(fits, extent)
        if side > max(fits, _LONGEST):
            raise UnreadableImage(
                f"the hole is {extent} pixels long, in a photograph of {width}x{height}; at most "
                f"{_LONGEST} are completed beyond its shorter side"
            )
        sides = zip(spans, (height, width), strict=True)
        first, begin = (_begin(*span, side, length) for span, length in sides)
        square = Square(first, begin, side)
    top, left = (max(begin - 1, 0) for begin, _ in spans)
    bottom, right = (end + 1 for _, end in spans)
    return Place(square, top, left, hole[top:bottom, left:right].copy(), float(hole.mean()))


def seen(
    photograph: np.ndarray, hole: np.ndarray, square: Square, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """What a network sees of a square: uint8 [size, size, 3] and its hole, bool [size, size, 1].

    A small pixel is the mean of the known ones that it covers, and missing if more than half of
    them are.

    Args:
        photograph: uint8 [h, w, 3].
        hole: bool [h, w, 1].
        square: where to look.
        size: side of what is seen, in pixels.
    """
    known, colours = _cut(~hole, square)[..., 0], _cut(photograph, square)
    share = _resized(known, (size, size))
    channels = [_resized(channel * known, (size, size)) for channel in np.moveaxis(colours, -1, 0)]
    means = np.stack(channels, axis=-1) / np.maximum(share, 0.5)[..., np.newaxis]
    missing = share[..., np.newaxis] < 0.5
    return np.where(missing, 0, means.round()).clip(0, 255).astype(np.uint8), missing


def paste(photograph: np.ndarray, completed: np.ndarray, place: Place, *, blend: str) -> np.ndarray:
    """The box of a place with its hole filled, at the photograph's own size.

    The completed square is enlarged (bicubic); with Poisson's equation it then meets the known
    pixels without a seam, as in `blending.poisson`, to within a small part of a grey level.

    Args:
        photograph: float64 [h, w, 3] in [-1, 1], the box alone.
        completed: float [size, size, 3] in [-1, 1], the square as a network has it.
        place: where it belongs.
        blend: poisson or overlay.

    Returns:
        [height, width, 3], known pixels as in `photograph`.
    """
    square, hole = place.square, place.hole
    (top, bottom, above, below), (left, right, before, behind) = (
        _within(start, length, square.side)
        for start, length in zip(
            (place.top - square.top, place.left - square.left), hole.shape[:2], strict=True
        )
    )
    scale = len(completed) / square.side
    box = (left * scale, top * scale, right * scale, bottom * scale)
    channels = [
        _resized(channel, (bottom - top, right - left), box=box)
        for channel in np.moveaxis(completed, -1, 0)
    ]
    # The rim of the box may lie outside of the square.
    rim = ((above, below), (before, behind), (0, 0))
    proposal = np.pad(np.stack(channels, axis=-1).astype(np.float64), rim, mode="edge")
    if blend == "poisson":
        proposal = proposal + _membrane(np.where(hole, 0, photograph - proposal), hole)
    return np.where(hole, proposal.clip(-1, 1), photograph)


def _membrane(values: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The harmonic extension of [h, w, c] into a hole [h, w, 1], from coarse to fine if large."""
    if hole.sum() <= _SOLVED_DIRECTLY or hole.all():
        return blending.harmonic(values[np.newaxis], hole[np.newaxis])[0]
    height, width = hole.shape[:2]
    padding = ((0, height % 2), (0, width % 2), (0, 0))
    known = np.pad((~hole).astype(float), padding)
    cells = (known.shape[0] // 2, 2, known.shape[1] // 2, 2, -1)
    share = known.reshape(cells).sum(axis=(1, 3))
    sums = np.pad(values * ~hole, padding).reshape(cells).sum(axis=(1, 3))
    coarse = _membrane(sums / np.maximum(share, 1), share == 0)
    guess = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return _relaxed(np.where(hole, guess, values), hole)


def _relaxed(values: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Conjugate gradients on the Laplace equation in the hole, from the values that stand there."""

    def laplacian(x: np.ndarray) -> np.ndarray:
        y = np.zeros_like(x)
        down, across = np.diff(x, axis=0), np.diff(x, axis=1)
        y[1:] += down
        y[:-1] -= down
        y[:, 1:] += across
        y[:, :-1] -= across
        return np.where(hole, y, 0)

    x, residual = values, -laplacian(values)
    direction, power = residual, np.sum(residual**2, axis=(0, 1))
    for _ in range(_STEPS):
        if np.abs(residual).max() < _TOLERANCE:
            break
        moved = laplacian(direction)
        step = power / np.maximum(np.sum(direction * moved, axis=(0, 1)), 1e-300)
        x, residual = x + step * direction, residual - step * moved
        before, power = power, np.sum(residual**2, axis=(0, 1))
        direction = residual + power / np.maximum(before, 1e-300) * direction
    return x


def _begin(begin: int, end: int, side: int, length: int) -> int:
    """Where a side begins that has the span in its middle, and lies inside if it fits."""
    if side > length:
        return (length - side) // 2
    return min(max((begin + end - side) // 2, 0), length - side)


def _of_frame(frame: Frame, height: int, width: int) -> Square | None:
    """The square that a frame shows of a photograph; None where its box is not inside."""
    left, top, right, bottom = frame.box or (0, 0, width, height)
    if right > width or bottom > height:
        return None
    shorter = min(bottom - top, right - left)
    side = round(shorter * frame.size / (frame.shorter_side or frame.size))
    return Square((top + bottom - side) // 2, (left + right - side) // 2, side)


def _cut(image: np.ndarray, square: Square) -> np.ndarray:
    """The square of an image [h, w, c]; zero beyond it."""
    starts = (square.top, square.left)
    inside = tuple(slice(max(start, 0), max(start + square.side, 0)) for start in starts)
    padding = [
        (max(-start, 0), max(start + square.side - length, 0))
        for start, length in zip(starts, image.shape, strict=False)
    ]
    return np.pad(image[inside], (*padding, (0, 0)))


def _within(start: int, length: int, side: int) -> tuple[int, int, int, int]:
    """Of so many pixels from `start` on: first and end inside, and how many lie beyond."""
    first, end = max(start, 0), min(start + length, side)
    return first, end, first - start, start + length - end


def _resized(
    image: np.ndarray,
    shape: tuple[int, int],
    *,
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """[h, w], or a box in it, in another shape: means of what a pixel covers, or bicubic.

    Args:
        image: of any number type; comes back as float32.
        shape: height and width.
        box: left, top, right, bottom.
    """
    left, top, right, bottom = box or (0, 0, *image.shape[::-1])
    picture = Image.fromarray(np.ascontiguousarray(image, np.float32))
    smaller = shape[0] < bottom - top
    method = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
    height, width = shape
    return np.asarray(picture.resize((width, height), method, (left, top, right, bottom)))
