"""Inception v3 as FID and KID know it: up to its third pooling, 2048 numbers an image.

That is the network of Szegedy et al. 2016 as TensorFlow's file of December 2015 has it, whose
features Heusel et al. 2017 compare. It differs from other Inceptions: means next to the border are
of the pixels that are there, and the last block takes the largest where the others take the mean.
Names are those of pytorch-fid's pt_inception-2015-12-05; widths are those of the weights. Its
BatchNorms are part of the convolutions. Activations are [b, h, w, c].
"""

import jax
import jax.numpy as jnp
from jax import Array

from ce_jax.models.pretrained import Convolution, Convolve, max_pool, mean_pool, with_weights

EPSILON = 1e-3
"""What its BatchNorms add to a variance."""

_SIDE = 299


def features(weights: dict[str, Convolution], images: Array) -> Array:
    """What FID and KID compare of images [b, h, w, 3] in [-1, 1] of any size: [b, 2048]."""
    return pool3(with_weights(weights), resized(images))


def resized(images: Array) -> Array:
    """[b, 299, 299, c], bilinear without antialiasing; pixels are squares (align_corners=False)."""
    shape = (len(images), _SIDE, _SIDE, images.shape[-1])
    return jax.image.resize(images, shape, "bilinear", antialias=False)


def pool3(convolve: Convolve, x: Array) -> Array:
    """[b, 299, 299, 3] -> [b, 2048]."""
    x = convolve("Conv2d_1a_3x3", x, stride=2, padding="VALID")  # [b, 149, 149, 32]
    x = convolve("Conv2d_2a_3x3", x, padding="VALID")
    x = max_pool(convolve("Conv2d_2b_3x3", x), 3)  # [b, 73, 73, 64]
    x = convolve("Conv2d_3b_1x1", x, 1)
    x = max_pool(convolve("Conv2d_4a_3x3", x, padding="VALID"), 3)  # [b, 35, 35, 192]
    for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        x = block_a(convolve, block, x)  # [b, 35, 35, 288]
    x = block_b(convolve, "Mixed_6a", x)  # [b, 17, 17, 768]
    for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        x = block_c(convolve, block, x)
    x = block_d(convolve, "Mixed_7a", x)  # [b, 8, 8, 1280]
    x = block_e(convolve, "Mixed_7b", x, mean_pool(x, 3))  # [b, 8, 8, 2048]
    x = block_e(convolve, "Mixed_7c", x, max_pool(x, 3, stride=1, padding="SAME"))
    return jnp.mean(x, axis=(1, 2))


def block_a(convolve: Convolve, block: str, x: Array) -> Array:
    """5x5 and twice 3x3, beside 1x1 and a mean."""
    branches = (
        convolve(f"{block}.branch1x1", x, 1),
        _chain(convolve, f"{block}.branch5x5", x, 1, 5),
        _chain(convolve, f"{block}.branch3x3dbl", x, 1, 3, 3),
        convolve(f"{block}.branch_pool", mean_pool(x, 3), 1),
    )
    return jnp.concatenate(branches, -1)


def block_b(convolve: Convolve, block: str, x: Array) -> Array:
    """3x3 and twice 3x3 at stride 2, beside a maximum."""
    three = _chain(convolve, f"{block}.branch3x3dbl", x, 1, 3)
    branches = (
        convolve(f"{block}.branch3x3", x, stride=2, padding="VALID"),
        convolve(f"{block}.branch3x3dbl_3", three, stride=2, padding="VALID"),
        max_pool(x, 3),
    )
    return jnp.concatenate(branches, -1)


def block_c(convolve: Convolve, block: str, x: Array) -> Array:
    """7x7 and twice 7x7, each as a row and a column, beside 1x1 and a mean."""
    row, column = (1, 7), (7, 1)
    branches = (
        convolve(f"{block}.branch1x1", x, 1),
        _chain(convolve, f"{block}.branch7x7", x, 1, row, column),
        _chain(convolve, f"{block}.branch7x7dbl", x, 1, column, row, column, row),
        convolve(f"{block}.branch_pool", mean_pool(x, 3), 1),
    )
    return jnp.concatenate(branches, -1)


def block_d(convolve: Convolve, block: str, x: Array) -> Array:
    """3x3 and 7x7 with 3x3 at stride 2, beside a maximum."""
    three = convolve(f"{block}.branch3x3_1", x, 1)
    seven = _chain(convolve, f"{block}.branch7x7x3", x, 1, (1, 7), (7, 1))
    branches = (
        convolve(f"{block}.branch3x3_2", three, stride=2, padding="VALID"),
        convolve(f"{block}.branch7x7x3_4", seven, stride=2, padding="VALID"),
        max_pool(x, 3),
    )
    return jnp.concatenate(branches, -1)


def block_e(convolve: Convolve, block: str, x: Array, pooled: Array) -> Array:
    """3x3 and twice 3x3, which end in a row beside a column, beside 1x1 and what was pooled."""
    three = convolve(f"{block}.branch3x3_1", x, 1)
    twice = _chain(convolve, f"{block}.branch3x3dbl", x, 1, 3)
    branches = (
        convolve(f"{block}.branch1x1", x, 1),
        convolve(f"{block}.branch3x3_2a", three, (1, 3)),
        convolve(f"{block}.branch3x3_2b", three, (3, 1)),
        convolve(f"{block}.branch3x3dbl_3a", twice, (1, 3)),
        convolve(f"{block}.branch3x3dbl_3b", twice, (3, 1)),
        convolve(f"{block}.branch_pool", pooled, 1),
    )
    return jnp.concatenate(branches, -1)


def _chain(convolve: Convolve, branch: str, x: Array, *sides: int | tuple[int, int]) -> Array:
    """The first convolutions of a branch, one after the other."""
    for number, side in enumerate(sides, 1):
        x = convolve(f"{branch}_{number}", x, side)
    return x
