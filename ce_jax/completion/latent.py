"""Latent search (Yeh et al. 2016, 2017): the z whose image agrees with the known pixels, batched.

An image may be searched for from several starts; all of them are one batch on the device, and the
best is chosen by what is known alone.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from ce_jax import losses
from ce_jax.completion.candidates import Candidates, Trails
from ce_jax.config import Dcgan, LatentSearch, Vae
from ce_jax.models.vae import decoder_of
from ce_jax.state import Variables, apply
from ce_jax.systems.dcgan import Prior, draw_latent, latent_bound, modules
from ce_jax.systems.vae import module_of
from ce_jax.trails import milestones

Array = jax.Array
Networks = tuple[Variables, Variables]
Found = tuple[Array, Array, Array, Candidates | None, Trails | None]
Losses = Callable[[Array], tuple[Array, Array]]

_BEYOND_ALL_STARTS = np.uint32(2**32 - 1)


class Space(NamedTuple):
    """Where to search: images as a function of z, and how little one has to expect of both.

    Attributes:
        dimensions: d.
        generate: G, [b, d] -> [b, s, s, 3], with frozen BatchNorm.
        surprise: (z, G(z)) -> the prior loss without its lambda, [b].
        prior: what z was drawn from in training.
    """

    dimensions: int
    generate: Callable[[Array], Array]
    surprise: Callable[[Array, Array], Array]
    prior: Prior


def method(
    model: Dcgan | Vae, size: int, settings: LatentSearch, *, keep: int = 1
) -> Callable[[Networks, Array, Array, Array], Found]:
    """(networks, images, hole, key) -> (proposal, score, steps, candidates, trails).

    Candidates are given if more than one is to be kept, trails if the settings ask for them.
    """
    each = partial(jnp.repeat, repeats=settings.starts, axis=0)  # [b, ...] -> [b * k, ...]

    def propose(networks: Networks, images: Array, hole: Array, key: Array) -> Found:
        space = space_of(model, networks, size=size, settings=settings)
        weight = context_weight(hole, settings)
        unseen = draw_held_out(key, hole, settings)
        start = draw_starts(key, settings, dimensions=model.latent, prior=space.prior)
        seen_weight = each(jnp.where(unseen, 0.0, weight))
        punish = losses_of(each(images), seen_weight, space=space, settings=settings)
        z, way = search(start, punish=punish, settings=settings, bound=latent_bound(space.prior))
        proposal = space.generate(z)
        if settings.choose == "held-out":
            rest = each(jnp.where(unseen, weight, 0.0))
            score = losses.context_loss(proposal, each(images), rest, norm=settings.norm)
        else:
            score = jnp.add(*punish(z))

        # The objective has nothing of the hole in it, and neither has what is held out.
        order = jnp.argsort(score.reshape(len(images), settings.starts), axis=1)

        def ranked(array: Array) -> Array:
            """[b * k, ...] -> [b, k, ...], the best first."""
            by_image = array.reshape(*order.shape, *array.shape[1:])
            return jax.vmap(lambda starts, order: starts[order])(by_image, order)

        proposal, score = ranked(proposal), ranked(score)
        steps = jnp.full(len(images), settings.steps, jnp.int32)
        candidates = Candidates(proposal[:, :keep], score[:, :keep], order[:, :keep])
        seen = None if way is None else trails(way, space.generate, punish, count=settings.trail)
        return (
            proposal[:, 0],
            score[:, 0],
            steps,
            candidates if keep > 1 else None,
            jax.tree.map(ranked, seen),
        )

    return propose


def space_of(model: Dcgan | Vae, networks: Networks, *, size: int, settings: LatentSearch) -> Space:
    """A trained DCGAN, whose critic is the prior (Yeh et al. 2017, eq. 5), or the decoder of a VAE.

    In a VAE, where nobody judges, the prior loss is -log p(z) = |z|^2 / 2: with lambda, the most
    probable z where the error of a known pixel of weight 1 has a Laplace distribution of that
    scale.
    """
    match model:
        case Dcgan():
            generator, critic = modules(model, size=size)
            form = {"saturating": losses.prior_loss, "non-saturating": losses.adversarial_loss}
            return Space(
                model.latent,
                partial(apply, generator, networks[0]),
                lambda _, image: form[settings.prior_form](apply(critic, networks[1], image)),
                model.prior,
            )
        case Vae():
            decoder = module_of(model, size=size).decoder
            return Space(
                model.latent,
                partial(apply, decoder, decoder_of(networks[0])),
                lambda z, _: losses.latent_loss(z),
                "normal",
            )


def search(
    start: Array, *, punish: Losses, settings: LatentSearch, bound: float
) -> tuple[Array, Array | None]:
    """argmin_z L_c(z) + L_p(z) by gradient descent within bounds (Yeh et al. 2017, eq. 2).

    Args:
        start: z to begin with, [b, d].
        punish: L_c and L_p of z, as `losses_of` gives them.
        settings: steps and optimiser.
        bound: what z is cut off at, in magnitude, after every step.

    Returns:
        The z reached, [b, d]; and, if the settings ask for a trail, all from the start to the end,
        [b, steps + 1, d].
    """
    optimizer = optimizer_of(settings)

    def objective(z: Array) -> Array:
        # The sum, so that no image's step depends on the batch size.
        return jnp.sum(jnp.add(*punish(z)))

    def step(carry, _):
        z, moments = carry
        updates, moments = optimizer.update(jax.grad(objective)(z), moments)
        z = jnp.clip(z + cast(Array, updates), -bound, bound)
        return (z, moments), z if settings.trail else None

    (z, _), way = lax.scan(step, (start, optimizer.init(start)), length=settings.steps)
    return z, None if way is None else jnp.moveaxis(jnp.concatenate([start[None], way]), 0, 1)


def losses_of(images: Array, weight: Array, *, space: Space, settings: LatentSearch) -> Losses:
    """z [b, d] -> L_c and L_p, [b] each (Yeh et al. 2017, eq. 4 and 5).

    Args:
        images: y, [b, s, s, 3]; read only where they have a weight.
        weight: W, [b, s, s, 1].
        space: where z lies; without a prior, nobody is asked for the surprise.
        settings: norm and lambda.
    """

    def punish(z: Array) -> tuple[Array, Array]:
        generated = space.generate(z)
        context = losses.context_loss(generated, images, weight, norm=settings.norm)
        if settings.prior == 0:
            return context, jnp.zeros_like(context)
        return context, settings.prior * space.surprise(z, generated)

    return punish


def context_weight(hole: Array, settings: LatentSearch) -> Array:
    """How much each known pixel counts; 0 in the hole, [b, s, s, 1] as the result."""
    if settings.weighting == "uniform":
        return jnp.where(hole, 0.0, 1.0)
    return losses.importance_weight(hole, window=settings.window)


def draw_held_out(key: Array, hole: Array, settings: LatentSearch) -> Array:
    """Known pixels that the search must not see, so that they can judge it: bool [b, s, s, 1]."""
    if settings.choose == "objective":
        return jnp.zeros_like(hole)
    key = jax.vmap(jax.random.fold_in, (0, None))(key, _BEYOND_ALL_STARTS)
    lots = jax.vmap(lambda key: jax.random.uniform(key, hole.shape[1:]))(key)
    return ~hole & (lots < settings.held_out)


def draw_starts(
    key: Array, settings: LatentSearch, *, dimensions: int, prior: Prior = "uniform"
) -> Array:
    """z of all starts, one image after the other: [b] -> [b * k, dimensions].

    The first starts of an image are the same, however many there are.
    """
    numbers = jnp.arange(settings.starts)
    key = jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (0, None))(key, numbers).reshape(-1)
    if settings.start == "prior":
        return draw_latent(key, dimensions=dimensions, prior=prior)
    bound = latent_bound(prior)
    return jnp.clip(draw_latent(key, dimensions=dimensions, prior="normal"), -bound, bound)


def optimizer_of(settings: LatentSearch) -> optax.GradientTransformation:
    """Adam, or momentum after Nesterov, with a rate that goes down in steps.

    Nesterov as in the public code: v' = m v - rate g and z' = z + m v' - rate g, so that a rate
    that has gone down slows what is still to come and not what is already under way.
    """
    rate = optax.exponential_decay(
        settings.rate, settings.decay_every, settings.decay, staircase=True
    )
    if settings.optimizer == "adam":
        return optax.adam(rate, b1=settings.momentum)
    return optax.chain(
        optax.scale_by_learning_rate(rate), optax.trace(settings.momentum, nesterov=True)
    )


def trails(way: Array, generate: Callable[[Array], Array], punish: Losses, *, count: int) -> Trails:
    """What the search saw on its way z [b, t + 1, d], at so many of its steps."""
    steps = milestones(way.shape[1] - 1, count=count)

    def look(z: Array) -> tuple[Array, Array, Array]:
        return generate(z), *punish(z)

    seen = lax.map(look, jnp.moveaxis(way[:, steps], 1, 0))
    return Trails(way, *(jnp.moveaxis(array, 0, 1) for array in seen))
