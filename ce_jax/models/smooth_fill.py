"""A smooth fill of holes on the device, of any shape, for what a network begins with.

Push and pull (Gortler et al. 1996, section 4.3, after Burt): what is known is averaged down to ever
smaller images, until nothing is missing, and what is missing taken from there on the way up; at
each size a few Jacobi steps towards Laplace's equation smooth what was taken. It is fast, and
close to a membrane, but no exact solution: `ce_jax.blending.membranes` solves on the host.
"""

import jax.numpy as jnp
from jax import Array, lax

_SWEEPS = 4
"""Jacobi steps at each size; with them the fill of random holes is as good as the solution's."""


def smooth_fill(images: Array, hole: Array) -> Array:
    """Images [b, s, s, c] whose holes are filled smoothly from the known pixels around.

    Args:
        images: not read in the hole.
        hole: [b, s, s, 1], True where pixels are missing. Nothing known: filled with 0.
    """
    return _pulled(jnp.where(hole, 0, images), 1 - hole.astype(images.dtype))


def _pulled(sums: Array, weights: Array) -> Array:
    """The filled image of `weights` [b, s, s, 1] known and `sums` [b, s, s, c] of its values."""
    known = weights > 0
    values = sums / jnp.where(known, weights, 1)
    if sums.shape[1] % 2:
        total = jnp.sum(weights, (1, 2), keepdims=True)
        mean = jnp.sum(sums, (1, 2), keepdims=True) / jnp.maximum(total, 1e-6)
        return jnp.where(known, values, mean)
    coarse = _pulled(shrink(sums, 2), shrink(weights, 2))
    filled = jnp.where(known, values, _enlarged(_enlarged(coarse, axis=1), axis=2))
    for _ in range(_SWEEPS):
        filled = jnp.where(known, values, _mean_of_neighbours(filled))
    return filled


def shrink(images: Array, factor: int) -> Array:
    """Means of squares of `factor` x `factor` pixels, [b, n, n, c] -> [b, n / factor, ...]."""
    b, height, width, c = images.shape
    cells = images.reshape(b, height // factor, factor, width // factor, factor, c)
    return jnp.mean(cells, axis=(2, 4))


def _enlarged(x: Array, *, axis: int) -> Array:
    """Twice as many pixels along an axis, by linear interpolation between their centres.

    A quarter of a number is exact. So it does not matter which of these products a compiler fuses
    with its sum, and it may do otherwise for the last images of a batch than for the others.
    """
    edges = [(0, 0)] * x.ndim
    edges[axis] = (1, 1)
    around, count = jnp.pad(x, edges, mode="edge"), x.shape[axis]
    before, after = (lax.slice_in_dim(around, i, i + count, axis=axis) for i in (0, 2))
    pairs = jnp.stack([x + (before - x) / 4, x + (after - x) / 4], axis=axis + 1)
    return pairs.reshape(*x.shape[:axis], 2 * count, *x.shape[axis + 1 :])


def _mean_of_neighbours(x: Array) -> Array:
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows, columns = padded[:, :, 1:-1], padded[:, 1:-1]
    return (rows[:, :-2] + rows[:, 2:] + columns[:, :, :-2] + columns[:, :, 2:]) / 4
