"""Total variation inpainting by ADMM (Afonso, Bioucas-Dias, Figueiredo 2011), all images at once.

Written for one image [h, w, c] in [0, 1] and mapped over the batch: one that has converged stays
as it is while others go on.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jax import Array, lax

from ce_jax.completion import Found
from ce_jax.config import TotalVariation


class _State(NamedTuple):
    """u; its copies d = ∇u and w = u, and what both have owed it so far (scaled multipliers)."""

    image: Array
    slope: Array
    copy: Array
    slope_debt: Array
    copy_debt: Array
    changing: Array
    step: Array


def propose(settings: TotalVariation, _: None, images: Array, hole: Array, key: Array) -> Found:
    """The image of least total variation, which is its score, and the iterations spent.

    images [b, h, w, c] in [-1, 1], hole [b, h, w, 1]; the key [b] is not used.
    """
    filled, steps = jax.vmap(partial(inpaint, settings=settings))((images + 1) / 2, hole)
    return Found(jnp.clip(2 * filled - 1, -1, 1), jax.vmap(total_variation)(filled), steps)


def total_variation(image: Array) -> Array:
    """Σ |∇u| over the pixels of [h, w, c]; the norm is over both differences and all channels."""
    return jnp.sum(_size(_gradient(image)))


def inpaint(image: Array, hole: Array, *, settings: TotalVariation) -> tuple[Array, Array]:
    """argmin_u Σ |∇u| subject to u = `image` where known.

    Split into min Σ |d| subject to d = ∇u, w = u, and w = `image` where known. Then u solves
    (∇ᵀ∇ + 1) u = ∇ᵀd + w, by one cosine transform; d shrinks ∇u by 1 / rho; w copies u.

    Args:
        image: [h, w, c] in [0, 1], read where known only; where nothing is, u is mid grey.
        hole: bool [h, w, 1].
        settings: rho, which changes the way and not the goal, and when to stop.

    Returns:
        u with the known pixels of `image`, and the iterations spent (int32).
    """
    height, width, _ = image.shape
    rows, columns = _cosines(height), _cosines(width)
    laplacian = _eigenvalues(height)[:, None, None] + _eigenvalues(width)[None, :, None]

    def step(state: _State) -> _State:
        asked = _gradient_transposed(state.slope - state.slope_debt) + state.copy - state.copy_debt
        waves = _along_both(rows, columns, asked) / (laplacian + 1)
        u = _along_both(rows.T, columns.T, waves)
        slope, copy = _gradient(u) + state.slope_debt, u + state.copy_debt
        shrunk = slope * (1 - 1 / jnp.maximum(settings.rho * _size(slope), 1))
        fixed = jnp.where(hole, copy, image)
        moved = jnp.linalg.norm(u - state.image)
        changing = moved > settings.tolerance * jnp.linalg.norm(u)
        return _State(u, shrunk, fixed, slope - shrunk, copy - fixed, changing, state.step + 1)

    def unfinished(state: _State) -> Array:
        return state.changing & (state.step < settings.steps)

    mean = jnp.where(hole.all(), 0.5, jnp.mean(image, axis=(0, 1), where=~hole))
    start = jnp.where(hole, mean, image)
    flat, none = jnp.zeros_like(_gradient(start)), jnp.zeros_like(start)
    first = _State(start, flat, start, flat, none, jnp.array(True), jnp.array(0))
    last = lax.while_loop(unfinished, step, first)
    return last.copy, last.step


def _gradient(image: Array) -> Array:
    """Differences to the pixels below and to the right, 0 at the border: [h, w, c, 2]."""
    down = jnp.diff(image, axis=0, append=image[-1:])
    right = jnp.diff(image, axis=1, append=image[:, -1:])
    return jnp.stack([down, right], axis=-1)


def _gradient_transposed(slope: Array) -> Array:
    """∇ᵀ, which is minus the divergence: [h, w, c, 2] -> [h, w, c]."""
    down = jnp.pad(slope[:-1, ..., 0], ((1, 1), (0, 0), (0, 0)))
    right = jnp.pad(slope[:, :-1, :, 1], ((0, 0), (1, 1), (0, 0)))
    return -jnp.diff(down, axis=0) - jnp.diff(right, axis=1)


def _size(slope: Array) -> Array:
    """|∇u| of every pixel, [h, w, 1, 1]."""
    return jnp.sqrt(jnp.sum(slope**2, axis=(2, 3), keepdims=True))


def _cosines(size: int) -> Array:
    """The orthonormal cosine transform (DCT-II), which diagonalises ∇ᵀ∇ along one axis."""
    return jnp.asarray(scipy.fft.dct(np.eye(size), norm="ortho", axis=0), jnp.float32)


def _eigenvalues(size: int) -> Array:
    return jnp.asarray(2 - 2 * np.cos(np.pi * np.arange(size) / size), jnp.float32)


def _along_both(rows: Array, columns: Array, image: Array) -> Array:
    return jnp.einsum("ki,ijc,lj->klc", rows, image, columns, precision=lax.Precision.HIGHEST)
