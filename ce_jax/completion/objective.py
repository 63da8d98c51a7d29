"""What a latent search goes down: the context and the prior loss (Yeh et al. 2016, 2017)."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ce_jax import losses
from ce_jax.completion.space import Space
from ce_jax.config import LatentSearch
from ce_jax.models.latent_encoder import Guess

HELD_OUT, REDRAWN = np.uint32(2**32 - 1), np.uint32(2**32 - 2)
"""Numbers of keys for what is drawn beside the starts, which have those from 0 on."""


class Problem(NamedTuple):
    """What is searched for.

    Attributes:
        images: y, [b, s, s, 3]; read in the hole only where that has a weight.
        hole: [b, s, s, 1].
        key: one for each image, [b].
        prediction: of a guide, [b, s, s, 3]; None without one.
        guess: of an encoder; None if the search begins elsewhere.
    """

    images: Array
    hole: Array
    key: Array
    prediction: Array | None = None
    guess: Guess | None = None

    @property
    def maps(self) -> Array | None:
        """What is guessed beside z, [b, 4, 4, c], where each image has one start; or None."""
        return None if self.guess is None else self.guess.maps


def pose(space: Space, images: Array, hole: Array, key: Array) -> Problem:
    """The problem of these images; in the hole they become what a guide predicts, if any.

    images [b, s, s, 3], hole [b, s, s, 1], key [b].
    """
    problem = Problem(images, hole, key)
    if space.settings.start == "encoder":
        assert space.guess is not None
        problem = problem._replace(guess=_heeded(space.guess(images, hole), hole))
    if space.predict is None:
        return problem
    prediction = space.predict(images, hole)
    return problem._replace(images=jnp.where(hole, prediction, images), prediction=prediction)


def _heeded(guess: Guess, hole: Array) -> Guess:
    """A guess that adds nothing where nothing is known: searches begin anywhere there."""
    if guess.maps is None:
        return guess
    known = jnp.any(~hole, axis=(1, 2, 3), keepdims=True)
    return guess._replace(maps=jnp.where(known, guess.maps, 0.0))


class Opinion(NamedTuple):
    """The prior loss of n searches, [n], and its slope in z [n, d] and in the images."""

    value: Array
    slope: tuple[Array, Array]


class Objective(NamedTuple):
    """Context and prior loss of images [n, s, s, 3], generated at z [n, d] (2017, eq. 4 and 5)."""

    context: Callable[[Array], Array]
    prior: Callable[[Array, Array], Array]

    def __call__(self, z: Array, images: Array) -> Array:
        """L_c + L_p, [n]."""
        return self.context(images) + self.prior(z, images)


def objective_of(space: Space, problem: Problem, weight: Array, *, starts: int) -> Objective:
    """The objective of all searches, [b * k]; without a prior, nobody is asked for its loss.

    Args:
        space: where to search, and how.
        problem: its images are read only where they have a weight.
        weight: W, [b, s, s, 1].
        starts: k.
    """
    settings, each = space.settings, partial(jnp.repeat, repeats=starts, axis=0)
    images, weight = each(problem.images), each(weight)

    def prior(z: Array, pictures: Array) -> Array:
        if settings.prior == 0:
            return jnp.zeros(len(z))
        return settings.prior * space.prior_loss(z, pictures)

    context = partial(losses.context_loss, images=images, weight=weight, norm=settings.norm)
    return Objective(context, prior)


def weights(problem: Problem, settings: LatentSearch) -> tuple[Array, Array]:
    """How much each pixel counts for the search, and for who judges it: twice [b, s, s, 1].

    In the hole that is 0, or what a guide's word is worth. What is held out counts for the judge
    alone, and nothing else does.
    """
    hole, known = problem.hole, 1.0
    if settings.weighting == "importance":
        known = losses.importance_weight(hole, window=settings.window)
    weight = jnp.where(hole, 0.0 if problem.prediction is None else settings.guide_weight, known)
    away = held_out(problem, settings)
    return jnp.where(away, 0.0, weight), jnp.where(away, weight, 0.0)


def held_out(problem: Problem, settings: LatentSearch) -> Array:
    """Known pixels that the search must not see, so that they can judge it: bool [b, s, s, 1]."""
    hole = problem.hole
    if settings.choose == "objective":
        return jnp.zeros_like(hole)
    key = jax.vmap(jax.random.fold_in, (0, None))(problem.key, HELD_OUT)
    lots = jax.vmap(lambda key: jax.random.uniform(key, hole.shape[1:]))(key)
    return ~hole & (lots < settings.held_out)


def with_slope(function: Callable[..., Array], *, of: Any = 0) -> Callable[..., tuple[Array, Any]]:
    """What a function of n searches says of each, [n], and how that changes with its arguments."""

    def total(*arguments: Array) -> tuple[Array, Array]:
        each = function(*arguments)
        return jnp.sum(each), each  # the sum, so that no image's step depends on the others

    def both(*arguments: Array) -> tuple[Array, Any]:
        slope, each = jax.grad(total, argnums=of, has_aux=True)(*arguments)
        return each, slope

    return both
