"""The inverse of a generator for pictures that are not whole: known pixels and hole to z."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from ce_jax.models.dcgan import trunk
from ce_jax.models.layers import KERNEL_INIT

Array = jax.Array


class LatentEncoder(nn.Module):
    """images and hole [b, s, s, 4] -> z [b, latent], within the bounds of what z is drawn from."""

    latent: int = 100
    width: int = 64
    bounded: bool = True
    axis: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, seen: Array, *, train: bool) -> Array:
        x = trunk(seen, width=self.width, kernel=4, train=train, axis=self.axis, dtype=self.dtype)
        z = nn.Dense(self.latent, kernel_init=KERNEL_INIT)(x)
        return jnp.tanh(z) if self.bounded else z


def see(images: Array, hole: Array) -> Array:
    """What the network is shown: the known pixels, and where they are; [b, s, s, 4]."""
    return jnp.concatenate([jnp.where(hole, 0.0, images), hole.astype(images.dtype)], axis=-1)
