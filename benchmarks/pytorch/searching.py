"""Latent search in PyTorch (Yeh et al. 2017, eq. 2-5), in frozen networks."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.pytorch.networks import Critic, Generator, LatentEncoder
from benchmarks.pytorch.running import EAGER, Mode


class Search:
    """Searches from the same start, as often as it is called."""

    def __init__(
        self,
        generator: Generator,
        critic: Critic,
        images: Tensor,
        hole: Tensor,
        start: Tensor,
        *,
        rate: float,
        window: int,
        prior: float,
        mode: Mode = EAGER,
    ):
        """Takes networks that are frozen.

        Args:
            generator: where to search.
            critic: says the prior loss.
            images: [b, h, w, 3].
            hole: bool [b, h, w, 1].
            start: [b, latent].
            rate: of Adam.
            window: side of the square that weighs a known pixel by the missing ones around it.
            prior: weight of the prior loss.
            mode: how to run.
        """
        self._images = images = images.permute(0, 3, 1, 2).clone()
        self._weight = weight = importance(hole, window)
        self._window = window

        def objective(z: Tensor) -> Tensor:
            generated = generator(z)
            context = (weight * (generated - images).abs()).sum((1, 2, 3))
            return context - prior * functional.softplus(critic(generated))

        self._objective, self._start = mode.function(objective), start.clone()
        self._z = start.clone().requires_grad_()
        self._adam = torch.optim.Adam([self._z], rate, fused=True, capturable=mode.replays)
        self._step = mode.step(self._descend)

    def turn_to(self, images: Tensor, hole: Tensor, start: Tensor) -> None:
        """Searches for these from now on; their shapes are those of before."""
        self._images.copy_(images.permute(0, 3, 1, 2))
        self._weight.copy_(importance(hole, self._window))
        self._start.copy_(start)

    def __call__(self, steps: int) -> tuple[Tensor, Tensor]:
        """The z reached from the start after so many steps, and its objective."""
        z = self.descend(steps)
        with torch.no_grad():
            return z, self._objective(self._z)

    def descend(self, steps: int) -> Tensor:
        """The z reached from the start after so many steps."""
        with torch.no_grad():
            self._z.copy_(self._start)
            for moment in self._adam.state[self._z].values():
                moment.zero_()
        for _ in range(steps):
            self._step()
        return self._z.detach().clone()

    def _descend(self) -> None:
        self._adam.zero_grad(set_to_none=True)
        self._objective(self._z).sum().backward()
        self._adam.step()
        with torch.no_grad():
            self._z.clamp_(-1, 1)


class GuidedSearch:
    """Few large steps that get smaller as a cosine, from the guess of an encoder.

    The critic is asked at some of them; its slope in the images is kept for the others.
    """

    def __init__(
        self,
        encoder: LatentEncoder,
        generator: Generator,
        critic: Critic,
        images: Tensor,
        hole: Tensor,
        *,
        steps: int,
        rate: float,
        window: int,
        prior: float,
        prior_every: int,
        mode: Mode = EAGER,
    ):
        """Takes networks that are frozen; the rest is as above, with the steps of one search."""
        weight = importance(hole, window)
        images, hole = images.permute(0, 3, 1, 2), hole.permute(0, 3, 1, 2)
        seen = torch.cat([images.masked_fill(hole, 0), hole.float()], 1)
        seen = seen.contiguous(memory_format=torch.channels_last)

        def judge(generated: Tensor) -> Tensor:
            return -prior * functional.softplus(critic(generated)).sum()

        def objective(generated: Tensor, slope: Tensor) -> Tensor:
            return (weight * (generated - images).abs() + slope * generated).sum()

        encode = mode.function(encoder)
        self._generate, self._judge = mode.function(generator), mode.function(judge)
        self._objective, self._slope = mode.function(objective), torch.zeros_like(images)
        self._rates = [rate * (1 + math.cos(math.pi * t / steps)) / 2 for t in range(steps)]
        with torch.no_grad():
            self._guess = mode.step(lambda: encode(seen))
            self._z = self._guess().clone().requires_grad_()
            self._show = mode.step(lambda: self._generate(self._z))
        rate_now = torch.tensor(rate, device=seen.device)
        self._adam = torch.optim.Adam([self._z], rate_now, fused=True, capturable=mode.replays)
        self._ask = mode.step(lambda: self._descend(asks=True))
        self._go, self._every = mode.step(lambda: self._descend(asks=False)), prior_every

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """What is generated at the end, [b, 3, h, w]."""
        self._z.copy_(self._guess())
        for moment in self._adam.state[self._z].values():
            moment.zero_()
        for step, rate in enumerate(self._rates):
            self._adam.param_groups[0]["lr"].fill_(rate)
            (self._go if step % self._every else self._ask)()
        return self._show()

    @torch.enable_grad()
    def _descend(self, *, asks: bool) -> None:
        self._adam.zero_grad(set_to_none=True)
        generated = self._generate(self._z)
        if asks:
            shown = generated.detach().requires_grad_()
            self._slope.copy_(*torch.autograd.grad(self._judge(shown), shown))
        self._objective(generated, self._slope).backward()
        self._adam.step()
        with torch.no_grad():
            self._z.clamp_(-1, 1)


def importance(hole: Tensor, window: int) -> Tensor:
    """The missing share around each known pixel of [b, h, w, 1]; 0 in the hole, [b, 1, h, w]."""
    hole = hole.permute(0, 3, 1, 2)
    share = functional.avg_pool2d(
        hole.float(), window, stride=1, padding=window // 2, count_include_pad=False
    )
    return share.masked_fill_(hole, 0)
