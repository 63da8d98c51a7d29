"""Weights of the same network in Flax and in PyTorch, copied either way.

Flax numbers the layers of a kind in the order of their calls, which is the order of PyTorch's
`modules()`; our kernels [4, 4, c, o] are PyTorch's [o, c, 4, 4], whichever way the layer goes.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import torch
from flax.traverse_util import flatten_dict, unflatten_dict
from torch import Tensor, nn

from ce_jax.state import Variables

Module = TypeVar("Module", bound=nn.Module)

_KINDS = {
    nn.Linear: "Dense",
    nn.Conv2d: "Downsample",
    nn.ConvTranspose2d: "Upsample",
    nn.BatchNorm1d: "BatchNorm",
    nn.BatchNorm2d: "BatchNorm",
}
_BATCH_NORM = {
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}
_TO_PYTORCH = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
_FROM_PYTORCH = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}


def to_pytorch(variables: Variables, module: Module) -> Module:
    """Writes the weights and BatchNorm statistics of a Flax network into its PyTorch twin."""
    ours = flatten_dict(variables)
    with torch.no_grad():
        for path, tensor in _tensors(module):
            value = np.array(ours[path])
            tensor.copy_(torch.from_numpy(value).permute(_TO_PYTORCH[value.ndim]))
    return module


def from_pytorch(module: nn.Module) -> Variables:
    """Weights and BatchNorm statistics of a PyTorch network, as the variables of its Flax twin."""
    return unflatten_dict(
        {
            path: tensor.detach().permute(_FROM_PYTORCH[tensor.ndim]).cpu().numpy().copy()
            for path, tensor in _tensors(module)
        }
    )


def _tensors(module: nn.Module) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """Every tensor of a network with its place in our variables."""
    numbers = Counter()
    for layer in module.modules():
        if (kind := _KINDS.get(type(layer))) is None:
            continue
        name = f"{kind}_{numbers[kind]}"
        numbers[kind] += 1
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            for (collection, ours), theirs in _BATCH_NORM.items():
                yield (collection, name, "BatchNorm_0", ours), getattr(layer, theirs)
        else:
            yield ("params", name, "kernel"), layer.get_parameter("weight")
            if layer.bias is not None:
                yield ("params", name, "bias"), layer.get_parameter("bias")
