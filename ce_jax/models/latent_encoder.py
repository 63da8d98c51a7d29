"""The inverse of a generator for pictures that are not whole: known pixels and hole to z.

A hundred numbers cannot say all that is known of a picture. So the network may also say what is to
be added to the innermost maps of the generator, which a search beyond z goes on from.
"""

from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from ce_jax.models.dcgan import Trunk
from ce_jax.models.layers import KERNEL_INIT, BatchNorm, ChannelWise, leaky_relu


class Guess(NamedTuple):
    """Where a search begins.

    Attributes:
        z: [b, d].
        maps: added to those behind the generator's first layer, [b, 4, 4, c]; None: nothing is.
    """

    z: Array
    maps: Array | None = None


class LatentEncoder(Trunk):
    """images and hole [b, s, s, 4] -> a guess, z within the bounds of what it is drawn from.

    With `maps`, the channels of the generator behind its first layer, also what is to be added
    there. A channel-wise layer (Pathak et al. 2016, section 3.1) lets every place see all others.
    """

    latent: int = 100
    bounded: bool = True
    maps: int | None = None

    @nn.compact
    def __call__(self, seen: Array, *, train: bool) -> Guess:
        features = self.trunk(seen, train=train)
        z = nn.Dense(self.latent, kernel_init=KERNEL_INIT)(features)
        z = jnp.tanh(z) if self.bounded else z
        if self.maps is None:
            return Guess(z)
        here = features.reshape(-1, 4, 4, features.shape[1] // 16)
        everywhere = leaky_relu(BatchNorm(train, self.axis)(ChannelWise()(here)))
        both = jnp.concatenate([here, everywhere], axis=-1)
        return Guess(z, nn.Dense(self.maps, kernel_init=KERNEL_INIT)(both))


def see(images: Array, hole: Array) -> Array:
    """What the network is shown: the known pixels, and where they are; [b, s, s, 4]."""
    return jnp.concatenate([jnp.where(hole, 0.0, images), hole.astype(images.dtype)], axis=-1)
