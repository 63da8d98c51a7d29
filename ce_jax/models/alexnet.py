"""The context encoder that learns features: AlexNet and a decoder (Pathak et al. 2016).

The encoder is AlexNet (Krizhevsky et al. 2012) up to pool5, for 227x227 images and with two groups
in its second, fourth and fifth convolution, as there. It is trained from nothing, so every
convolution is normalised by its batch, and local responses are not. The paper leaves open the
kernel that mixes the maps after the channel-wise layer and the channels of the decoder: here 1x1,
and 128, 64, 64, 32. Nothing is dropped out before that layer, where the paper drops half.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike

from ce_jax.models.layers import KERNEL_INIT, BatchNorm, ChannelWise, Upsample


def _group_by_group(
    images: Array, kernel: Array, *arguments: Any, feature_group_count: int, **options: Any
) -> Array:
    """A convolution in groups, as one of each group.

    Of a grouped one XLA gathers the whole batch on every device, for the gradient of its kernel.
    """
    groups = (jnp.split(x, feature_group_count, axis=-1) for x in (images, kernel))
    return jnp.concatenate(
        [
            jax.lax.conv_general_dilated(x, k, *arguments, **options)
            for x, k in zip(*groups, strict=True)
        ],
        axis=-1,
    )


class Encoder(nn.Module):
    """images [b, 227, 227, c] -> features [b, 6, 6, 256], for other widths than 96 in proportion.

    Without pooling, convolutions of the same kernel and stride stand in its place, which "results
    in finer inpainting" (section 4); the paper's features are those of the network with pooling.
    """

    width: int = 96
    pooling: bool = True
    axis: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        def convolved(x: Array, maps: int, side: int, *, stride: int = 1, groups: int = 1) -> Array:
            x = nn.Conv(
                maps,
                (side, side),
                stride,
                padding="SAME" if stride == 1 else "VALID",
                feature_group_count=groups,
                use_bias=False,
                dtype=self.dtype,
                kernel_init=KERNEL_INIT,
                conv_general_dilated=_group_by_group,
            )(x)
            return nn.relu(BatchNorm(train, self.axis)(x))

        def pooled(x: Array) -> Array:
            if self.pooling:
                return nn.max_pool(x, (3, 3), strides=(2, 2))
            return convolved(x, x.shape[-1], 3, stride=2)

        third = self.width // 3
        x = pooled(convolved(images, 3 * third, 11, stride=4))  # [b, 55, 55, 96], [b, 27, 27, 96]
        x = pooled(convolved(x, 8 * third, 5, groups=2))  # [b, 27, 27, 256], [b, 13, 13, 256]
        x = convolved(x, 12 * third, 3)  # [b, 13, 13, 384]
        x = convolved(x, 12 * third, 3, groups=2)
        return pooled(convolved(x, 8 * third, 3, groups=2))  # [b, 13, 13, 256], [b, 6, 6, 256]


class ContextEncoder(nn.Module):
    """images [b, 227, 227, c], the hole painted over -> prediction [b, output, output, 3].

    The decoder doubles the 6x6 features "until we roughly reach the original target size": five
    times to 192 for the whole image, four times to 96 for the middle 113. What is missing to the
    target, less than a fifth in both, is bilinear enlargement.
    """

    output: int
    width: int = 96
    pooling: bool = True
    axis: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        def normalised(x: Array) -> Array:
            return nn.relu(BatchNorm(train, self.axis)(x))

        encoder = Encoder(self.width, self.pooling, self.axis, self.dtype, name="encoder")
        x = encoder(images, train=train)
        self.sow("intermediates", "bottleneck", x)
        x = ChannelWise()(x)
        mixed = nn.Conv(
            x.shape[-1], (1, 1), use_bias=False, dtype=self.dtype, kernel_init=KERNEL_INIT
        )
        x = normalised(mixed(x))  # [b, 6, 6, 256]
        doublings = int(math.log2(self.output / x.shape[1]))
        for thirds in (4, 2, 2, 1)[: doublings - 1]:
            # [b, 12, 12, 128], [b, 24, 24, 64], [b, 48, 48, 64], [b, 96, 96, 32]
            x = normalised(Upsample(thirds * self.width // 3)(x))
        x = Upsample(3)(x).astype(jnp.float32)  # [b, 192, 192, 3]
        return jnp.tanh(jax.image.resize(x, (x.shape[0], self.output, self.output, 3), "bilinear"))
