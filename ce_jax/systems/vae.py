"""A variational autoencoder (Kingma & Welling 2014): a generator that learns without a critic."""

from functools import partial
from typing import cast

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from ce_jax import losses
from ce_jax.config import Training, Vae
from ce_jax.models import dcgan, vae
from ce_jax.models.vae import Reconstruction, decoder_of
from ce_jax.state import Game, Network, Scalars, Variables, apply
from ce_jax.systems.dcgan import draw_latent
from ce_jax.systems.system import System, begin, descend, network


def module_of(
    model: Vae, *, size: int, axis: str | None = None, dtype: DTypeLike = jnp.float32
) -> vae.Vae:
    """The encoder and the decoder for `size`-pixel images."""
    encoder = vae.Encoder(model.width, axis, model.kernel, dtype, model.latent)
    decoder = dcgan.Generator(size, model.width, axis, model.kernel, dtype)
    return vae.Vae(encoder, decoder, model.scale, model.learn_scale)


def step(
    game: Game, images: Array, key: Array, *, autoencoder: Network, model: Vae, average: float
) -> tuple[Game, Scalars]:
    """One step up the bound of Kingma & Welling 2014, eq. 10, with one sample of z per image.

    images [b, s, s, 3] in [-1, 1], key [b].
    """
    noise = draw_latent(key, dimensions=model.latent, prior="normal")

    def loss(params):
        seen: Reconstruction
        seen, batch_stats = autoencoder.forward(params, game.generator.batch_stats, images, noise)
        reconstruction = losses.gaussian_loss(seen.images, images, seen.log_scale)
        divergence = losses.divergence(seen.mean, seen.log_variance)
        scalars = {
            "loss/generator": jnp.mean(reconstruction + model.beta * divergence),
            "loss/reconstruction": jnp.mean(reconstruction),
            "loss/divergence": jnp.mean(divergence),
            "scale": jnp.exp(seen.log_scale),
        }
        return scalars["loss/generator"], (batch_stats, scalars)

    return descend(game, autoencoder, loss, average)


def build(config: Training, model: Vae, axis: str | None) -> System:
    """The system of a config with this model."""
    size = config.data.frame.size
    learning = module_of(model, size=size, axis=axis, dtype=config.precision)
    autoencoder = network(config, learning, config.generator, axis)
    shown = module_of(model, size=size)
    update = partial(step, autoencoder=autoencoder, model=model, average=config.average)

    def init(key: Array) -> Game:
        examples = jnp.zeros((1, size, size, 3)), jnp.zeros((1, model.latent))
        return begin(autoencoder.init(key, *examples), None, config)

    def preview(variables: Variables, images: Array, key: Array) -> Array:
        z = draw_latent(key, dimensions=model.latent, prior="normal")
        sample = apply(shown.decoder, decoder_of(variables), z)
        seen = cast(Reconstruction, shown.apply(variables, images, jnp.zeros_like(z), train=False))
        return jnp.stack([images, seen.images, sample], axis=1)

    return System(init, update, preview)
