"""The vote of the nearest: a missing pixel becomes the weighted mean of the known ones around it.

The surveys of inpainting begin with this method and leave the votes to the reader; here they are
weighted by distance, after Shepard 1968.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ce_jax.completion import Found, in_one_pass
from ce_jax.config import Neighbours


def propose(settings: Neighbours, _: None, images: Array, hole: Array, key: Array) -> Found:
    """Σ w_j x_j / Σ w_j with w_j = 1 / d_j^power, over the nearest known pixels; score 0, 0 steps.

    All that are as far away as the last of them vote too, so that the answer is unique, and turns
    with the image. Where nothing is known, it is mid grey. The images are shifted by one offset
    after the other, the nearest first, until every pixel has had its votes.

    images [b, h, w, c], hole [b, h, w, 1]; the key [b] is not used.
    """
    batch, height, width, channels = images.shape
    offsets = _nearest_first(height, width)
    squared = jnp.asarray(np.sum(offsets**2, axis=1))
    corners = jnp.asarray(offsets + np.array([height, width]))
    around = ((0, 0), (height, height), (width, width), (0, 0))
    # Who waited for more votes than there are voters would hold up the batch to the last offset.
    enough = jnp.minimum(settings.count, jnp.sum(~hole, axis=(1, 2, 3), keepdims=True))
    # The last channel is 1 where a pixel is known, and gathers the weights.
    known = jnp.pad(jnp.append(images, jnp.ones_like(images[..., :1]), axis=-1) * ~hole, around)

    def asks(number: Array, count: Array, farthest: Array) -> Array:
        return hole & ((count < enough) | (farthest == squared[number]))

    def unfinished(state: tuple[Array, Array, Array, Array]) -> Array:
        number, _, count, farthest = state
        return (number < len(squared)) & jnp.any(asks(number, count, farthest))

    def ask(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        number, votes, count, farthest = state
        row, column = corners[number]
        vote = lax.dynamic_slice(known, (0, row, column, 0), votes.shape)
        vote = jnp.where(asks(number, count, farthest), vote, 0)
        voted = vote[..., -1:] > 0
        votes = votes + vote * squared[number] ** (-settings.power / 2)
        return number + 1, votes, count + voted, jnp.where(voted, squared[number], farthest)

    nobody = jnp.zeros(hole.shape, jnp.int32)
    start = jnp.array(0), jnp.zeros((batch, height, width, channels + 1)), nobody, nobody
    votes = lax.while_loop(unfinished, ask, start)[1]
    weight = jnp.where(votes[..., -1:] > 0, votes[..., -1:], 1)
    return in_one_pass(jnp.where(hole, votes[..., :-1] / weight, images))


def _nearest_first(height: int, width: int) -> np.ndarray:
    """The offsets from a pixel to every other one of an image, by distance, [n, 2]."""
    rows, columns = np.mgrid[1 - height : height, 1 - width : width].reshape(2, -1)
    order = np.argsort(rows**2 + columns**2, kind="stable")[1:]
    return np.stack([rows, columns], axis=1)[order]
