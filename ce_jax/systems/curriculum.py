"""Learning on demand: kinds of hole, from easy to hard, that share a batch by how well they go.

On-demand learning (Gao and Grauman 2017), the self-tuned encoder-decoder of Salem et al.: after
every epoch each level i of N is validated, and gets B_i = (1 / p_i) / sum_j (1 / p_j) * B images of
a batch of B. The pseudo-code of Salem et al. (figure 4) calls p the mean squared L2; then harder
levels, whose error is larger, would get less, against their own text. Here p is the PSNR.
"""

import jax.numpy as jnp
from jax import Array


def counts_of(shares: Array, *, batch_size: int) -> Array:
    """Whole numbers as near to `shares` of a batch as can be, which add up to it: int32 [N].

    By the largest remainder: all are rounded down, and what is left goes one by one to those that
    lost most.

    Args:
        shares: [N], positive, with sum 1.
        batch_size: B.
    """
    wanted = shares * batch_size
    least = jnp.floor(wanted).astype(jnp.int32)
    place = jnp.argsort(jnp.argsort(least - wanted))
    return least + (place < batch_size - jnp.sum(least))


def on_demand(psnr: Array, *, batch_size: int) -> Array:
    """B_i for each level from its PSNR p_i in dB, [N] -> int32 [N]: harder levels get more."""
    demand = 1 / jnp.maximum(psnr, 1.0)  # a network that has learned nothing may be below 0 dB
    return counts_of(demand / jnp.sum(demand), batch_size=batch_size)


def levels_of(counts: Array, position: Array) -> Array:
    """The level of each image from its position in the batch, int [b] -> int [b]."""
    return jnp.searchsorted(jnp.cumsum(counts), position, side="right")
