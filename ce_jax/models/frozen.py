"""The networks of a DCGAN that learn no more, and what lies between their layers.

Stored statistics make BatchNorm a factor and a shift for each channel, x f + s with f = scale /
sqrt(variance + eps) and s = bias - mean f. The layer before it takes both: what a search computes
a thousand times has no BatchNorm in it, and what is made of a kernel alone is made once. Layers are
in the number type that they were folded to; z, images and logits are float32.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ce_jax.models.convolution import Prepared, downsample, prepare, upsample
from ce_jax.models.layers import leaky_relu

_EPSILON = 1e-5


class Layer(NamedTuple):
    """A convolution: its kernel, and a number to add for each channel."""

    kernel: Prepared
    shift: Array


class Frozen(NamedTuple):
    """A generator or a critic.

    Attributes:
        dense: the kernel of the first layer of a generator, [d, 4, 4, c]; of the last of a critic.
        shift: what is added there for each channel.
        convolutions: the others, in order.
    """

    dense: Array
    shift: Array
    convolutions: tuple[Layer, ...]


def fold_generator(variables: dict, dtype: jnp.dtype) -> Frozen:
    """Those of a `dcgan.Generator`; the last convolution makes RGB."""
    params, stats = variables["params"], variables["batch_stats"]
    last = sum(name.startswith("Upsample") for name in params) - 1
    factor, shift = _affine(params, stats, "BatchNorm_0")
    kernel = params["Dense_0"]["kernel"]
    dense = kernel.reshape(len(kernel), 4, 4, -1) * factor.reshape(1, 1, 1, -1), shift
    layers = []
    for i in range(last):
        factor, shift = _affine(params, stats, f"BatchNorm_{i + 1}")
        layers.append((params[f"Upsample_{i}"]["kernel"] * factor.reshape(1, 1, -1, 1), shift))
    layers.append((params[f"Upsample_{last}"]["kernel"], jnp.zeros(3)))
    return _frozen(dense, layers, dtype)


def fold_critic(variables: dict, dtype: jnp.dtype) -> Frozen:
    """Those of a `dcgan.Critic`; the dense layer has one output."""
    params, stats = variables["params"], variables["batch_stats"]
    count = sum(name.startswith("Downsample") for name in params)
    first = params["Downsample_0"]["kernel"]
    layers = [(first, jnp.zeros(first.shape[-1]))]
    for i in range(1, count):
        factor, shift = _affine(params, stats, f"BatchNorm_{i - 1}")
        layers.append((params[f"Downsample_{i}"]["kernel"] * factor.reshape(1, 1, 1, -1), shift))
    head = params["Dense_0"]["kernel"]
    logit = head if head.shape[1] == 1 else head[:, 1:] - head[:, :1]  # of two classes
    return _frozen((logit, jnp.zeros(1)), layers, dtype)


def features(generator: Frozen, z: Array, *, maps: Array | None = None, depth: int = 1) -> Array:
    """The feature maps of a generator behind its first `depth` layers: [b, d] -> [b, n, n, c].

    Maps, [b, 4, 4, c], are added to those behind the first.
    """
    dense, shift, convolutions = generator
    x = jnp.tensordot(z.astype(dense.dtype), dense, 1) + shift.reshape(1, 1, 1, -1)
    x = jax.nn.relu(x)
    return _up(x if maps is None else x + maps.astype(x.dtype), convolutions[: depth - 1])


def decode(generator: Frozen, features: Array, *, depth: int = 1) -> Array:
    """The images that a generator makes of such feature maps: [b, n, n, c] -> [b, s, s, 3]."""
    *convolutions, last = generator.convolutions[depth - 1 :]
    x = _up(features.astype(generator.dense.dtype), convolutions)
    return jnp.tanh(upsample(x, last.kernel).astype(jnp.float32))


def judge(critic: Frozen, images: Array) -> Array:
    """The logits of a critic: [b, s, s, 3] -> [b]."""
    x = images.astype(critic.dense.dtype)
    for kernel, shift in critic.convolutions:
        x = leaky_relu(downsample(x, kernel) + shift.reshape(1, 1, 1, -1))
    return (x.reshape(x.shape[0], -1) @ critic.dense)[:, 0].astype(jnp.float32)


def _up(x: Array, layers: Sequence[Layer]) -> Array:
    for kernel, shift in layers:
        x = jax.nn.relu(upsample(x, kernel) + shift.reshape(1, 1, 1, -1))
    return x


def _frozen(
    dense: tuple[Array, Array], layers: Sequence[tuple[Array, Array]], dtype: jnp.dtype
) -> Frozen:
    dense, layers = jax.tree.map(lambda array: array.astype(dtype), (dense, layers))
    return Frozen(*dense, tuple(Layer(prepare(kernel), shift) for kernel, shift in layers))


def _affine(params: dict, stats: dict, name: str) -> tuple[Array, Array]:
    learned, seen = params[name]["BatchNorm_0"], stats[name]["BatchNorm_0"]
    factor = learned["scale"] / jnp.sqrt(seen["var"] + _EPSILON)
    return factor, learned["bias"] - seen["mean"] * factor
