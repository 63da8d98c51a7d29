"""Latent search (Yeh et al. 2017): the z whose image agrees with the known pixels, in batches."""

from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
import optax
from jax import lax

from ce_jax import losses
from ce_jax.config import Dcgan, LatentSearch
from ce_jax.state import Variables, apply
from ce_jax.systems.dcgan import bound, draw_latent, modules

Array = jax.Array
Networks = tuple[Variables, Variables]


def method(
    model: Dcgan, size: int, settings: LatentSearch
) -> Callable[[Networks, Array, Array, Array], tuple[Array, Array, Array]]:
    """(networks, images, hole, key) -> (proposal, score, steps) in a trained DCGAN."""
    generator, critic = modules(model, size=size)

    def propose(networks: Networks, images: Array, hole: Array, key: Array):
        def generate(z: Array) -> Array:
            return apply(generator, networks[0], z)

        z, score = search(
            images,
            hole,
            draw_latent(key, dimensions=model.latent, prior=model.prior),
            generate=generate,
            judge=lambda images: apply(critic, networks[1], images),
            settings=settings,
            bound=bound(model.prior),
        )
        return generate(z), score, jnp.full(len(images), settings.steps, jnp.int32)

    return propose


def search(
    images: Array,
    hole: Array,
    start: Array,
    *,
    generate: Callable[[Array], Array],
    judge: Callable[[Array], Array] | None,
    settings: LatentSearch,
    bound: float = 1.0,
) -> tuple[Array, Array]:
    """argmin_z ||W (G(z) - y)||_1 + lambda log(1 - D(G(z))) by Adam within [-1, 1] (eq. 2-5).

    Without a critic, lambda weighs -log p(z) = |z|^2 / 2 instead: the most probable normal z where
    the error of a known pixel of weight 1 has a Laplace distribution of scale lambda.

    Args:
        images: y, [b, s, s, 3]; not read in the hole.
        hole: [b, s, s, 1].
        start: z to begin with, [b, d].
        generate: G, [b, d] -> [b, s, s, 3], with frozen BatchNorm.
        judge: the logits of D, [b, s, s, 3] -> [b], likewise; None: there is no critic.
        settings: steps, learning rate, window and lambda.
        bound: what z is cut off at, in magnitude, after every step; infinite for a normal z.

    Returns:
        The z reached [b, d] and its objective [b].
    """
    weight = losses.importance_weight(hole, window=settings.window)
    adam = optax.adam(settings.rate)

    def objective(z: Array) -> tuple[Array, Array]:
        generated = generate(z)
        prior = losses.latent_loss(z) if judge is None else losses.prior_loss(judge(generated))
        value = losses.context_loss(generated, images, weight) + settings.prior * prior
        return jnp.sum(value), value  # the sum, so that no image's step depends on the batch size

    def step(carry, _):
        z, moments = carry
        gradient = jax.grad(lambda z: objective(z)[0])(z)
        updates, moments = adam.update(gradient, moments)
        return (jnp.clip(z + cast(Array, updates), -bound, bound), moments), None

    (z, _), _ = lax.scan(step, (start, adam.init(start)), length=settings.steps)
    return z, objective(z)[1]
