"""The 4x4 stride-2 layers that every network here is built of, fast on CPU and native elsewhere.

Three bilinear maps between a large image [b, 2h, 2w, c] and a small one [b, h, w, o], tied by a
kernel [4, 4, c, o] (padding 1, so that sizes halve and double exactly):

    downsample(large, kernel)   small[i, j] = sum_kl large[2i + k - 1, 2j + l - 1] @ kernel[k, l]
    upsample(small, kernel)     its transpose in the image:
                                large[2i + k - 1, 2j + l - 1] += kernel[k, l] @ small[i, j]
    correlate(large, small)     its transpose in the kernel:
                                kernel[k, l] = sum_bij large[2i + k - 1, 2j + l - 1] (x) small[i, j]

They are closed under differentiation: the gradients of each are the other two. XLA:CPU computes
the kernel gradient of a strided convolution at a few per cent of the machine's peak, so on CPU
`upsample` and `correlate` are written as one matrix product each; GPU and TPU get the native
convolutions.
"""

from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

Array = jax.Array

KERNEL_INIT = nn.initializers.normal(0.02)


def _blocks(large: Array) -> Array:
    """The 4x4 neighbourhood of each small pixel: [b, 2h, 2w, c] -> [b, h, w, 4, 4, c]."""
    b, height, width, c = large.shape
    h, w = height // 2, width // 2
    pairs = jnp.pad(large, ((0, 0), (1, 1), (1, 1), (0, 0))).reshape(b, h + 1, 2, w + 1, 2, c)
    rows = jnp.stack([pairs[:, :h], pairs[:, 1:]], axis=2)  # [b, h, 2, 2, w + 1, 2, c]
    both = jnp.stack([rows[..., :w, :, :], rows[..., 1:, :, :]], axis=5)  # [b, h, 2, 2, w, 2, 2, c]
    return both.transpose(0, 1, 4, 2, 3, 5, 6, 7).reshape(b, h, w, 4, 4, c)


def _overlap_add(blocks: Array) -> Array:
    """The transpose of `_blocks`: [b, h, w, 4, 4, c] -> [b, 2h, 2w, c]."""
    b, h, w, _, _, c = blocks.shape
    blocks = blocks.reshape(b, h, w, 2, 2, 2, 2, c).transpose(3, 5, 0, 1, 4, 2, 6, 7)
    quarters = blocks.reshape(2, 2, b, 2 * h, 2 * w, c)
    placed = (
        jnp.pad(quarters[i, j], ((0, 0), (2 * i, 2 - 2 * i), (2 * j, 2 - 2 * j), (0, 0)))
        for i in (0, 1)
        for j in (0, 1)
    )
    return reduce(jnp.add, placed)[:, 1:-1, 1:-1]


def _downsample_native(large: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(
        large, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _upsample_native(small: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(
        small,
        kernel[::-1, ::-1],
        (1, 1),
        ((2, 2), (2, 2)),
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
    )


def _upsample_product(small: Array, kernel: Array) -> Array:
    return _overlap_add(jnp.einsum("bhwo,klco->bhwklc", small, kernel))


def _correlate_native(large: Array, small: Array) -> Array:
    kernel = jax.ShapeDtypeStruct((4, 4, large.shape[-1], small.shape[-1]), large.dtype)
    (transposed,) = jax.linear_transpose(lambda k: _downsample_native(large, k), kernel)(small)
    return transposed


def _correlate_product(large: Array, small: Array) -> Array:
    return jnp.einsum("bhwklc,bhwo->klco", _blocks(large), small)


def _on_platform(cpu: Callable, default: Callable) -> Callable:
    return lambda *arrays: lax.platform_dependent(*arrays, cpu=cpu, default=default)


_upsample = _on_platform(_upsample_product, _upsample_native)
_correlate = _on_platform(_correlate_product, _correlate_native)


@jax.custom_vjp
def downsample(large: Array, kernel: Array) -> Array:
    """Convolves with a 4x4 kernel at stride 2: [b, 2h, 2w, c], [4, 4, c, o] -> [b, h, w, o].

    Equal to PyTorch's `Conv2d(c, o, 4, 2, 1, bias=False)` with weight [o, c, 4, 4].
    """
    return _downsample_native(large, kernel)


@jax.custom_vjp
def upsample(small: Array, kernel: Array) -> Array:
    """Transposed 4x4 convolution at stride 2: [b, h, w, o], [4, 4, c, o] -> [b, 2h, 2w, c].

    Equal to PyTorch's `ConvTranspose2d(o, c, 4, 2, 1, bias=False)` with weight [o, c, 4, 4].
    """
    return _upsample(small, kernel)


@jax.custom_vjp
def correlate(large: Array, small: Array) -> Array:
    """Gradient of both layers in their kernel: [b, 2h, 2w, c], [b, h, w, o] -> [4, 4, c, o]."""
    return _correlate(large, small)


downsample.defvjp(
    lambda large, kernel: (downsample(large, kernel), (large, kernel)),
    lambda saved, small: (upsample(small, saved[1]), correlate(saved[0], small)),
)
upsample.defvjp(
    lambda small, kernel: (upsample(small, kernel), (small, kernel)),
    lambda saved, large: (downsample(large, saved[1]), correlate(large, saved[0])),
)
correlate.defvjp(
    lambda large, small: (correlate(large, small), (large, small)),
    lambda saved, kernel: (upsample(saved[1], kernel), downsample(saved[0], kernel)),
)


class Downsample(nn.Module):
    """Halves height and width: a 4x4 convolution at stride 2 without bias."""

    features: int

    @nn.compact
    def __call__(self, images: Array) -> Array:
        kernel = self.param("kernel", KERNEL_INIT, (4, 4, images.shape[-1], self.features))
        return downsample(images, kernel)


class Upsample(nn.Module):
    """Doubles height and width: a transposed 4x4 convolution at stride 2 without bias."""

    features: int

    @nn.compact
    def __call__(self, images: Array) -> Array:
        kernel = self.param("kernel", KERNEL_INIT, (4, 4, self.features, images.shape[-1]))
        return upsample(images, kernel)


def _around_one(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)


class BatchNorm(nn.Module):
    """Batch normalisation with the constants of the DCGAN paper: gain N(1, 0.02), decay 0.9.

    `train=False` normalises by the stored statistics, so that an image does not depend on its
    batch-mates. `axis` names the device axis to average over under `jax.pmap`; under `jax.jit`
    the statistics of a sharded batch are global without it.
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
        )(x)


def leaky_relu(x: Array) -> Array:
    """max(x, 0.2 x): the slope of every critic and encoder here."""
    return nn.leaky_relu(x, 0.2)
