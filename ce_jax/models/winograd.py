"""Winograd's minimal filtering F(2, 2): nine matrix products of the sixteen of a 2x2 kernel.

Two neighbouring outputs of a filter of two taps,

    y0 = k0 x0 + k1 x1      as three products      k0 (x0 - x1),   (k0 + k1) x1,   k1 (x1 - x2)
    y1 = k0 x1 + k1 x2      instead of four; y0 is the first and the second, y1 the second less
                            the third.

In rows and in columns that makes nine tiles of each array, with sums and differences alone around
their products. The transposes are written out, as sums of whole arrays and an interleaving, where
a derived one would add up arrays that are half zeros.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax


def tiles_of_large(large: Array) -> list[Array]:
    """What the filter reads: [b, 2h + 1, 2w + 1, c] -> nine [b, h, w, c]."""
    return _split_both_ways(_split_large, large, rows=1, columns=2)


def large_of_tiles(tiles: list[Array]) -> Array:
    """The transpose of `tiles_of_large`: nine [b, h, w, c] -> [b, 2h + 1, 2w + 1, c]."""
    return _join_both_ways(_join_large, tiles)


def tiles_of_kernel(kernel: Array) -> list[Array]:
    """The filter: [2, 2, c, o] -> nine [c, o]."""
    return _split_both_ways(_split_kernel, kernel, rows=0, columns=1)


def tiles_of_small(small: Array) -> list[Array]:
    """The transpose of `small_of_tiles`: [b, 2h, 2w, o] -> nine [b, h, w, o]."""
    return _split_both_ways(_split_small, small, rows=1, columns=2)


def small_of_tiles(tiles: list[Array]) -> Array:
    """What the filter makes, from the products of the tiles above.

    Nine [b, h, w, o] -> [b, 2h, 2w, o].
    """
    return _join_both_ways(_join_small, tiles)


def _split_large(x: Array, axis: int) -> list[Array]:
    even, odd = _every_second(x, axis)
    before = lax.slice_in_dim(even, 0, -1, axis=axis)
    after = lax.slice_in_dim(even, 1, None, axis=axis)
    return [before - odd, odd, odd - after]


def _join_large(parts: list[Array], axis: int) -> Array:
    first, second, third = parts
    even = _padded(first, axis, (0, 1)) - _padded(third, axis, (1, 0))
    odd = _padded(second + third - first, axis, (0, 1))
    return lax.slice_in_dim(_interleaved(even, odd, axis), 0, -1, axis=axis)


def _split_kernel(k: Array, axis: int) -> list[Array]:
    first, second = (lax.index_in_dim(k, i, axis, keepdims=False) for i in (0, 1))
    return [first, first + second, second]


def _split_small(y: Array, axis: int) -> list[Array]:
    even, odd = _every_second(y, axis)
    return [even, even + odd, -odd]


def _join_small(parts: list[Array], axis: int) -> Array:
    first, second, third = parts
    return _interleaved(first + second, second - third, axis)


def _every_second(x: Array, axis: int) -> tuple[Array, Array]:
    return lax.slice_in_dim(x, 0, None, 2, axis), lax.slice_in_dim(x, 1, None, 2, axis)


def _interleaved(even: Array, odd: Array, axis: int) -> Array:
    shape = list(even.shape)
    shape[axis] *= 2
    return jnp.stack([even, odd], axis + 1).reshape(shape)


def _padded(x: Array, axis: int, around: tuple[int, int]) -> Array:
    return jnp.pad(x, [around if i == axis else (0, 0) for i in range(x.ndim)])


def _split_both_ways(split: Callable, x: Array, *, rows: int, columns: int) -> list[Array]:
    """Columns first; the nine one row of tiles after another."""
    by_column = [split(part, rows) for part in split(x, columns)]
    return [tile for row in zip(*by_column, strict=True) for tile in row]


def _join_both_ways(join: Callable, tiles: list[Array]) -> Array:
    """Of images: the columns of each row of tiles, then the rows."""
    return join([join(tiles[i : i + 3], 2) for i in (0, 3, 6)], 1)
