"""LPIPS: how different two images look, in the features of a network (Zhang et al. 2018).

With y_l the activations of slice l of the network, each place divided by its length, and w_l the
weights of the channels that were learned from people's judgements (eq. 1),

    d(x, x') = sum_l mean_hw w_l . (y_l(x) - y_l(x'))^2

The network is an AlexNet or a VGG16, up to its last ReLU before fully connected layers; widths
are those of the weights, and names those of the PyTorch package `lpips`, version 0.1. Both take
images [b, h, w, 3] that are shifted and scaled; activations are [b, h, w, channels].
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from ce_jax.models.pretrained import Convolution, Convolve, max_pool, with_weights

Network = Callable[[Convolve, Array], tuple[Array, ...]]

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Mean and deviation of the pixels in [-1, 1] that the networks expect; RGB."""

_OF_VGG16_ALONE = "net.slice1.2"
_VGG16 = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))  # places in torchvision


class Lpips(NamedTuple):
    """What was learned for LPIPS.

    Attributes:
        convolutions: those of the network by name, which say which network it is.
        heads: [channels] for each of the five slices.
        shift: [3], what is taken from a pixel in [-1, 1]; RGB.
        scale: [3], what it is then divided by.
    """

    convolutions: dict[str, Convolution]
    heads: tuple[Array, ...]
    shift: Array
    scale: Array


def distance(weights: Lpips, first: Array, second: Array) -> Array:
    """How different two images look, [b, h, w, 3] in [-1, 1] each -> [b], at least 0.

    Images of fewer than 31 pixels a side leave nothing of AlexNet's third slice: nan.
    """
    network = network_of(weights.convolutions)
    both = jnp.concatenate([first, second])
    both = (both - weights.shift.reshape(1, 1, 1, 3)) / weights.scale.reshape(1, 1, 1, 3)
    total = jnp.zeros(len(first))
    for activations, head in zip(
        network(with_weights(weights.convolutions), both), weights.heads, strict=True
    ):
        length = jnp.linalg.norm(activations, axis=-1, keepdims=True)
        one, other = jnp.split(activations / (length + 1e-10), 2)
        weighted = jnp.square(one - other) * head.reshape(1, 1, 1, -1)
        total += jnp.mean(jnp.sum(weighted, axis=-1), axis=(1, 2))
    return total


def network_of(names: Iterable[str]) -> Network:
    """The network that has weights of these names: `alex`, or `vgg` if one is its alone."""
    return vgg if any(name.startswith(_OF_VGG16_ALONE) for name in names) else alex


def alex(convolve: Convolve, x: Array) -> tuple[Array, ...]:
    """The five slices of AlexNet (Krizhevsky 2014, one column): 64, 192, 384, 256, 256 channels."""
    first = convolve("net.slice1.0", x, 11, stride=4, padding=2)
    second = convolve("net.slice2.3", max_pool(first, 3), 5)
    third = convolve("net.slice3.6", max_pool(second, 3))
    fourth = convolve("net.slice4.8", third)
    return first, second, third, fourth, convolve("net.slice5.10", fourth)


def vgg(convolve: Convolve, x: Array) -> tuple[Array, ...]:
    """The five slices of VGG16: 64, 128, 256, 512, 512 channels."""
    slices = []
    for number, places in enumerate(_VGG16, 1):
        x = max_pool(x, 2) if slices else x
        for place in places:
            x = convolve(f"net.slice{number}.{place}", x)
        slices.append(x)
    return tuple(slices)
