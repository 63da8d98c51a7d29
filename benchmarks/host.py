"""The work of the host: blending, reading, and whole folders from files to files.

Each kind needs libraries of its own; where one is missing, its works are skipped and say so.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.work import Skipped, Work


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How much of each; the defaults take minutes on two cores."""

    blends: int = 8
    """Images blended in a call, each with a hole of its own."""
    photographs: int = 1000
    """Files of an epoch of the input pipeline."""
    workers: int | None = None
    """Threads of ours and processes of PyTorch that read; None: one for each core."""
    folder: int = 128
    """Files of the folder that is inpainted."""
    width: int = 16
    """Of the DCGAN that inpaints it."""
    search_steps: int = 30
    """Of its latent search."""
    batch_size: int = 64
    """Images in a batch of the input pipeline and of the inpainting."""


def works(setting: Setting = Setting()) -> Iterator[Work | Skipped]:
    """Everything the host does, each built when its turn has come.

    What a work needs (files, processes) is there until the next one is asked for.
    """
    batch_size = setting.batch_size
    yield from _from("seams", "Poisson blending", count=setting.blends)
    yield from _from(
        "loading",
        "input pipeline",
        files=setting.photographs,
        batch_size=batch_size,
        workers=setting.workers,
    )
    yield from _from(
        "folders",
        "a folder inpainted",
        files=setting.folder,
        width=setting.width,
        steps=setting.search_steps,
        batch_size=batch_size,
    )


def _from(module: str, name: str, **options: object) -> Iterator[Work | Skipped]:
    """The works of a module, or that it cannot be imported."""
    try:
        entry = importlib.import_module(f"benchmarks.{module}").works
    except ModuleNotFoundError as error:
        yield Skipped(name=name, setting="", reason=f"{error.name} is not installed")
    else:
        yield from entry(**options)
