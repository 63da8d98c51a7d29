"""Latent search (Yeh et al. 2017): the z whose image agrees with the known pixels, for a whole batch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import lax

from ce_jax import losses, systems
from ce_jax.config import LatentSearch, Training
from ce_jax.state import Variables, apply
from ce_jax.steps import draw_latent

Array = jax.Array


def method(
    run: Training, settings: LatentSearch
) -> Callable[[Variables, Array, Array, Array], tuple[Array, Array, Array]]:
    """(variables, images, hole, key) -> (proposal, score, steps) in the DCGAN of a training run."""
    generator, critic = systems.dcgan_modules(run)

    def propose(variables: Variables, images: Array, hole: Array, key: Array):
        z, score = search(
            images,
            hole,
            draw_latent(key, dimensions=run.model.latent),
            generate=lambda z: apply(generator, variables["generator"], z),
            judge=lambda images: apply(critic, variables["critic"], images),
            settings=settings,
        )
        steps = jnp.full(len(images), settings.steps, jnp.int32)
        return apply(generator, variables["generator"], z), score, steps

    return propose


def search(
    images: Array,
    hole: Array,
    start: Array,
    *,
    generate: Callable[[Array], Array],
    judge: Callable[[Array], Array],
    settings: LatentSearch,
) -> tuple[Array, Array]:
    """argmin_z ||W (G(z) - y)||_1 + lambda log(1 - D(G(z))) by Adam, z kept in [-1, 1] (eq. 2 to 5).

    Args:
        images: y, [b, s, s, 3]; not read in the hole.
        hole: [b, s, s, 1].
        start: z to begin with, [b, d].
        generate: G, [b, d] -> [b, s, s, 3], with frozen BatchNorm.
        judge: the logits of D, [b, s, s, 3] -> [b], likewise.
        settings: steps, learning rate, window and lambda.

    Returns:
        The z reached [b, d] and its objective [b].
    """
    weight = losses.importance_weight(hole, window=settings.window)
    adam = optax.adam(settings.rate)

    def objective(z: Array) -> tuple[Array, Array]:
        generated = generate(z)
        prior = losses.prior_loss(judge(generated))
        value = losses.context_loss(generated, images, weight) + settings.prior * prior
        return jnp.sum(value), value  # the sum, so that no image's step depends on the batch size

    def step(carry, _):
        z, moments = carry
        gradient = jax.grad(lambda z: objective(z)[0])(z)
        updates, moments = adam.update(gradient, moments)
        return (jnp.clip(optax.apply_updates(z, updates), -1, 1), moments), None

    (z, _), _ = lax.scan(step, (start, adam.init(start)), length=settings.steps)
    return z, objective(z)[1]
