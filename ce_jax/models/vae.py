"""A variational autoencoder (Kingma & Welling 2014) whose decoder is the generator of a DCGAN.

Yeh et al. 2017 (figure 2) set its samples beside those of a DCGAN: they are smoother.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from ce_jax.models.dcgan import Generator, Trunk
from ce_jax.models.layers import KERNEL_INIT


class Reconstruction(NamedTuple):
    """What a VAE makes of images, and what of them went through the bottleneck.

    Attributes:
        images: the mean of p(x | z), [b, s, s, 3] in [-1, 1].
        mean: of q(z | x), [b, latent].
        log_variance: of q(z | x), [b, latent].
        log_scale: logarithm of the standard deviation of p(x | z), one for all pixels, [].
    """

    images: Array
    mean: Array
    log_variance: Array
    log_scale: Array


class Encoder(Trunk):
    """images [b, s, s, 3] -> mean and logarithm of the variance of q(z | x), [b, latent] each."""

    latent: int = 100

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> tuple[Array, Array]:
        x = self.trunk(images, train=train)
        mean, log_variance = jnp.split(nn.Dense(2 * self.latent, kernel_init=KERNEL_INIT)(x), 2, 1)
        return mean, log_variance


class Vae(nn.Module):
    """Images through the bottleneck and back, with the noise that z is drawn with."""

    encoder: Encoder
    decoder: Generator
    scale: float
    learn_scale: bool

    @nn.compact
    def __call__(self, images: Array, noise: Array, *, train: bool) -> Reconstruction:
        mean, log_variance = self.encoder(images, train=train)
        z = mean + jnp.exp(log_variance / 2) * noise  # the reparameterisation of section 2.4
        log_scale = jnp.asarray(math.log(self.scale))
        if self.learn_scale:
            log_scale = self.param("log_scale", lambda key: log_scale)
        return Reconstruction(self.decoder(z, train=train), mean, log_variance, log_scale)


def decoder_of(variables: dict[str, Any]) -> dict[str, Any]:
    """The variables of the generator inside of those of a VAE."""
    return {kind: parts["decoder"] for kind, parts in variables.items()}
