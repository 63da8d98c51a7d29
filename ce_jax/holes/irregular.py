"""Irregular shapes of holes: smooth regions and brush strokes.

All is done in integers, which sum the same in any order: a hole is equal to the last bit under jit,
in another batch and on another device, even where a pixel just misses the threshold.
"""

import math

import jax
import jax.numpy as jnp

_PIXELS_PER_CELL = 16  # Pathak et al. enlarge their noise by 1 / 0.06

# Strokes are measured in units of which every image is so many wide, whatever its pixels.
_CANVAS = 1024
_MARGIN = 48  # brushes leave the image by so much, or borders would be missing less often
_WIDTH = _CANVAS + 2 * _MARGIN
_THINNEST, _THICKEST = 24, 72  # radii; 12 to 36 of 256 pixels wide, Yu et al. have 12 to 40
_SQUARES_OF_RADIUS = 24  # in a hole, at least: where little is missing, brushes are thin
_SEGMENTS = 8  # in a stroke; Yu et al. have 4 to 12
_COMPASS = tuple(
    (round(_CANVAS * math.sin(angle)), round(_CANVAS * math.cos(angle)))
    for angle in (math.radians(degrees) for degrees in range(0, 360, 6))
)
_PARTS = 1024  # of what is drawn as a part of something
_STROKE = (
    *[(0, _WIDTH)] * 2,  # where it starts
    (0, len(_COMPASS)),  # the direction of its axis
    (0, _PARTS),  # the part of the way from the thinnest to the thickest brush
    *[(3, 12)] * _SEGMENTS,  # points of the compass off the axis: 18 to 66 degrees
    *[(2 * _PARTS, 6 * _PARTS)] * _SEGMENTS,  # lengths, in parts of the brush's radius
)
"""The least of each random number that makes a stroke, and what it stays below."""
_NEVER = 2**31 - 1


def lowest(values: jax.Array, count: jax.Array | int) -> jax.Array:
    """True at exactly `count` lowest values: by place, so that equal values cannot add a pixel.

    values of any shape, count [] -> bool of the shape of the values.
    """
    chosen = jnp.arange(values.size) < count
    places = jnp.argsort(values.ravel())
    return jnp.zeros(values.size, bool).at[places].set(chosen).reshape(values.shape)


def smooth_noise(key: jax.Array, *, size: int) -> jax.Array:
    """Uniform noise enlarged bicubically, its grid shifted at random, int `[size, size]`."""
    noise_key, shift_key = jax.random.split(key)
    cells = math.ceil(size / _PIXELS_PER_CELL) + 4  # the kernel reaches two cells beyond each end
    noise = jax.random.randint(noise_key, (cells, cells), 0, 2**12)
    rows, columns = (
        _bicubic_weights(_PIXELS_PER_CELL + shift + jnp.arange(size), cells)
        for shift in jax.random.randint(shift_key, (2,), 0, _PIXELS_PER_CELL)
    )
    return (rows @ noise // (2 * _PIXELS_PER_CELL**3)) @ columns.T  # below 2^27


def free_form(key: jax.Array, first: int, last: int, *, size: int) -> jax.Array:
    """Brush strokes over more than `first` and at most `last` per cent of the pixels.

    How many pixels is drawn first, evenly. Then one stroke after another is painted, and the hole
    is what the brush touched first, down to the very pixel, so that the share needs no tolerance.
    A key paints the same picture at every size.

    Returns:
        bool `[size, size]`.
    """
    share_key, stroke_key = jax.random.split(key)
    part = jax.random.randint(share_key, (), 0, _PARTS, jnp.int32)  # of the way to `last`
    fewest, most = size**2 * first // 100 + 1, size**2 * last // 100
    whole, rest = divmod(most - fewest + 1, _PARTS)  # their product would not fit into 32 bits
    count = fewest + whole * part + rest * part // _PARTS
    area = (_PARTS * first + (last - first) * part) * (_CANVAS**2 // (100 * _PARTS))
    radii = jnp.arange(_THINNEST + 1, _THICKEST + 1)
    thickest = _THINNEST + jnp.sum(_SQUARES_OF_RADIUS * radii**2 <= area)

    def unfinished(painting: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.sum(painting[1] < _NEVER) < count

    def paint(painting: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        number, touched = painting
        when = _stroke(jax.random.fold_in(stroke_key, number), thickest, size)
        later = jnp.where(when < _NEVER, number * _SEGMENTS * 2**18 + when, _NEVER)
        return number + 1, jnp.minimum(touched, later)

    blank = jnp.array(0), jnp.full((size, size), _NEVER)
    return lowest(jax.lax.while_loop(unfinished, paint, blank)[1], count)


def _stroke(key: jax.Array, thickest: jax.Array, size: int) -> jax.Array:
    """When a stroke touches each pixel: below `_SEGMENTS` times 2^18, or `_NEVER`.

    The stroke of Yu et al. (2019, free-form mask generation): a brush of random width starts
    anywhere and zigzags in segments of random length and angle, with round joints. Here its axis
    points anywhere, segments are long and turns wide enough for a thick stroke not to become a
    blot, and what would leave the image by far is mirrored back rather than held at the border.
    """
    least, below = jnp.array(_STROKE, jnp.int32).T
    numbers = jax.random.randint(key, least.shape, least, below, jnp.int32)
    start, axis, width, turns, lengths = jnp.split(numbers, (2, 3, 4, 4 + _SEGMENTS))
    radius = _THINNEST + (thickest - _THINNEST + 1) * width[0] // _PARTS
    left_and_right = jnp.where(jnp.arange(_SEGMENTS) % 2, turns, -turns)
    headings = jnp.array(_COMPASS)[(axis + left_and_right) % len(_COMPASS)]
    steps = headings * (radius * lengths // _PARTS)[:, None] // _CANVAS
    path = jnp.concatenate([start[None], steps]).cumsum(axis=0)
    path = _WIDTH - jnp.abs(_WIDTH - path % (2 * _WIDTH)) - _MARGIN
    when = jax.vmap(lambda a, b: _segment(a, b, radius, size))(path[:-1], path[1:])
    order = jnp.arange(_SEGMENTS)[:, None, None] * 2**18
    return jnp.min(jnp.where(when < _NEVER, order + when, _NEVER), axis=0)


def _segment(start: jax.Array, end: jax.Array, radius: jax.Array, size: int) -> jax.Array:
    """The squared distance from the start where a thick line covers a pixel, elsewhere `_NEVER`.

    At most (7 * 72)², below 2^18: the longest line and the brush beyond it.
    """
    pixels = (2 * jnp.arange(size) + 1) * _CANVAS // (2 * size)  # their centres
    y, x = pixels[:, None] - start[0], pixels[None, :] - start[1]
    height, width = end - start
    squared_length = height**2 + width**2
    along = y * height + x * width
    # A square that would not fit into 32 bits is of a pixel far outside.
    across = jnp.minimum(jnp.abs(y * width - x * height), 46_340)
    beside = (across**2 <= radius**2 * squared_length) & (along >= 0) & (along <= squared_length)
    from_start, from_end = y**2 + x**2, (y - height) ** 2 + (x - width) ** 2
    covered = beside | (jnp.minimum(from_start, from_end) <= radius**2)
    return jnp.where(covered, from_start, _NEVER)


def _bicubic_weights(at: jax.Array, cells: int) -> jax.Array:
    """Keys' kernel (1981, eq. 15), a = -1/2, times 2p³ for p pixels per cell; rows sum to 2p³.

    Returns:
        int `[len(at), cells]`, what each cell gives to the pixels `at`.
    """
    p = _PIXELS_PER_CELL
    d = jnp.abs(at[:, None] - p * jnp.arange(cells)[None, :])
    near = 3 * d**3 - 5 * d**2 * p + 2 * p**3
    far = -(d**3) + 5 * d**2 * p - 8 * d * p**2 + 4 * p**3
    return jnp.where(d < p, near, jnp.where(d < 2 * p, far, 0))
