"""Where a latent search begins: anywhere, at the best of a pool, or at the guess of an encoder."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from ce_jax.completion.objective import Problem, weights
from ce_jax.completion.space import Pool, Space
from ce_jax.config import POOL_PART, LatentSearch
from ce_jax.pixels import to_float, to_uint8
from ce_jax.systems.dcgan import Prior, draw_latent, latent_bound


def starts(space: Space, problem: Problem, pool: Pool | None) -> Array:
    """z of all starts, [b, k, d], the most promising first where there is something to tell it by.

    Args:
        space: where to search; its settings say which start, and how many.
        problem: what to search for.
        pool: for the start `pool`.
    """
    settings = space.settings
    weight, _ = weights(problem, settings)
    drawn = draw_starts(problem.key, settings, dimensions=space.dimensions, prior=space.prior)
    if settings.start in ("prior", "normal"):
        return drawn
    if problem.guess is not None:
        chosen = problem.guess.z[:, None]
    else:
        assert pool is not None
        chosen = pool.z[screen(problem.images, weight, pool.images, count=settings.starts)]
    # Where nothing is known, all images would begin at the same place.
    return jnp.where(jnp.any(weight > 0, axis=(1, 2, 3))[:, None, None], chosen, drawn)


def draw_starts(
    key: Array, settings: LatentSearch, *, dimensions: int, prior: Prior = "uniform"
) -> Array:
    """z of random starts, [b] -> [b, k, d]. The first are the same, however many there are."""
    numbers = jnp.arange(settings.starts)
    key = jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (0, None))(key, numbers)
    of_start: Prior = "normal" if settings.start == "normal" else prior
    z = jax.vmap(partial(draw_latent, dimensions=dimensions, prior=of_start))(key)
    return jnp.clip(z, -latent_bound(prior), latent_bound(prior))


def draw_pool(key: Array, space: Space, count: int) -> Pool:
    """A pool of so many z as the generator was trained on, and its images of them.

    Args:
        key: a single one, []; the first images of a pool are the same, however many there are.
        space: where to search.
        count: rounded up to whole calls of the generator.
    """
    numbers = jnp.arange(-(-count // POOL_PART) * POOL_PART).reshape(-1, POOL_PART)

    def draw(numbers: Array) -> Pool:
        keys = jax.vmap(partial(jax.random.fold_in, key))(numbers)
        z = draw_latent(keys, dimensions=space.dimensions, prior=space.prior)
        return Pool(z, to_uint8(space.generate(z)))

    drawn = lax.map(draw, numbers)
    return jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), drawn)


def screen(images: Array, weight: Array, pool: Array, *, count: int) -> Array:
    """The places in a pool of what agrees best with the known pixels, the best first: [b, count].

    With W the weights, y the image and t one of the pool, sum W (y - t)^2 is, but for what is the
    same for all of the pool, W . t^2 - 2 (W y) . t: two matrix products.

    Args:
        images: [b, s, s, 3]; read only where they have a weight.
        weight: [b, s, s, 1].
        pool: bytes [n, s, s, 3], n in whole parts of those that are looked at together.
        count: k, at most n.
    """
    b, parts = len(images), pool.reshape(-1, POOL_PART, images[0].size)
    weight = jnp.broadcast_to(weight, images.shape)
    weighted = jnp.where(weight > 0, weight * images, 0.0).reshape(b, -1)
    weight = weight.reshape(b, -1)

    def miss(pictures: Array) -> Array:
        pictures = to_float(pictures)
        return weight @ jnp.square(pictures).T - 2 * weighted @ pictures.T

    every = jnp.moveaxis(lax.map(miss, parts), 0, 1).reshape(b, -1)
    return lax.top_k(-every, count)[1]
