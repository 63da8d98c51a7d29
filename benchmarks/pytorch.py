"""The opponent: DCGAN and latent search in eager PyTorch, written to be fast.

Images come in as [b, h, w, 3]. To PyTorch that is [b, 3, h, w] in channels_last memory, the faster
of its two layouts here, so that nothing is copied to get from one to the other.
"""

import copy
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.memory_format import convert_conv2d_weight_memory_format


def device() -> torch.device:
    """The GPU if there is one, set up for speed, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.set_float32_matmul_precision("high")  # TF32; convolutions use it by default
    torch.backends.cudnn.benchmark = True  # all shapes are static
    return torch.device("cuda")


def wait() -> None:
    """Returns when the device has done what it was asked."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Generator(nn.Module):
    """z [b, latent] -> images [b, 3, size, size] in [-1, 1]."""

    def __init__(self, *, size: int, width: int, latent: int):
        super().__init__()
        self.channels = channels = width * size // 8
        self.project = nn.Linear(latent, 16 * channels, bias=False)
        layers = [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        while channels > width:
            layers.append(nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False))
            channels //= 2
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        last = nn.ConvTranspose2d(channels, 3, 4, 2, 1, bias=False)
        self.body = nn.Sequential(*layers, last, nn.Tanh())
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, z: Tensor) -> Tensor:  # noqa: D102
        projected = self.project(z).view(-1, 4, 4, self.channels)
        return self.body(projected.permute(0, 3, 1, 2))


class Critic(nn.Module):
    """images [b, 3, size, size] -> logits [b]."""

    def __init__(self, *, size: int, width: int):
        super().__init__()
        channels = width
        layers = [nn.Conv2d(3, channels, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        while channels < width * size // 8:
            layers.append(nn.Conv2d(channels, 2 * channels, 4, 2, 1, bias=False))
            channels *= 2
            layers += [nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True)]
        self.body = nn.Sequential(*layers)
        self.judge = nn.Linear(16 * channels, 1, bias=False)
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:  # noqa: D102
        return self.judge(self.body(images).permute(0, 2, 3, 1).flatten(1))[:, 0]


class Trainer:
    """A generator, its critic and their optimisers."""

    def __init__(self, generator: Generator, critic: Critic):
        self.generator, self.critic = generator, critic
        self.generator_adam, self.critic_adam = (
            torch.optim.Adam(player.parameters(), 2e-4, (0.5, 0.999), fused=True)
            for player in (generator, critic)
        )

    def step(self, batch: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Updates the critic, then the generator against it; both losses.

        Args:
            batch: uint8 [b, h, w, 3].
            z: [b, latent].
        """
        real = (batch.permute(0, 3, 1, 2).float() / 127.5).sub_(1)
        fake = self.generator(z)

        on_real, on_fake = self.critic(real), self.critic(fake.detach())
        critic_loss = (functional.softplus(-on_real) + functional.softplus(on_fake)).mean()
        self.critic_adam.zero_grad(set_to_none=True)
        critic_loss.backward()
        self.critic_adam.step()

        self.critic.requires_grad_(False)  # the generator needs the gradient in the images alone
        generator_loss = functional.softplus(-self.critic(fake)).mean()
        self.generator_adam.zero_grad(set_to_none=True)
        generator_loss.backward()
        self.generator_adam.step()
        self.critic.requires_grad_(True)
        return critic_loss.detach(), generator_loss.detach()


Network = TypeVar("Network", Generator, Critic)


def frozen(network: Network) -> Network:
    """A copy for use alone: stored statistics, folded into the convolutions; no weight learns."""
    network = copy.deepcopy(network).eval().requires_grad_(False)
    body = network.body
    for i, (layer, norm) in enumerate(pairwise(body)):
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
            body[i] = fuse_conv_bn_eval(layer, norm, isinstance(layer, nn.ConvTranspose2d))
            body[i + 1] = nn.Identity()
    return convert_conv2d_weight_memory_format(network, torch.channels_last)


def search(
    generator: Generator,
    critic: Critic,
    images: Tensor,
    hole: Tensor,
    start: Tensor,
    *,
    steps: int,
    rate: float,
    window: int,
    prior: float,
) -> tuple[Tensor, Tensor]:
    """Latent search (Yeh et al. 2017, eq. 2-5) in frozen networks: the z reached and its objective.

    Args:
        generator: frozen.
        critic: frozen.
        images: [b, h, w, 3].
        hole: bool [b, h, w, 1].
        start: [b, latent].
        steps: of Adam.
        rate: of Adam.
        window: side of the square that weighs a known pixel by the missing ones around it.
        prior: weight of the prior loss.
    """
    images, hole = images.permute(0, 3, 1, 2), hole.permute(0, 3, 1, 2)
    share = functional.avg_pool2d(
        hole.float(), window, stride=1, padding=window // 2, count_include_pad=False
    )
    weight = share.masked_fill_(hole, 0)

    def objective(z: Tensor) -> Tensor:
        generated = generator(z)
        context = (weight * (generated - images).abs()).sum((1, 2, 3))
        return context - prior * functional.softplus(critic(generated))

    z = start.clone().requires_grad_()
    adam = torch.optim.Adam([z], rate, fused=True)
    for _ in range(steps):
        adam.zero_grad(set_to_none=True)
        objective(z).sum().backward()
        adam.step()
        with torch.no_grad():
            z.clamp_(-1, 1)
    with torch.inference_mode():
        return z.detach(), objective(z)
