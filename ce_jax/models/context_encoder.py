"""The context encoder of Pathak et al. 2016 in its pool-free form: 4x4 convolutions at stride 2.

An encoder halves the image down to 4x4, a bottleneck of some thousand units sees all of it, and a
decoder doubles it up again: to the middle square of half the side, or to the whole image. For
128x128 images, width 64 and 4000 units these are the layers of the authors' public network.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ce_jax.models.layers import KERNEL_INIT, BatchNorm, Downsample, Upsample, leaky_relu

Array = jax.Array


class ContextEncoder(nn.Module):
    """images [b, s, s, 3] with the hole painted over -> prediction [b, output, output, 3]."""

    output: int
    width: int = 64
    bottleneck: int = 4000
    axis: str | None = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        x = leaky_relu(Downsample(self.width)(images))  # [b, 64, 64, 64]
        if images.shape[1] == 128:  # the published network keeps its width in the second layer
            x = leaky_relu(
                BatchNorm(train, self.axis)(Downsample(self.width)(x))
            )  # [b, 32, 32, 64]
        while x.shape[1] > 4:
            x = Downsample(2 * x.shape[-1])(x)  # [b, 16, 16, 128], [b, 8, 8, 256], [b, 4, 4, 512]
            x = leaky_relu(BatchNorm(train, self.axis)(x))
        channels = x.shape[-1]
        x = nn.Dense(self.bottleneck, use_bias=False, kernel_init=KERNEL_INIT)(
            x.reshape(len(x), -1)
        )
        x = leaky_relu(BatchNorm(train, self.axis)(x))  # [b, 4000]
        x = nn.Dense(16 * channels, use_bias=False, kernel_init=KERNEL_INIT)(x)
        x = nn.relu(BatchNorm(train, self.axis)(x.reshape(-1, 4, 4, channels)))
        while x.shape[1] < self.output // 2:
            x = Upsample(max(x.shape[-1] // 2, self.width))(x)  # [b, 8, 8, 256] ... [b, 32, 32, 64]
            x = nn.relu(BatchNorm(train, self.axis)(x))
        return jnp.tanh(Upsample(3)(x))  # [b, 64, 64, 3]


MEAN_COLOUR = (117, 104, 123)
"""What holes are painted with, in 8-bit RGB: the authors' numbers, in the order of their code."""


def paint(images: Array, hole: Array) -> Array:
    """The network's input: images [b, h, w, 3], the hole [b, h, w, 1] in the mean colour."""
    return jnp.where(hole, jnp.asarray(MEAN_COLOUR, images.dtype) / 127.5 - 1, images)


def center(images: Array) -> Array:
    """The middle square of half the side, [b, s, s, c] -> [b, s/2, s/2, c]: what is predicted."""
    quarter = images.shape[1] // 4
    return images[:, quarter:-quarter, quarter:-quarter]


def paste_center(images: Array, prediction: Array) -> Array:
    """The inverse of `center`: images with their middle square replaced by the prediction."""
    quarter = images.shape[1] // 4
    return images.at[:, quarter:-quarter, quarter:-quarter].set(prediction)
