"""Retrieval: the photograph of a collection that agrees best with the known pixels.

The small form of scene completion (Hays & Efros 2007) that Pathak et al. and Yeh et al. compare
with: one nearest neighbour, pasted or blended in. With y the image, W its known pixels and t a
photograph of the collection,

    sum W (y - t)^2 = sum W y^2 - 2 (W y) . t + W . t^2

is two matrix products for a batch of images and as many photographs as the device is given at a
time: the collection stays on the host, so it may be larger than the memory of the device.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from ce_jax import data, images, sharding
from ce_jax.config import Frame

Array = jax.Array

_AT_A_TIME = 2048
"""Photographs that the device is given at a time; 100 MB of floats at 64x64."""


def method(source: str, frame: Frame, mesh: Mesh) -> Callable[..., tuple[Array, Array, Array]]:
    """(nothing, images, hole, key) -> (proposal, score, steps), on the host and on the devices.

    The score is the root of the mean square by which the neighbour misses the known pixels, in
    [0, 2]; 0 where nothing is known. Of equally near neighbours it is the first.

    Args:
        source: the collection.
        frame: how its photographs become squares.
        mesh: the devices that share the images of a batch.

    Raises:
        SourceError: there is no such collection.
    """
    collection = data.collection(source, frame)
    shared, whole = sharding.split(mesh), sharding.replicated(mesh)
    nearer = jax.jit(
        closest,
        in_shardings=(shared, shared, shared, whole, whole),
        out_shardings=shared,
        donate_argnums=0,
    )

    def propose(variables: None, images_: Array, hole: Array, key: Array):
        count = len(images_)
        best = jnp.full(count, jnp.inf), jnp.zeros(count, jnp.int32)
        for first in range(0, len(collection), _AT_A_TIME):
            some = collection[first : first + _AT_A_TIME]
            best = nearer(best, images_, hole, some, first)
        distance, index = map(np.asarray, best)
        known = 3 * np.sum(~np.asarray(hole), axis=(1, 2, 3))
        score = np.sqrt(np.maximum(distance, 0) / np.maximum(known, 1))
        proposal = images.to_float(collection[index])
        return jnp.asarray(proposal), jnp.asarray(score), jnp.zeros(count, jnp.int32)

    return propose


def closest(
    best: tuple[Array, Array], images_: Array, hole: Array, photographs: Array, first: Array | int
) -> tuple[Array, Array]:
    """The nearest so far, and among some more photographs.

    Args:
        best: square distances over the known pixels, and indices, [b] each.
        images_: [b, s, s, 3].
        hole: [b, s, s, 1].
        photographs: uint8 [n, s, s, 3].
        first: the index of the first of them.
    """
    collection = images.to_float(photographs).reshape(len(photographs), -1)
    known = jnp.broadcast_to(~hole, images_.shape).reshape(len(images_), -1)
    seen = jnp.where(known, images_.reshape(known.shape), 0.0)
    exactly = partial(jnp.matmul, precision="highest")  # differences of large sums
    squares = exactly(known.astype(seen.dtype), jnp.square(collection).T)
    squares -= 2 * exactly(seen, collection.T)
    distance = jnp.sum(jnp.square(seen), axis=1, keepdims=True) + squares
    index = jnp.argmin(distance, axis=1)
    found = jnp.take_along_axis(distance, index[:, None], axis=1)[:, 0]
    nearer = found < best[0]
    return jnp.where(nearer, found, best[0]), jnp.where(nearer, first + index, best[1])
