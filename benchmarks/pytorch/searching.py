"""Latent search in PyTorch (Yeh et al. 2017, eq. 2-5), in frozen networks."""

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.pytorch.networks import Critic, Generator
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


def importance(hole: Tensor, window: int) -> Tensor:
    """The missing share around each known pixel of [b, h, w, 1]; 0 in the hole, [b, 1, h, w]."""
    hole = hole.permute(0, 3, 1, 2)
    share = functional.avg_pool2d(
        hole.float(), window, stride=1, padding=window // 2, count_include_pad=False
    )
    return share.masked_fill_(hole, 0)
