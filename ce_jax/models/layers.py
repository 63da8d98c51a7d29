"""The layers that every network here is built of.

A layer computes in the type of its input; what it has learned is float32. A network therefore
begins by casting what it is shown to its `dtype`, and ends in float32.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike

from ce_jax.models.convolution import downsample, upsample

KERNEL_INIT = nn.initializers.normal(0.02)
"""Of all weights (Radford et al. 2016, section 4)."""


class Downsample(nn.Module):
    """Halves height and width: a convolution at stride 2 without bias, 4x4 or 5x5.

    [b, h, w, c] -> [b, h/2, w/2, features].
    """

    features: int
    side: int = 4

    @nn.compact
    def __call__(self, images: Array) -> Array:
        shape = (self.side, self.side, images.shape[-1], self.features)
        kernel = self.param("kernel", KERNEL_INIT, shape)
        return downsample(images, kernel)


class Upsample(nn.Module):
    """Doubles height and width: a transposed convolution at stride 2 without bias, 4x4 or 5x5.

    [b, h, w, c] -> [b, 2h, 2w, features].
    """

    features: int
    side: int = 4
    kernel_init: nn.initializers.Initializer = KERNEL_INIT

    @nn.compact
    def __call__(self, images: Array) -> Array:
        shape = (self.side, self.side, self.features, images.shape[-1])
        kernel = self.param("kernel", self.kernel_init, shape)
        return upsample(images, kernel)


class ChannelWise(nn.Module):
    """Connects every place of a feature map with every other, each map for itself.

    m maps of n x n take m n^4 weights, where a fully-connected layer takes m^2 n^4 (Pathak et al.
    2016, section 3.1). [b, n, n, m] -> [b, n, n, m].
    """

    @nn.compact
    def __call__(self, x: Array) -> Array:
        b, height, width, maps = x.shape
        places = height * width
        kernel = self.param("kernel", KERNEL_INIT, (places, places, maps))
        flat = x.reshape(b, places, maps)
        return jnp.einsum("bim,ijm->bjm", flat, kernel.astype(x.dtype)).reshape(x.shape)


def _around_one(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)


class BatchNorm(nn.Module):
    """Batch normalisation with the gain of DCGAN's code, N(1, 0.02), and Torch's decay of 0.9.

    `train=False` normalises by the stored statistics, so that an image does not depend on its
    batch-mates. `axis` names the device axis to average over under `jax.pmap`; under `jax.jit`
    the statistics of a sharded batch are global without it. They are float32 for any input.
    """

    train: bool
    axis: str | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return nn.BatchNorm(
            use_running_average=not self.train,
            momentum=0.9,
            epsilon=1e-5,
            scale_init=_around_one,
            axis_name=self.axis,
            dtype=x.dtype,
        )(x)


def leaky_relu(x: Array) -> Array:
    """max(x, 0.2 x) of any shape: the slope of Radford et al. 2016, of every critic and encoder."""
    return nn.leaky_relu(x, 0.2)
