"""Training steps in PyTorch: a critic learns from real and made pictures, then whoever made them.

Batches are uint8 [b, h, w, 3]. One forward pass of the maker serves both, and the critic keeps its
gradients to itself while the other learns.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.pytorch.networks import ContextEncoder, Critic, Generator
from benchmarks.pytorch.running import EAGER, Mode


class Joint(NamedTuple):
    """The joint loss of a context encoder (Pathak et al. 2016): constants of its run.

    Attributes:
        colour: of the hole, 8-bit RGB.
        overlap: pixels around the hole that are predicted as well.
        overlap_weight: how much more an error counts there.
        adversarial: weight of the adversarial loss; the reconstruction gets the rest.
    """

    colour: tuple[int, int, int]
    overlap: int
    overlap_weight: float
    adversarial: float


class _Adversaries:
    """Two networks and their optimisers; a mode to run them in."""

    def __init__(self, maker: nn.Module, critic: Critic, rates: tuple[float, float], mode: Mode):
        self.critic, self._mode = critic, mode
        self._maker_adam, self._critic_adam = (
            torch.optim.Adam(
                player.parameters(), rate, (0.5, 0.999), fused=True, capturable=mode.replays
            )
            for player, rate in zip((maker, critic), rates, strict=True)
        )
        self._make = mode.function(maker)
        self._critic_loss = mode.function(self._judge)
        self._maker_loss = mode.function(self._please)

    def _judge(self, real: Tensor, fake: Tensor) -> Tensor:
        on_real, on_fake = self.critic(real), self.critic(fake)
        return (functional.softplus(-on_real) + functional.softplus(on_fake)).mean()

    def _please(self, fake: Tensor, truth: Tensor) -> Tensor:
        return functional.softplus(-self.critic(fake)).mean()

    def _play(self, truth: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
        with self._mode.autocast():
            made = self._make(shown)
            critic_loss = self._critic_loss(truth, made.detach())
        self._critic_adam.zero_grad(set_to_none=True)
        critic_loss.backward()
        self._critic_adam.step()

        self.critic.requires_grad_(False)  # the maker needs the gradient in the pictures alone
        with self._mode.autocast():
            maker_loss = self._maker_loss(made, truth)
        self._maker_adam.zero_grad(set_to_none=True)
        maker_loss.backward()
        self._maker_adam.step()
        self.critic.requires_grad_(True)
        return critic_loss.detach(), maker_loss.detach()


class DcganTrainer(_Adversaries):
    """A generator, its critic and their optimisers."""

    def __init__(self, generator: Generator, critic: Critic, *, mode: Mode = EAGER):
        super().__init__(generator, critic, (2e-4, 2e-4), mode)
        self.generator = generator

    def step(self, batch: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Updates the critic, then the generator against it; both losses. z: [b, latent]."""
        return self._play(_pictures(batch), z)


class ContextEncoderTrainer(_Adversaries):
    """A context encoder that predicts the centre, its critic and their optimisers."""

    def __init__(
        self,
        encoder: ContextEncoder,
        critic: Critic,
        *,
        size: int,
        rates: tuple[float, float],
        joint: Joint,
        mode: Mode = EAGER,
    ):
        self._joint, self._quarter = joint, size // 4
        where = next(critic.parameters()).device
        inside = size // 4 + joint.overlap
        self.hole = torch.zeros(size, size, dtype=torch.bool, device=where)
        self.hole[inside : size - inside, inside : size - inside] = True
        self.colour = torch.tensor(joint.colour, device=where).view(3, 1, 1) / 127.5 - 1
        # The centre is the hole and its overlap, so all of it counts.
        weight = torch.where(self._center(self.hole), 1.0, joint.overlap_weight)
        self.weight = weight / (3 * weight.numel())
        super().__init__(encoder, critic, rates, mode)
        self.encoder = encoder

    def step(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Updates the critic, then the encoder by the joint loss; both losses."""
        pictures = _pictures(batch)
        painted = torch.where(self.hole, self.colour, pictures)
        return self._play(self._center(pictures), painted)

    def _please(self, fake: Tensor, truth: Tensor) -> Tensor:
        adversarial = super()._please(fake, truth)
        squares = (self.weight * (fake - truth).square()).sum((1, 2, 3))
        share = self._joint.adversarial
        return (1 - share) * squares.mean() + share * adversarial

    def _center(self, pictures: Tensor) -> Tensor:
        middle = slice(self._quarter, -self._quarter)
        return pictures[..., middle, middle]


def _pictures(batch: Tensor) -> Tensor:
    return (batch.permute(0, 3, 1, 2).float() / 127.5).sub_(1)


def filler(
    encoder: ContextEncoder, *, colour: tuple[int, int, int], mode: Mode = EAGER
) -> Callable[[Tensor, Tensor], Tensor]:
    """(images, hole) -> completions, all [b, h, w, ...], by a frozen context encoder."""
    paint = torch.tensor(colour, device=next(encoder.parameters()).device) / 127.5 - 1

    def fill(images: Tensor, hole: Tensor) -> Tensor:
        painted = torch.where(hole, paint, images).permute(0, 3, 1, 2)
        prediction = encoder(painted).permute(0, 2, 3, 1)
        middle = slice(images.shape[1] // 4, -(images.shape[1] // 4))
        completed = images.clone()
        completed[:, middle, middle] = torch.where(
            hole[:, middle, middle], prediction, images[:, middle, middle]
        )
        return completed

    return torch.inference_mode()(mode.function(fill))
