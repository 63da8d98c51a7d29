"""Low-rank completion: every channel of an image is a matrix with few large singular values.

Matrices are [h, w] in 0..255, which is what the papers' constants are for, and what is known of
one is bool [h, w]. One matrix is written down here, and mapped over the channels and the batch. A
row or a column of which nothing is known has no part in any singular vector, so that every such
method leaves it 0: it is refused as NaN.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from ce_jax.completion import Found
from ce_jax.config import LowRank

# Of Lu et al.'s code: lambda starts at so many times the largest known value and falls to such a
# share of that, and mu bounds the slope of the error from above.
_FIRST_WEIGHT, _LAST_SHARE, _MU = 1000.0, 1e-5, 1.1


def propose(settings: LowRank, _: None, images: Array, hole: Array, key: Array) -> Found:
    """The completion of all channels; score: what is minimised, their sum; steps: their most.

    images [b, h, w, c] in [-1, 1], hole [b, h, w, 1]; the key [b] is not used.
    """
    algorithm = {"tnnr": truncated_nuclear_norm, "irnn": reweighted_nuclear_norm}
    complete = partial(algorithm[settings.algorithm], settings=settings)
    matrices = jnp.moveaxis(127.5 * (images + 1), -1, 1)
    over_channels = jax.vmap(complete, in_axes=(0, None))
    filled, score, steps = jax.vmap(over_channels)(matrices, ~hole[..., 0])
    proposal = jnp.clip(jnp.moveaxis(filled, 1, -1) / 127.5 - 1, -1, 1)
    lost = hole.all(axis=1, keepdims=True) | hole.all(axis=2, keepdims=True)
    return Found(jnp.where(lost, jnp.nan, proposal), score.sum(axis=1), steps.max(axis=1))


def truncated_nuclear_norm(
    matrix: Array, known: Array, *, settings: LowRank
) -> tuple[Array, Array, Array]:
    """argmin_X of all singular values but the r largest, X = `matrix` where known (Hu et al. 2013).

    They subtract tr(A X Bᵀ) from the nuclear norm, with A and B the r leading singular vectors,
    solve that convex problem by ADMM, and begin again with new vectors (algorithms 1 and 2). Here
    the vectors are new in every iteration, since thresholding takes the same decomposition.

    Returns:
        X, the sum of its singular values without the r largest, and the iterations spent.
    """

    class State(NamedTuple):
        low: Array
        copy: Array  # W of the paper, which agrees with what is known
        debt: Array  # Y / rho
        changing: Array
        step: Array

    def step(state: State) -> State:
        left, values, right = _svd(state.copy - state.debt)
        low = _product(left, jnp.maximum(values - 1 / settings.rho, 0), right)
        leading = _product(left, jnp.arange(len(values)) < settings.rank, right)
        free = low + state.debt + leading / settings.rho
        copy = jnp.where(known, matrix, free)
        moved = jnp.linalg.norm(low - state.low)
        changing = moved > settings.tolerance * jnp.linalg.norm(low)
        return State(low, copy, state.debt + low - copy, changing, state.step + 1)

    def unfinished(state: State) -> Array:
        return state.changing & (state.step < settings.steps)

    mean = jnp.sum(matrix * known) / jnp.maximum(jnp.sum(known), 1)
    start = jnp.where(known, matrix, mean)
    first = State(start, start, jnp.zeros_like(start), jnp.array(True), jnp.array(0))
    last = lax.while_loop(unfinished, step, first)
    completed = jnp.where(known, matrix, last.low)
    _, values, _ = _svd(completed)
    return completed, jnp.sum(values[settings.rank :]), last.step


def reweighted_nuclear_norm(
    matrix: Array, known: Array, *, settings: LowRank
) -> tuple[Array, Array, Array]:
    """argmin_X λ Σ s_i(X)^p + ||X - `matrix`||² / 2 over what is known, for falling λ (Lu 2014).

    A step goes down the error and lowers every singular value s by the slope of λ s^p, so that
    large ones stay; λ falls with every step. The slope is taken at the value that is lowered: one
    that was 0 can come back when λ is smaller.

    Returns:
        X with the known entries of `matrix`, Σ s_i(X)^p, and the iterations spent.
    """

    def step(number: Array, low: Array) -> Array:
        weight = first * _LAST_SHARE ** (number / settings.steps)
        left, values, right = _svd(low + jnp.where(known, matrix - low, 0) / _MU)
        slope = weight * settings.p * jnp.maximum(values, 1e-6) ** (settings.p - 1)
        return _product(left, jnp.maximum(values - slope / _MU, 0), right)

    first = _FIRST_WEIGHT * jnp.max(jnp.where(known, matrix, 0))
    low = lax.fori_loop(0, settings.steps, step, jnp.zeros_like(matrix))
    completed = jnp.where(known, matrix, low)
    _, values, _ = _svd(completed)
    return completed, jnp.sum(values**settings.p), jnp.array(settings.steps)


def _at_once(matrix: Array) -> tuple[Array, Array, Array]:
    left, values, right = jnp.linalg.svd(matrix, full_matrices=False)
    return left, values, right


_one_by_one = jax.custom_batching.sequential_vmap(_at_once)


def _svd(matrix: Array) -> tuple[Array, Array, Array]:
    # On CPU, a batch of decompositions is shared out among the same threads that run the devices:
    # with several simulated devices, each waits for a thread that another one holds, for ever.
    return lax.platform_dependent(matrix, cpu=_one_by_one, default=_at_once)


def _product(left: Array, values: Array, right: Array) -> Array:
    return jnp.matmul(left * values[jnp.newaxis], right, precision=lax.Precision.HIGHEST)
