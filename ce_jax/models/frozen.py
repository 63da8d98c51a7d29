"""The networks of a DCGAN that learn no more, and what lies between their layers.

Stored statistics make BatchNorm a factor and a shift for each channel, x f + s with f = scale /
sqrt(variance + eps) and s = bias - mean f. The layer before it takes both: what a search computes
a thousand times has no BatchNorm in it. Layers are in the number type that they were folded to;
z, images and logits are float32.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ce_jax.models.convolution import downsample, upsample
from ce_jax.models.layers import leaky_relu

Array = jax.Array

_EPSILON = 1e-5


class Layer(NamedTuple):
    """A linear layer: its kernel, as linen has it, and a number to add for each channel."""

    kernel: Array
    shift: Array


def fold_generator(variables: dict, dtype: jnp.dtype) -> tuple[Layer, ...]:
    """The layers of a `dcgan.Generator`: the dense one, then the up-samplings, the last to RGB."""
    params, stats = variables["params"], variables["batch_stats"]
    last = sum(name.startswith("Upsample") for name in params) - 1
    factor, shift = _affine(params, stats, "BatchNorm_0")
    kernel = params["Dense_0"]["kernel"]
    layers = [Layer(kernel.reshape(len(kernel), 4, 4, -1) * factor.reshape(1, 1, 1, -1), shift)]
    for i in range(last):
        factor, shift = _affine(params, stats, f"BatchNorm_{i + 1}")
        layers.append(Layer(params[f"Upsample_{i}"]["kernel"] * factor.reshape(1, 1, -1, 1), shift))
    layers.append(Layer(params[f"Upsample_{last}"]["kernel"], jnp.zeros(3)))
    return jax.tree.map(lambda array: array.astype(dtype), tuple(layers))


def fold_critic(variables: dict, dtype: jnp.dtype) -> tuple[Layer, ...]:
    """The layers of a `dcgan.Critic`: the down-samplings, then the dense one, with one output."""
    params, stats = variables["params"], variables["batch_stats"]
    count = sum(name.startswith("Downsample") for name in params)
    first = params["Downsample_0"]["kernel"]
    layers = [Layer(first, jnp.zeros(first.shape[-1]))]
    for i in range(1, count):
        factor, shift = _affine(params, stats, f"BatchNorm_{i - 1}")
        layers.append(
            Layer(params[f"Downsample_{i}"]["kernel"] * factor.reshape(1, 1, 1, -1), shift)
        )
    head = params["Dense_0"]["kernel"]
    logit = head if head.shape[1] == 1 else head[:, 1:] - head[:, :1]  # of two classes
    layers.append(Layer(logit, jnp.zeros(1)))
    return jax.tree.map(lambda array: array.astype(dtype), tuple(layers))


def features(
    layers: Sequence[Layer], z: Array, *, maps: Array | None = None, depth: int = 1
) -> Array:
    """The feature maps of a generator behind its first `depth` layers: [b, d] -> [b, n, n, c].

    Maps, [b, 4, 4, c], are added to those behind the first.
    """
    dense, *others = layers[:depth]
    kernel, shift = dense
    x = jnp.tensordot(z.astype(kernel.dtype), kernel, 1) + shift.reshape(1, 1, 1, -1)
    x = jax.nn.relu(x)
    return _up(x if maps is None else x + maps.astype(x.dtype), others)


def decode(layers: Sequence[Layer], features: Array, *, depth: int = 1) -> Array:
    """The images that a generator makes of such feature maps: [b, n, n, c] -> [b, s, s, 3]."""
    x = _up(features.astype(layers[0].kernel.dtype), layers[depth:-1])
    return jnp.tanh(upsample(x, layers[-1].kernel).astype(jnp.float32))


def judge(layers: Sequence[Layer], images: Array) -> Array:
    """The logits of a critic: [b, s, s, 3] -> [b]."""
    *convolutions, head = layers
    x = images.astype(head.kernel.dtype)
    for kernel, shift in convolutions:
        x = leaky_relu(downsample(x, kernel) + shift.reshape(1, 1, 1, -1))
    return (x.reshape(x.shape[0], -1) @ head.kernel)[:, 0].astype(jnp.float32)


def _up(x: Array, layers: Sequence[Layer]) -> Array:
    for kernel, shift in layers:
        x = jax.nn.relu(upsample(x, kernel) + shift.reshape(1, 1, 1, -1))
    return x


def _affine(params: dict, stats: dict, name: str) -> tuple[Array, Array]:
    learned, seen = params[name]["BatchNorm_0"], stats[name]["BatchNorm_0"]
    factor = learned["scale"] / jnp.sqrt(seen["var"] + _EPSILON)
    return factor, learned["bias"] - seen["mean"] * factor
