"""The inverse of a generator for pictures that are not whole: known pixels and hole to z."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ce_jax.models.dcgan import Trunk
from ce_jax.models.layers import KERNEL_INIT

Array = jax.Array


class LatentEncoder(Trunk):
    """images and hole [b, s, s, 4] -> z [b, latent], within the bounds of what z is drawn from."""

    latent: int = 100
    bounded: bool = True

    @nn.compact
    def __call__(self, seen: Array, *, train: bool) -> Array:
        z = nn.Dense(self.latent, kernel_init=KERNEL_INIT)(self.trunk(seen, train=train))
        return jnp.tanh(z) if self.bounded else z


def see(images: Array, hole: Array) -> Array:
    """What the network is shown: the known pixels, and where they are; [b, s, s, 4]."""
    return jnp.concatenate([jnp.where(hole, 0.0, images), hole.astype(images.dtype)], axis=-1)
