"""Image inpainting on accelerators: context encoders and latent search, in JAX.

Everywhere in this package `images` are float32 in [-1, 1], [b, h, w, 3], and a `hole` is bool
[b, h, w, 1], True where pixels are missing. A module imports only from its own room, and
from what this list names before it:

    config                 what an experiment is
    files pages            written whole or not at all; pages for people
    pixels                 bytes, and what networks see of them
    images photographs     pictures in front of a network, and as they came
    losses metrics         what is punished; how good a completion is
    blending               the Poisson equation on a hole
    sharding hosts         the devices, and the processes that share them
    holes                  which pixels are missing: drawn, in sets, in files
    models state systems   networks, what they have learned, how they learn
    runs                   a training run on disk; networks, wherever they are
    sources data           images from anywhere, into batches
    completion             every way to fill a hole
    inpainting             from pictures and holes to a folder of completions
    training batch         the two loops
    api                    inpainting for arrays, from Python
    tables                 many inpaintings, side by side
    commands               what the programs share
    convert                weights of others, and ours for others
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ce_jax.api import Incomplete, inpaint
    from ce_jax.runs.loading import load

__all__ = ["Incomplete", "inpaint", "load"]


def __getattr__(name: str) -> Any:
    """Imports JAX when it is first needed, and not before."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "runs.loading" if name == "load" else "api"
    return getattr(importlib.import_module(f"ce_jax.{home}"), name)


def __dir__() -> list[str]:
    """With what is not imported yet, for those who press Tab."""
    return sorted({*globals(), *__all__})
