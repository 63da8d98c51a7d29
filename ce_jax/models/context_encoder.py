"""The context encoder of Pathak et al. 2016 in its pool-free form: 4x4 convolutions at stride 2.

An encoder halves the image down to some features, a bottleneck sees all of them at once, and a
decoder doubles them up again: to the middle square of half the side, or to the whole image. For
128x128 images, width 64 and 4000 units these are the layers of the authors' public network. With a
channel-wise bottleneck, 4 convolutions and 64x64 images they are those of on-demand learning (Gao
and Grauman 2017), with 6 and 128x128 those of the self-tuned encoder-decoder (Salem et al.), whose
first layer has a BatchNorm that this one has not.
Images of three times a power of two are halved down to 6x6, with the channels of a third of them.

What a bottleneck lets through is too little to draw fine detail that the known pixels hold. With
skips (Ronneberger et al. 2015) the decoder is shown what the encoder made of the image as well; a
residual network begins with a smooth fill of the hole, and says what that lacks.
"""

from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike

from ce_jax.models.layers import (
    KERNEL_INIT,
    BatchNorm,
    ChannelWise,
    Downsample,
    Upsample,
    leaky_relu,
)
from ce_jax.models.smooth_fill import smooth_fill

_CHANNELS_DOUBLE_FROM = 32
"""Below this side; the published network for 128x128 keeps its width in the first two layers."""


class ContextEncoder(nn.Module):
    """images [b, s, s, c] with the hole painted over -> prediction [b, output, output, 3]."""

    output: int
    width: int = 64
    bottleneck: int | Literal["channel-wise"] = 4000
    convolutions: int | None = None
    skips: bool = False
    residual: bool = False
    axis: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        size = images.shape[1]
        odd = size // (size & -size)  # 1, or 3 for 96, 192 and 384
        innermost = 4 if self.convolutions is None else size // 2**self.convolutions

        def channels(side: int) -> int:
            return _channels(side, size=size // odd, width=self.width)

        def normalised(x: Array) -> Array:
            return BatchNorm(train, self.axis)(x)

        def dense(units: int) -> nn.Dense:
            return nn.Dense(units, use_bias=False, dtype=self.dtype, kernel_init=KERNEL_INIT)

        x = leaky_relu(Downsample(self.width)(images.astype(self.dtype)))  # [b, 64, 64, 64]
        passed = []
        while (side := x.shape[1] // 2) >= innermost:
            # [b, 32, 32, 64], [b, 16, 16, 128], [b, 8, 8, 256], [b, 4, 4, 512]
            passed.append(x)
            x = leaky_relu(normalised(Downsample(channels(side // odd))(x)))
        if self.bottleneck == "channel-wise":
            x = ChannelWise()(x)
            self.sow("intermediates", "bottleneck", x)
        else:
            _, side, _, maps = x.shape
            while self.output % side:
                side -= 1  # 6x6 are followed by 4x4, which double up to a power of two
            x = dense(self.bottleneck)(x.reshape(x.shape[0], -1))
            x = leaky_relu(normalised(x))  # [b, 4000]
            self.sow("intermediates", "bottleneck", x)
            x = dense(side * side * maps)(x)
            x = nn.relu(normalised(x.reshape(-1, side, side, maps)))
        while (side := 2 * x.shape[1]) < self.output:
            # [b, 8, 8, 256], [b, 16, 16, 128], [b, 32, 32, 64]
            x = nn.relu(normalised(Upsample(channels(side))(x)))
            if self.skips:
                x = jnp.concatenate([x, passed.pop()], axis=-1)
        last = Upsample(3)(x).astype(jnp.float32)  # [b, 64, 64, 3]
        return jnp.clip(images[..., :3] + last, -1, 1) if self.residual else jnp.tanh(last)


class FirstLayers(nn.Module):
    """images [b, n, n, c] of any size -> what two layers of a ContextEncoder make of them.

    [b, n/2, n/2, width] and [b, n/4, n/4, ...]; the variables are those of a `ContextEncoder` that
    was trained on `size`-pixel images, a power of two, whose other layers are not asked.
    """

    size: int
    width: int = 64

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> tuple[Array, Array]:
        first = leaky_relu(Downsample(self.width)(images))
        channels = _channels(self.size // 4, size=self.size, width=self.width)
        return first, leaky_relu(BatchNorm(train)(Downsample(channels)(first)))


def paint(
    images: Array, hole: Array, *, colour: tuple[int, int, int] | None, hole_channel: bool
) -> Array:
    """The network's input: images [b, h, w, 3] with something in the hole [b, h, w, 1].

    Args:
        images: in [-1, 1]; not read in the hole.
        hole: True where pixels are missing.
        colour: 8-bit RGB; None: a smooth fill from around.
        hole_channel: adds the hole itself as a fourth channel, 1 where pixels are missing.

    Returns:
        [b, h, w, 3 or 4].
    """
    if colour is None:
        painted = smooth_fill(images, hole)
    else:
        painted = jnp.where(hole, jnp.asarray(colour, images.dtype) / 127.5 - 1, images)
    return jnp.concatenate([painted, hole.astype(images.dtype)], -1) if hole_channel else painted


def center(images: Array) -> Array:
    """The middle square of half the side, [b, s, s, c] -> [b, s/2, s/2, c]: what is predicted.

    Of an odd side, half is rounded down, so that the square still lies in the middle.
    """
    middle = _middle(size := images.shape[1], size // 2)
    return images[:, middle, middle]


def paste_center(images: Array, prediction: Array) -> Array:
    """The inverse of `center`: images [b, s, s, c] with the prediction [b, n, n, c] pasted in."""
    middle = _middle(images.shape[1], prediction.shape[1])
    return images.at[:, middle, middle].set(prediction)


def _channels(side: int, *, size: int, width: int) -> int:
    """Channels of the layer with this side in a network for `size`-pixel images."""
    widest = min(size // 2, _CHANNELS_DOUBLE_FROM)
    return width * min(max(widest // side, 1), 8)


def _middle(size: int, side: int) -> slice:
    start = (size - side) // 2
    return slice(start, start + side)
