"""Ways to run a function in PyTorch: as it stands or compiled, in float32 or in bfloat16."""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

import torch

Function = TypeVar("Function", bound=Callable)

_WARM_UP = 3


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How PyTorch is to run.

    Attributes:
        compiled: by TorchInductor; on a GPU a whole step is then replayed as one CUDA graph.
        half: convolutions and matrix products in bfloat16, by autocast where there is something to
            learn, on weights cast once where there is not.
    """

    compiled: bool = False
    half: bool = False

    @property
    def replays(self) -> bool:
        """Whether steps are captured; their optimisers must then keep their step on the device."""
        return self.compiled and torch.cuda.is_available()

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights of a network that learns no more."""
        return torch.bfloat16 if self.half else torch.float32

    def function(self, function: Function) -> Function:
        """A function of tensors, compiled whole if that is the mode: no part falls back."""
        return torch.compile(function, fullgraph=True) if self.compiled else function

    def autocast(self) -> AbstractContextManager:
        """Where networks that learn are called."""
        kind = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.autocast(kind, torch.bfloat16, enabled=self.half)

    def step(self, step: Callable[[], object]) -> Callable[[], object]:
        """A step on tensors that stay where they are; captured, if that is the mode.

        Capturing does a few steps, in which memory is found and kernels are chosen.
        """
        if not self.replays:
            return step
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP):
                step()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        return graph.replay


EAGER = Mode()


def why_not_compiled() -> str | None:
    """What TorchInductor lacks on this machine; None, if nothing."""
    if torch.cuda.is_available():
        return None  # Triton brings its own
    compilers = filter(None, (os.environ.get("CXX"), "g++", "clang++"))
    found = any(map(shutil.which, compilers))
    return None if found else "torch.compile needs a C++ compiler, and there is none"
