"""Neural patches: which known one each patch at a hole is most like, and how far it still is.

A patch is a square of places in a feature map [b, h, w, c]. One that lies in known places alone is
a candidate; every other depends on the hole, and is matched with a candidate (Yang et al. 2016,
eq. 3 and 4). Matches are products of matrices, and are made once: after that, with f the features
at a place that n patches reach and t the mean of what they want there, the squared distance of all
patches is n |f - t|^2 and what their wishes differ by, summed over the places.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ce_jax import holes

_SIMILARITIES = 2**20
"""How many of an image are in memory at a time."""
_TINY = 1e-8


class Wish(NamedTuple):
    """What the patches at the holes want of a feature map, in units of its known part.

    Attributes:
        wanted: t, [b, h, w, c].
        weight: n over the number of entries of all matched patches, [b, h, w, 1].
        rest: what the wishes of overlapping patches differ by, [b].
        unit: root mean square of the known features, [b].
    """

    wanted: Array
    weight: Array
    rest: Array
    unit: Array


def wish(features: Array, hole: Array, *, patch: int, stride: int) -> Wish:
    """The nearest known patch of every patch at the hole, overlaid.

    Args:
        features: [b, h, w, c].
        hole: of the image they were made from, [b, n, n, 1] with n a multiple of h.
        patch: side of a patch, in places.
        stride: places from one to the next; the last row and column of patches always counts.

    Returns:
        Without a known patch, or without a hole, a wish of no weight.
    """
    known = ~near(hole, factor=hole.shape[1] // features.shape[1])
    places, channels = jnp.sum(known, axis=(1, 2, 3)), features.shape[-1]
    unit = jnp.sqrt(
        jnp.sum(jnp.where(known, features, 0.0) ** 2, axis=(1, 2, 3))
        / jnp.maximum(places * channels, 1)
    )
    features = features / jnp.maximum(unit, _TINY).reshape(-1, 1, 1, 1)
    side = min(patch, features.shape[1])

    def rows(array: Array) -> Array:
        return patches(array, side=side, stride=stride)

    mine = rows(features)
    candidate = jnp.all(rows(known), axis=2)
    matched = ~candidate & jnp.any(candidate, axis=1, keepdims=True)
    found = jax.vmap(lambda rows, at: rows[at])(mine, nearest(mine, candidate))
    found = jnp.where(matched[..., None], found, 0.0)

    def overlaid(values: Array, channels: int) -> Array:
        shape = jax.ShapeDtypeStruct((*features.shape[:3], channels), values.dtype)
        (sums,) = jax.linear_transpose(rows, shape)(values)
        return sums

    reached = jnp.broadcast_to(matched[..., None], (*matched.shape, side**2))
    count = overlaid(reached.astype(features.dtype), 1)
    wanted = overlaid(found, channels) / jnp.maximum(count, 1)
    entries = jnp.maximum(jnp.sum(matched, axis=1) * found.shape[2], 1)
    rest = jnp.sum(found**2, axis=(1, 2)) - jnp.sum(count * wanted**2, axis=(1, 2, 3))
    return Wish(wanted, count / entries.reshape(-1, 1, 1, 1), rest / entries, unit)


def texture_loss(features: Array, wish: Wish) -> Array:
    """Mean square that the patches differ from what they were matched with, in units, [b]."""
    difference = features / jnp.maximum(wish.unit, _TINY).reshape(-1, 1, 1, 1) - wish.wanted
    return jnp.sum(wish.weight * difference**2, axis=(1, 2, 3)) + wish.rest


def near(hole: Array, *, factor: int) -> Array:
    """Places of a feature map that have a hole under them or beside them: [b, n, n, 1] -> bool.

    The place beside is for what a place sees beyond its own pixels: all of it in the first layers
    of a context encoder, the middle of it in VGG19.
    """
    reduced = holes.reduce(hole, factor=factor)
    return lax.reduce_window(reduced, False, lax.bitwise_or, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")


def patches(features: Array, *, side: int, stride: int) -> Array:
    """All patches as rows: [b, h, w, c] -> [b, patches, side^2 c]."""
    b, height, width, c = features.shape
    down, right = (_places(length, side, stride) for length in (height, width))
    places = width * down[:, None, :, None] + right[None, :, None, :]
    rows = features.reshape(b, height * width, c)[:, places.reshape(-1, side**2)]
    return rows.reshape(b, -1, side**2 * c)


def nearest(rows: Array, candidate: Array) -> Array:
    """Where among the candidates the normalised cross-correlation is greatest, for every row.

    rows [b, n, d], candidate bool [b, n] -> [b, n]; arbitrary where there is no candidate.
    """
    length = jnp.sqrt(jnp.sum(rows**2, axis=2, keepdims=True))
    rows = rows / jnp.maximum(length, _TINY)

    def best(row: Array) -> Array:
        similarity = jnp.einsum("bd,bnd->bn", row, rows)
        return jnp.argmax(jnp.where(candidate, similarity, -jnp.inf), axis=1)

    at_a_time = max(_SIMILARITIES // rows.shape[1], 1)
    return lax.map(best, jnp.moveaxis(rows, 1, 0), batch_size=at_a_time).T


def _places(length: int, side: int, stride: int) -> np.ndarray:
    """The places of each patch along one axis, [patches, side]."""
    starts = np.unique([*range(0, length - side + 1, stride), length - side])
    return starts[:, None] + np.arange(side)
