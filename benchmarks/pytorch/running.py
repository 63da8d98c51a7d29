"""Ways to run a function in PyTorch: as it stands or compiled, in float32 or in bfloat16."""

import gc
import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch

Result = TypeVar("Result")

_WARM_UP = 3


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How PyTorch is to run.

    Attributes:
        compiled: by TorchInductor; on a GPU a whole step is then replayed as one CUDA graph.
        half: convolutions and matrix products in bfloat16, by autocast where there is something to
            learn, on weights cast once where there is not.
        compiling: seconds that it took to compile each step that was made in this mode.
    """

    compiled: bool = False
    half: bool = False
    compiling: list[float] = field(default_factory=list, compare=False)

    @property
    def replays(self) -> bool:
        """Whether steps are captured; their optimisers must then keep their step on the device."""
        return self.compiled and torch.cuda.is_available()

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights of a network that learns no more."""
        return torch.bfloat16 if self.half else torch.float32

    def function(self, function: Callable) -> Callable:
        """A function of tensors, compiled whole if that is the mode: no part falls back."""
        return torch.compile(function, fullgraph=True) if self.compiled else function

    def autocast(self) -> AbstractContextManager:
        """Where networks that learn are called."""
        kind = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.autocast(kind, torch.bfloat16, enabled=self.half)

    def step(self, step: Callable[[], Result]) -> Callable[[], Result]:
        """A step on tensors that stay where they are; compiled and captured, if that is the mode.

        That does a few steps, in which memory is found and kernels are chosen.
        """
        if not self.compiled:
            return step
        if not self.replays:
            self._warm_up(step)
            return step
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            self._warm_up(step)
        torch.cuda.current_stream().wait_stream(aside)
        return _captured(step)

    def _warm_up(self, step: Callable[[], object]) -> None:
        first, *_, last = (_seconds(step) for _ in range(_WARM_UP))
        self.compiling.append(max(0.0, first - last))


EAGER = Mode()


@dataclass(frozen=True)
class Replay(Generic[Result]):
    """A captured step. Its graph knows addresses alone: what lies there is kept alive here.

    Attributes:
        graph: what was captured.
        step: holds what it reads, and what it changes.
        output: what it writes anew each time.
    """

    graph: torch.cuda.CUDAGraph
    step: Callable[[], Result]
    output: Result

    def __call__(self) -> Result:
        """Does the step once more."""
        self.graph.replay()
        return self.output


def _captured(step: Callable[[], Result]) -> Replay[Result]:
    """From here on the peak of memory is that of the step: its replays allocate nothing."""
    gc.collect()  # what is let go during a capture would be part of it
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    graph = torch.cuda.CUDAGraph()
    # The threads of JAX use the same device meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        output = step()
    return Replay(graph, step, output)


def _seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def why_not_compiled() -> str | None:
    """What TorchInductor lacks on this machine; None, if nothing."""
    if torch.cuda.is_available():
        return None  # Triton brings its own
    compilers = filter(None, (os.environ.get("CXX"), "g++", "clang++"))
    found = any(map(shutil.which, compilers))
    return None if found else "torch.compile needs a C++ compiler, and there is none"
