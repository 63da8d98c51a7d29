"""Beyond z: a search among the feature maps of a generator, near those of the z that was found."""

from functools import partial
from typing import cast

import jax.numpy as jnp
import optax
from jax import Array, lax

from ce_jax.completion.objective import Objective, Problem, with_slope
from ce_jax.completion.space import Space


def beyond(space: Space, problem: Problem, objective: Objective, z: Array) -> Array:
    """Images of feature maps near those of z that agree better still with the known pixels.

    Intermediate layer optimisation (Daras et al. 2021) in its plain form: Adam on the maps, which
    stay within a ball around those of z; the best are taken. Where nothing is known, all stays as
    it is: the prior loss alone would be led astray by maps that no z makes. [n, d] -> [n, s, s, 3].
    """
    settings = space.settings.beyond
    around = space.features(z, maps=problem.maps).astype(jnp.float32)
    length = partial(jnp.linalg.vector_norm, axis=(1, 2, 3), keepdims=True)
    known = jnp.any(~problem.hole, axis=(1, 2, 3), keepdims=True)
    free = jnp.repeat(known, len(z) // len(known), axis=0)
    radius = jnp.where(free, settings.radius * length(around), 0.0)
    rate = optax.cosine_decay_schedule(settings.rate, settings.steps)
    optimizer = optax.adam(rate)

    def judged(away: Array) -> Array:
        return objective(z, space.decode(around + away))

    def step(carry, _):
        away, moments, best, score = carry
        each, gradient = with_slope(judged)(away)
        better = each < score
        best = jnp.where(better[:, None, None, None], away, best)
        updates, moments = optimizer.update(gradient, moments)
        moved = away + cast(Array, updates)
        moved *= jnp.minimum(1, radius / jnp.maximum(length(moved), 1e-12))
        return (moved, moments, best, jnp.where(better, each, score)), None

    here = jnp.zeros_like(around)
    begun = here, optimizer.init(here), here, jnp.full(len(z), jnp.inf)
    (last, _, best, score), _ = lax.scan(step, begun, length=settings.steps)
    improved = judged(last) < score
    return space.decode(around + jnp.where(improved[:, None, None, None], last, best))
