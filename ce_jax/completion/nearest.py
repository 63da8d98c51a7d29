"""Retrieval: the photograph of a collection that agrees best with what is known of an image.

The small form of scene completion (Hays & Efros 2007) that Pathak et al. and Yeh et al. compare
with: one nearest neighbour, pasted or blended in. The collection stays on the host, so it may be
larger than the memory of the device, which is given as many photographs as it can take at a time.

Without a model the known pixels are compared. With y the image, W its known pixels and t a
photograph of the collection,

    sum W (y - t)^2 = sum W y^2 - 2 (W y) . t + W . t^2

is two matrix products for a batch of images and some photographs.

With a context encoder its features are compared, by the angle between them. Pathak et al. 2016 look
for "context nearest neighbours" so: patches whose surroundings are close in the embedding space of
the encoder, which never saw the patches themselves. So the photographs of the collection are
encoded with a hole too: an encoder that was trained on images with holes has never seen a whole
one, and what stands in the middle of a photograph must not decide whether its surroundings are
alike. To give every photograph the very hole of each image would take a pass of the network for
each pair; instead each has one hole of its own, of the kind that the images have, and is encoded
once. For `center`, which is what the paper has, that is the same hole. Where the holes of the
images stand in files, they are of the kinds that the encoder was trained with.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from tqdm import tqdm

from ce_jax import data, images, sharding
from ce_jax.completion import Found, Propose, in_one_pass
from ce_jax.config import Frame
from ce_jax.holes import HoleKind, draw_any
from ce_jax.state import Variables

Best = tuple[Array, Array]
"""The smallest distances so far, and the indices of the photographs that have them, [b] each."""

_AT_A_TIME = 2048
"""Photographs that the device is given at a time; 100 MB of floats at 64x64."""


def method(source: str, frame: Frame, mesh: Mesh) -> Propose:
    """(None, images, hole, key) -> the nearest photograph; on the host and on the devices.

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
    nearer = _compiled(closest, mesh, known=2)

    def propose(_: None, images_: Array, hole: Array, key: Array) -> Found:
        distance, index = _search(nearer, (images_, hole), collection)
        known = 3 * np.sum(~np.asarray(hole), axis=(1, 2, 3))
        score = np.sqrt(np.maximum(distance, 0) / np.maximum(known, 1))
        return _proposed(collection[index], score)

    return propose


def feature_method(
    source: str,
    frame: Frame,
    mesh: Mesh,
    *,
    encode: Callable[[Variables, Array, Array], Array],
    variables: Variables,
    kinds: Sequence[HoleKind],
    seed: int,
    batch_size: int,
) -> Propose:
    """As `method`, by features; the score is 1 less the cosine of the angle, in [0, 2].

    Args:
        source: the collection.
        frame: how its photographs become squares.
        mesh: the devices that share the images of a batch.
        encode: (variables, images, hole) -> features [b, d]; it reads nothing of the hole.
        variables: of the encoder.
        kinds: a photograph of the collection is encoded with a hole of any of them.
        seed: of these holes; each photograph adds its number.
        batch_size: how many photographs are encoded at a time.

    Raises:
        HoleError: a kind of hole does not fit.
        SourceError: there is no such collection.
    """
    shared, whole = sharding.split(mesh), sharding.replicated(mesh)
    directions = jax.jit(
        partial(_directions, encode), in_shardings=(whole, shared, shared), out_shardings=shared
    )
    variables = jax.device_put(variables, whole)
    collection = data.collection(source, frame)
    there = _encoded(collection, directions, variables, kinds, seed, batch_size)
    nearer = _compiled(most_aligned, mesh, known=1)

    def propose(_: None, images_: Array, hole: Array, key: Array) -> Found:
        query = directions(variables, images_, hole)
        distance, index = _search(nearer, (query,), there)
        return _proposed(collection[index], distance)

    return propose


def _directions(
    encode: Callable[[Variables, Array, Array], Array],
    variables: Variables,
    images_: Array,
    hole: Array,
) -> Array:
    """Features of length 1, [b, d]."""
    features = encode(variables, images_, hole)
    length = jnp.linalg.norm(features, axis=-1, keepdims=True)
    return features / jnp.maximum(length, jnp.finfo(features.dtype).tiny)


def _encoded(
    collection: np.ndarray,
    directions: Callable[..., Array],
    variables: Variables,
    kinds: Sequence[HoleKind],
    seed: int,
    batch_size: int,
) -> np.ndarray:
    """What a whole collection becomes, each photograph with a hole of its own: [n, d]."""
    side, number = collection.shape[1], np.arange(batch_size)
    keys = jax.vmap(jax.random.fold_in, (None, 0))
    draw = jax.jit(lambda number: draw_any(kinds, keys(jax.random.key(seed), number), size=side))
    squares = jax.ShapeDtypeStruct((batch_size, side, side, 3), np.float32)
    width = jax.eval_shape(directions, variables, squares, jax.eval_shape(draw, number)).shape[1]
    found = data.on_disk((len(collection), width), np.float32)
    for first in tqdm(range(0, len(collection), batch_size), unit="batch"):
        # The last batch is filled up with its last photograph.
        some = np.minimum(first + number, len(collection) - 1)
        found[some] = directions(variables, images.to_float(collection[some]), draw(some))
    return found


def closest(
    best: Best, images_: Array, hole: Array, photographs: Array, first: Array | int
) -> Best:
    """The nearest so far, and among some more photographs.

    Args:
        best: square distances over the known pixels, and indices.
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
    return _nearer(best, jnp.sum(jnp.square(seen), axis=1, keepdims=True) + squares, first)


def most_aligned(best: Best, query: Array, directions: Array, first: Array | int) -> Best:
    """The nearest so far, and among some more photographs, by the angle of their features.

    Args:
        best: 1 less the cosine, and indices.
        query: [b, d], of length 1 each.
        directions: [n, d], of length 1 each.
        first: the index of the first of them.
    """
    return _nearer(best, 1 - jnp.matmul(query, directions.T, precision="highest"), first)


def _nearer(best: Best, distance: Array, first: Array | int) -> Best:
    """The better of the best so far and of distances [b, n]."""
    index = jnp.argmin(distance, axis=1)
    found = jnp.take_along_axis(distance, index[:, None], axis=1)[:, 0]
    nearer = found < best[0]
    return jnp.where(nearer, found, best[0]), jnp.where(nearer, first + index, best[1])


def _compiled(nearer: Callable[..., Best], mesh: Mesh, *, known: int) -> Callable[..., Best]:
    """(best, so many arrays that belong to the images, some of the collection, first) -> best."""
    shared, whole = sharding.split(mesh), sharding.replicated(mesh)
    shardings = (shared, *[shared] * known, whole, whole)
    return jax.jit(nearer, in_shardings=shardings, out_shardings=shared, donate_argnums=0)


def _search(
    nearer: Callable[..., Best], known: Sequence[Array], collection: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices of the nearest in all of a collection."""
    count = len(known[0])
    best = jnp.full(count, jnp.inf), jnp.zeros(count, jnp.int32)
    for first in range(0, len(collection), _AT_A_TIME):
        best = nearer(best, *known, collection[first : first + _AT_A_TIME], first)
    distance, index = map(np.asarray, best)
    return distance, index


def _proposed(photographs: np.ndarray, score: np.ndarray) -> Found:
    found = in_one_pass(jnp.asarray(images.to_float(photographs)))
    return found._replace(score=jnp.asarray(score))
