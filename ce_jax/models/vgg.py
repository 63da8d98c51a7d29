"""VGG19 up to conv4_1 (Simonyan and Zisserman 2015), to tell textures apart; it is never trained.

Its channels are those of its weights. relu3_1 and relu4_1 are the layers that Yang et al. 2016
compare textures in.
"""

from typing import NamedTuple

from jax import Array

from ce_jax.models.pretrained import Convolution, convolved, max_pool

LAYERS = tuple(
    f"conv{level}_{number}"
    for level, count in enumerate((2, 2, 4, 1), 1)
    for number in range(1, count + 1)
)
"""The convolutions in their order; a level ends in a pooling."""


class Vgg19(NamedTuple):
    """What VGG19 has learned, and on which pixels.

    Attributes:
        convolutions: one for each of `LAYERS`, the first for RGB.
        scale: [3], what a pixel in [-1, 1] is multiplied by; RGB.
        shift: [3], what is then added.
    """

    convolutions: tuple[Convolution, ...]
    scale: Array
    shift: Array


def features(weights: Vgg19, images: Array) -> tuple[Array, Array]:
    """relu3_1 [b, n/4, n/4, 256] and relu4_1 [b, n/8, n/8, 512] of images [b, n, n, 3]."""
    x, outputs = images * weights.scale.reshape(1, 1, 1, 3) + weights.shift.reshape(1, 1, 1, 3), {}
    for name, convolution in zip(LAYERS, weights.convolutions, strict=True):
        if name.endswith("_1") and name != "conv1_1":
            x = max_pool(x, 2)
        x = outputs[name] = convolved(x, convolution)
    return outputs["conv3_1"], outputs["conv4_1"]
