"""PyTorch's sides of a work: eager and compiled, on a GPU in bfloat16 too; and ours beside them."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import jax
import numpy as np
import torch
from torch import Tensor

from benchmarks import pytorch
from benchmarks.pytorch.networks import ContextEncoder, Critic, Generator, LatentEncoder
from benchmarks.pytorch.running import Mode, why_not_compiled
from benchmarks.setting import Setting
from benchmarks.weights import to_pytorch
from benchmarks.work import Side, why
from ce_jax import config
from ce_jax.state import Variables

Call = Callable[[], object]


@dataclass(frozen=True)
class Sides:
    """What a work has of them."""

    sides: dict[str, Side]
    missing: dict[str, str]


def sides(
    setting: Setting,
    *,
    ours: Callable[[Setting], Side],
    theirs: Callable[[Mode], Call],
    part: float = 1.0,
    keep: Callable[[Mode], bool] = lambda mode: True,
) -> Sides:
    """Builds all sides and calls them; what keeps one from running is noted.

    Args:
        setting: of the work, in float32.
        ours: our side, in the precision of a setting.
        theirs: what PyTorch has to call, in a mode.
        part: what share of the work that is.
        keep: whether a mode of PyTorch is worth while here; all are.
    """
    torch.compiler.reset()  # no program of another work counts against the most that are kept
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    found, missing = {}, {}

    def build(name: str, side: Callable[[], Side]) -> None:
        try:
            found[name] = side()
        except Exception as error:  # a compiler that fails, memory that is short: others go on
            missing[name] = why(error)

    for name, mode in _modes():
        if not keep(mode):
            continue
        our_name, precision = ("JAX bf16", "bfloat16") if mode.half else ("JAX", "float32")
        if our_name not in found | missing:
            build(our_name, partial(ours, replace(setting, precision=precision)))
        if mode.compiled and (reason := why_not_compiled()):
            missing[name] = reason
        else:
            build(name, partial(_side, theirs, mode, part=part))
    return Sides(found, missing)


def _modes() -> Iterator[tuple[str, Mode]]:
    """Those of PyTorch, by the names of their sides; in bfloat16 on a GPU alone."""
    for half in (False, True) if torch.cuda.is_available() else (False,):
        for compiled in (False, True):
            name = f"PyTorch{' bf16' * half}{' compiled' * compiled}"
            yield name, Mode(half=half, compiled=compiled)


def in_full(mode: Mode) -> bool:
    """Whether all of it is float32."""
    return not mode.half


def fastest(mode: Mode) -> bool:
    """What is fastest on a GPU; on a CPU eager, which takes no minute to compile for each shape."""
    return mode.half == mode.compiled == torch.cuda.is_available()


def _side(theirs: Callable[[Mode], Call], mode: Mode, *, part: float) -> Side:
    """Builds a side and calls it; memory that it leaves behind from then on is its own."""
    gpu = torch.cuda.is_available()
    before = torch.cuda.memory_allocated() if gpu else 0
    call = theirs(mode)
    call()
    if gpu and not mode.replays:  # the peak of a captured step counts from its capture
        torch.cuda.reset_peak_memory_stats()
    call()
    peak = torch.cuda.max_memory_allocated() - before if gpu else None
    return Side(call=call, compile_seconds=sum(mode.compiling), part=part, peak_bytes=peak)


def tensor(array: np.ndarray | jax.Array) -> Tensor:
    """An array on the device of PyTorch."""
    return torch.from_numpy(np.array(array)).to(pytorch.device())


def generator_twin(variables: Variables, setting: Setting) -> Generator:
    """A generator of ours in PyTorch, on its device."""
    sizes = {"size": setting.size, "width": setting.width, "latent": setting.model.latent}
    return to_pytorch(variables, Generator(**sizes)).to(pytorch.device())


def critic_twin(variables: Variables, *, size: int, width: int) -> Critic:
    """Likewise a critic of images of this size."""
    return to_pytorch(variables, Critic(size=size, width=width)).to(pytorch.device())


def context_encoder_twin(variables: Variables, run: config.Training) -> ContextEncoder:
    """Likewise a context encoder that predicts the centre."""
    model = run.model
    assert isinstance(model, config.ContextEncoder) and isinstance(model.bottleneck, int)
    sizes = {"size": run.data.frame.size, "width": model.width, "bottleneck": model.bottleneck}
    return to_pytorch(variables, ContextEncoder(**sizes)).to(pytorch.device())


def latent_encoder_twin(variables: Variables, setting: Setting) -> LatentEncoder:
    """Likewise an encoder that guesses z."""
    sizes = {"size": setting.size, "width": setting.width, "latent": setting.model.latent}
    return to_pytorch(variables, LatentEncoder(**sizes)).to(pytorch.device())
