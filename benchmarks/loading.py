"""The input pipeline alone: JPEG files in, shuffled batches of bytes on the device out."""

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from benchmarks import photographs, pytorch
from benchmarks.pytorch import loading as pytorch_loading
from benchmarks.work import Side, Work
from ce_jax import data
from ce_jax.config import Data, Dcgan, Frame, Training
from ce_jax.sources import open_source

SIZES = ((109, 89), (218, 178))
"""Height and width of CelebA's pictures, and of the same at half the size."""
_SIZE = 64


def works(*, files: int, batch_size: int, workers: int | None = None) -> Iterator[Work]:
    """An epoch over a folder of photographs of each size.

    In its first epoch ours decodes every picture and keeps it; later it takes them as it kept them.
    The other side decodes in all of its epochs, with as many processes as ours has threads.

    Args:
        files: photographs in a folder.
        batch_size: images in a batch; what is left over of an epoch is not read.
        workers: threads and processes; None: one for each core.
    """
    workers = workers or os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        for height, width in SIZES:
            here = Path(folder) / f"{width}x{height}"
            photographs.write(here, files, height=height, width=width, suffix=".jpg")
            paths = sorted(here.iterdir())
            theirs = pytorch_loading.loader(
                paths, size=_SIZE, batch_size=batch_size, workers=workers
            )
            epoch = functools.partial(pytorch_loading.epoch, theirs, pytorch.device())
            begin = functools.partial(_Ours, here, batch_size, workers)
            read = f"JPEG {width}x{height} to {_SIZE}x{_SIZE}, {workers} workers"
            for which, said, ours in (
                ("first", "", functools.partial(_first, begin)),
                ("later", "; ours from its cache, PyTorch decodes again", begin().epoch),
            ):
                yield Work(
                    name=f"input pipeline, {which} epoch",
                    setting=f"{read}{said}",
                    images=files // batch_size * batch_size,
                    sides={
                        "JAX": Side(call=ours),
                        "PyTorch": Side(call=epoch),
                        "Pillow, one core": Side(
                            call=functools.partial(
                                decode, paths[: files // batch_size * batch_size]
                            )
                        ),
                    },
                )
            del epoch, theirs, ours  # processes and cache end with the last work that has them


def decode(paths: list[Path]) -> None:
    """Every file to bytes and no more, in this thread: what no pipeline of one core can pass."""
    for path in paths:
        with Image.open(path) as file:
            np.asarray(file)


def _first(begin: Callable[[], "_Ours"]) -> int:
    """The first epoch of a run that has kept nothing yet."""
    return begin().epoch()


class _Ours:
    """What a training run reads, an epoch at a time, with a cache of the usual size."""

    def __init__(self, folder: Path, batch_size: int, workers: int) -> None:
        source = f"folder:{folder}"
        settings = Data(source=source, frame=Frame(size=_SIZE), threads=workers)
        self._config = Training(model=Dcgan(), data=settings, batch_size=batch_size)
        opened = open_source(source)
        self._steps = len(opened) // batch_size
        self._batches = data.rows_of_batches(self._config, opened, range(batch_size))
        self._begun = 0

    def epoch(self) -> int:
        """Brings every batch of the next epoch onto the device; how many images these were."""
        steps = self._batches.slice(slice(self._begun, self._begun + self._steps))
        self._begun += self._steps
        device, count = jax.sharding.SingleDeviceSharding(jax.devices()[0]), 0
        with closing(data.read_ahead(self._config, steps, device)) as batches:
            for batch in batches:
                count += len(jax.block_until_ready(batch))
        return count
