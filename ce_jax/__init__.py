"""Image inpainting on accelerators: context encoders and latent search, in JAX.

Everywhere in this package `images` are float32 in [-1, 1], [b, h, w, 3], and a `hole` is bool
[b, h, w, 1], True where pixels are missing. A module imports only what this list names before it:

    config                                   what an experiment is
    files stamps                             written whole or not at all; what a file was
    shelf                                    what need not be made again
    irregular                                shapes of holes
    membranes                                the equation behind a blend
    images holes losses metrics blending     the domain, in pure functions
    augmentation                             images as a critic is shown them
    distributions                            how alike two sets of images are
    photographs surroundings                 whole pictures; squares of them, and back
    trails                                   the way of a search
    models state systems                     networks, what they have learned, how they learn
    releases                                 networks in one file, and by name
    sharding arithmetic profiling            the devices, and how fast they are
    hosts                                    the processes that share them
    workdirs checkpointing loading           what a run keeps; networks, wherever they are
    hole_sets shards                         holes for everybody; parts of a data set
    sources data hole_files pairing          images and holes into batches
    feature_files                            networks of others from files
    completion                               every way to fill a hole
    perceptual                               completions as other networks see them
    finishing returning                      blended on the host, measured; whole photographs
    pages curves history                     pages for people; a run over its steps
    runs run_report                          what a run says of itself, and its page
    logbook manifest report packing          what is written for people, or to train on
    claims results                           an output folder, and what is in it
    planning loop training batch             what is to be done; the two loops
    api                                      the same for arrays, from Python
    table_files table_report tables          many inpaintings, side by side
    commands                                 what the programs share
    convert                                  weights of others, and ours for others
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ce_jax.api import Incomplete, inpaint
    from ce_jax.loading import load

__all__ = ["Incomplete", "inpaint", "load"]


def __getattr__(name: str) -> Any:
    """Imports JAX when it is first needed, and not before."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "loading" if name == "load" else "api"
    return getattr(importlib.import_module(f"ce_jax.{home}"), name)


def __dir__() -> list[str]:
    """With what is not imported yet, for those who press Tab."""
    return sorted({*globals(), *__all__})
