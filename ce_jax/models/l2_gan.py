"""What the L2-GAN of Salem et al. has beside an encoder-decoder and a critic: a refiner.

The paper says no more of it than that its input is the recovered block. Here it is a small U-Net
that adds a correction, and sees a tenth of its window on every side as well: the known pixels that
the block has to continue. It begins by adding nothing, so that it can only depart from what was
recovered where that pays.
"""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike

from ce_jax.models.layers import BatchNorm, Downsample, Upsample, leaky_relu


class Refiner(nn.Module):
    """window [b, w, w, 3] around a block -> the block, refined, [b, 4/5 w, 4/5 w, 3] in [-1, 1]."""

    width: int = 64
    axis: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, window: Array, *, train: bool) -> Array:
        def normalised(x: Array) -> Array:
            return BatchNorm(train, self.axis)(x)

        half = leaky_relu(Downsample(self.width)(window.astype(self.dtype)))  # [b, 80, 80, 64]
        quarter = leaky_relu(normalised(Downsample(2 * self.width)(half)))  # [b, 40, 40, 128]
        x = leaky_relu(normalised(Downsample(4 * self.width)(quarter)))  # [b, 20, 20, 256]
        x = nn.relu(normalised(Upsample(2 * self.width)(x)))
        x = jnp.concatenate([x, quarter], -1)
        x = nn.relu(normalised(Upsample(self.width)(x)))
        x = jnp.concatenate([x, half], -1)
        correction = Upsample(3, kernel_init=nn.initializers.zeros)(x)  # [b, 160, 160, 3]
        inside = slice(margin := window.shape[1] // 10, -margin)
        return jnp.clip(window + correction.astype(jnp.float32), -1, 1)[:, inside, inside]
