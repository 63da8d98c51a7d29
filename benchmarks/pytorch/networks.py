"""DCGAN and encoders in PyTorch, and what becomes of them when they learn no more.

What a network says is float32, whatever it computes in.
"""

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format


def _up(channels: int, features: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels, features, 4, 2, 1, bias=False)


def _down(channels: int, features: int) -> nn.Conv2d:
    return nn.Conv2d(channels, features, 4, 2, 1, bias=False)


def _leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2, inplace=True)


class Generator(nn.Module):
    """z [b, latent] -> images [b, 3, size, size] in [-1, 1]."""

    def __init__(self, *, size: int, width: int, latent: int):
        super().__init__()
        self.channels = channels = width * size // 8
        self.project = nn.Linear(latent, 16 * channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        layers: list[nn.Module] = [nn.ReLU(inplace=True)]
        while channels > width:
            layers.append(_up(channels, channels // 2))
            channels //= 2
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers, _up(channels, 3))
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, z: Tensor) -> Tensor:  # noqa: D102
        projected = self.project(z.to(self.project.weight.dtype)).view(-1, 4, 4, self.channels)
        return torch.tanh(self.body(self.norm(projected.permute(0, 3, 1, 2))).float())


class Critic(nn.Module):
    """images [b, 3, size, size] -> logits [b]."""

    def __init__(self, *, size: int, width: int):
        super().__init__()
        channels = width
        layers = [_down(3, channels), _leaky()]
        while channels < width * size // 8:
            layers.append(_down(channels, 2 * channels))
            channels *= 2
            layers += [nn.BatchNorm2d(channels), _leaky()]
        self.body = nn.Sequential(*layers)
        self.judge = nn.Linear(16 * channels, 1, bias=False)
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:  # noqa: D102
        x = self.body(images.to(self.judge.weight.dtype))
        return self.judge(x.permute(0, 2, 3, 1).flatten(1))[:, 0].float()


class ContextEncoder(nn.Module):
    """Painted images [b, 3, size, size] -> the middle square of half the side, in [-1, 1].

    Pathak et al. 2016: convolutions down to 4x4, a bottleneck that sees them all, and back up.
    """

    def __init__(self, *, size: int, width: int, bottleneck: int):
        super().__init__()

        def channels(side: int) -> int:
            return width * min(max(min(size // 2, 32) // side, 1), 8)

        layers, sides = [_down(3, width), _leaky()], [size // 2]
        while sides[-1] > 4:
            sides.append(sides[-1] // 2)
            maps, before = channels(sides[-1]), channels(sides[-2])
            layers += [_down(before, maps), nn.BatchNorm2d(maps), _leaky()]
        self.encode = nn.Sequential(*layers)
        self.maps = maps = channels(4)
        self.squeeze = nn.Linear(16 * maps, bottleneck, bias=False)
        self.squeezed = nn.BatchNorm1d(bottleneck)
        self.leaky = _leaky()
        self.spread = nn.Linear(bottleneck, 16 * maps, bias=False)
        self.norm = nn.BatchNorm2d(maps)
        layers, side = [nn.ReLU(inplace=True)], 8
        while side < size // 2:
            features = channels(side)
            layers += [_up(maps, features), nn.BatchNorm2d(features), nn.ReLU(inplace=True)]
            maps, side = features, 2 * side
        self.decode = nn.Sequential(*layers, _up(maps, 3))
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, painted: Tensor) -> Tensor:  # noqa: D102
        x = self.encode(painted.to(self.squeeze.weight.dtype)).permute(0, 2, 3, 1).flatten(1)
        x = self.spread(self.leaky(self.squeezed(self.squeeze(x))))
        x = self.norm(x.view(-1, 4, 4, self.maps).permute(0, 3, 1, 2))
        return torch.tanh(self.decode(x).float())


class LatentEncoder(nn.Module):
    """Known pixels and hole [b, 4, size, size] -> z [b, latent] in [-1, 1]."""

    def __init__(self, *, size: int, width: int, latent: int):
        super().__init__()
        channels, layers = width, [_down(4, width), _leaky()]
        while channels < width * size // 8:
            layers += [_down(channels, 2 * channels), nn.BatchNorm2d(2 * channels), _leaky()]
            channels *= 2
        self.body = nn.Sequential(*layers)
        self.guess = nn.Linear(16 * channels, latent)
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, seen: Tensor) -> Tensor:  # noqa: D102
        return torch.tanh(self.guess(self.body(seen).permute(0, 2, 3, 1).flatten(1)))


Network = TypeVar("Network", bound=nn.Module)

_Norm: TypeAlias = nn.BatchNorm1d | nn.BatchNorm2d


def frozen(network: Network, *, dtype: torch.dtype = torch.float32) -> Network:
    """A copy for use alone: stored statistics, folded into the layers; no weight learns."""
    network = copy.deepcopy(network).eval().requires_grad_(False)
    for layers in [part for part in network.modules() if isinstance(part, nn.Sequential)]:
        for i, (layer, norm) in enumerate(pairwise(layers)):
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, _Norm):
                layers[i] = fuse_conv_bn_eval(layer, norm, isinstance(layer, nn.ConvTranspose2d))
                layers[i + 1] = nn.Identity()
    for name, norm in _behind_dense(network):
        dense = network.get_submodule(name)
        assert isinstance(dense, nn.Linear)
        _fold(dense, norm)
    network = network.to(dtype)
    return convert_conv2d_weight_memory_format(network, torch.channels_last)


def _behind_dense(network: nn.Module) -> Iterator[tuple[str, _Norm]]:
    """Dense layers, by name, each with the BatchNorm behind it, whose place is left empty."""
    for (name, layer), (after, norm) in pairwise(list(network.named_children())):
        if isinstance(layer, nn.Linear) and isinstance(norm, _Norm):
            setattr(network, after, nn.Identity())
            yield name, norm


def _fold(dense: nn.Linear, norm: _Norm) -> None:
    """Scales and shifts what a dense layer says; of maps, whose channels come last, each place."""
    mean, variance = map(norm.get_buffer, ("running_mean", "running_var"))
    factor = norm.weight / (variance + norm.eps).sqrt()
    shift = norm.bias - mean * factor
    places = dense.out_features // len(factor)
    dense.weight.mul_(factor.repeat(places)[:, None])
    dense.bias = nn.Parameter(shift.repeat(places), requires_grad=False)
