"""What networks are built of that others have trained: convolutions by the names in their files.

A network is written once, as a function of a `Convolve`: given one that has weights it computes;
given one that looks into a file, it says which weights it wants and of what shape.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

Padding = int | Literal["SAME", "VALID"]


class Convolution(NamedTuple):
    """Weights [h, w, in, out] and biases [out]."""

    kernel: Array
    bias: Array


class Convolve(NamedTuple):
    """The convolutions of a network, each with ReLU.

    Attributes:
        weights: (name, its kernel's rows and columns, channels) -> its weights.
    """

    weights: Callable[[str, tuple[int, int], int], Convolution]

    def __call__(
        self,
        name: str,
        x: Array,
        side: int | tuple[int, int] = 3,
        *,
        stride: int = 1,
        padding: Padding = "SAME",
    ) -> Array:
        """That of a name over x [b, h, w, c], whose kernel has so many pixels a side."""
        sides = (side, side) if isinstance(side, int) else side
        return convolved(x, self.weights(name, sides, x.shape[-1]), stride=stride, padding=padding)


def with_weights(weights: Mapping[str, Convolution]) -> Convolve:
    """What computes with weights by name."""
    return Convolve(lambda name, *_: weights[name])


def convolved(
    x: Array, weights: Convolution, *, stride: int = 1, padding: Padding = "SAME"
) -> Array:
    """relu(x * kernel + bias), [b, h, w, in] -> [b, h', w', out]; padded with so many zeros."""
    around = [(padding, padding)] * 2 if isinstance(padding, int) else padding
    x = lax.conv_general_dilated(
        x, weights.kernel, (stride, stride), around, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jax.nn.relu(x + weights.bias.reshape(1, 1, 1, -1))


def max_pool(x: Array, side: int, *, stride: int = 2, padding: Padding = "VALID") -> Array:
    """The largest in each window of [b, h, w, c]; what lies beyond the border is not looked at."""
    assert not isinstance(padding, int)
    window, strides = (1, side, side, 1), (1, stride, stride, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, padding)


def mean_pool(x: Array, side: int) -> Array:
    """The mean of each window of [b, h, w, c] at stride 1, of what of it is in the image."""

    def total(x: Array) -> Array:
        return lax.reduce_window(x, 0.0, lax.add, (1, side, side, 1), (1, 1, 1, 1), "SAME")

    return total(x) / total(jnp.ones((1, *x.shape[1:3], 1), x.dtype))
