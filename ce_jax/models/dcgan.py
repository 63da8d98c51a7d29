"""The generator and the critic of DCGAN (Radford et al. 2016), as Yeh et al. 2017 use them.

For 64x64 images and width 64 these are the published networks: 100-dimensional z, 4x4x512 and
channels that halve with every doubling of the image. Other sizes add or drop the innermost layer.
Kernels are 4x4, as in Torch and PyTorch, or 5x5, as in the authors' Theano and in TensorFlow.
"""

from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike

from ce_jax.models.layers import KERNEL_INIT, BatchNorm, Downsample, Upsample, leaky_relu


class Generator(nn.Module):
    """z [b, latent] -> images [b, size, size, 3] in [-1, 1].

    Maps, [b, 4, 4, 512], are added to those that the first layer makes of z.

    Attributes:
        size: side of the images in pixels, a power of two from 8 on.
        width: channels of the layer next to the image; each layer inwards has twice as many.
        axis: names the devices over which BatchNorm averages under `jax.pmap`.
        kernel: side of the kernels, 4 or 5.
        dtype: what it computes in; weights and images are float32.
    """

    size: int = 64
    width: int = 64
    axis: str | None = None
    kernel: int = 4
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, latent: Array, maps: Array | None = None, *, train: bool) -> Array:
        channels = innermost_channels(size=self.size, width=self.width)
        dense = nn.Dense(16 * channels, use_bias=False, dtype=self.dtype, kernel_init=KERNEL_INIT)
        x = dense(latent)
        x = x.reshape(-1, 4, 4, channels)  # [b, 4, 4, 512]
        x = nn.relu(BatchNorm(train, self.axis)(x))
        x = x if maps is None else x + maps.astype(self.dtype)
        while x.shape[1] < self.size // 2:
            # [b, 8, 8, 256], [b, 16, 16, 128], [b, 32, 32, 64]
            x = Upsample(x.shape[-1] // 2, self.kernel)(x)
            x = nn.relu(BatchNorm(train, self.axis)(x))
        x = Upsample(3, self.kernel)(x)  # [b, 64, 64, 3]
        return jnp.tanh(x.astype(jnp.float32))


def innermost_channels(*, size: int, width: int) -> int:
    """Of the maps behind a generator's first layer: 512 for the published 64x64 network."""
    return width * size // 8


class Trunk(nn.Module):
    """The layers that critics and encoders have in common; each ends in one of its own.

    Attributes: as those of the generator.
    """

    width: int = 64
    axis: str | None = None
    kernel: int = 4
    dtype: DTypeLike = jnp.float32

    def trunk(self, images: Array, *, train: bool) -> Array:
        """What of an image they judge by, [b, s, s, c] -> [b, 4 * 4 * 512].

        It comes back in float32, so that the last layer, which is small, says what it means
        exactly.
        """
        x = images.astype(self.dtype)
        # No BatchNorm next to the image: there it made the critic unstable (Radford, section 3).
        x = leaky_relu(Downsample(self.width, self.kernel)(x))  # [b, 32, 32, 64]
        while x.shape[1] > 4:
            # [b, 16, 16, 128], [b, 8, 8, 256], [b, 4, 4, 512]
            x = Downsample(2 * x.shape[-1], self.kernel)(x)
            x = leaky_relu(BatchNorm(train, self.axis)(x))
        return x.reshape(x.shape[0], -1).astype(jnp.float32)


class Critic(Trunk):
    """images [b, s, s, 3] -> logits [b]: positive where the critic believes in a photograph.

    The sigmoid of the logit is D in the papers. The same network judges whole images (DCGAN) and
    the predicted patch (the context encoder's discriminator).

    With the head `softmax` the last layer has two outputs, one for each class (Yeh et al. 2016,
    section 4.1). Their softmax is the sigmoid of the second less the first, which is the logit.
    """

    head: Literal["logit", "softmax"] = "logit"

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        x = self.trunk(images, train=train)
        outputs = 1 if self.head == "logit" else 2
        x = nn.Dense(outputs, use_bias=False, kernel_init=KERNEL_INIT)(x)
        return x[:, 0] if self.head == "logit" else x[:, 1] - x[:, 0]
