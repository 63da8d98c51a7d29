"""The input pipeline alone: JPEG files in, shuffled batches of bytes on the device out."""

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import jax

from benchmarks import photographs, pytorch
from benchmarks.pytorch import loading as pytorch_loading
from benchmarks.work import Side, Work
from ce_jax import data
from ce_jax.config import Data, Dcgan, Frame, Training
from ce_jax.sources import open_source

SIZES = ((109, 89), (218, 178))
"""Height and width of CelebA's pictures at half their size, and whole."""
_SIZE = 64


def works(*, files: int, batch_size: int, workers: int | None = None) -> Iterator[Work]:
    """An epoch over a folder of photographs of each size.

    In its first epoch each side decodes every picture and keeps it; later it takes them as it kept
    them. The other side has as many processes as ours has threads.

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
            sizes = {"batch_size": batch_size, "workers": workers}
            paths, device = sorted(here.iterdir()), pytorch.device()
            ours = functools.partial(_Ours, here, **sizes)
            theirs = pytorch_loading.Epochs(paths, size=_SIZE, **sizes)
            for which, our_epoch, their_epoch in (
                ("first", functools.partial(_first, ours), theirs.first),
                ("later", ours().epoch, theirs.later),
            ):
                yield Work(
                    name=f"input pipeline, {which} epoch",
                    setting=f"JPEG {width}x{height} to {_SIZE}x{_SIZE}, {workers} workers",
                    images=files // batch_size * batch_size,
                    sides={
                        "JAX": Side(call=our_epoch),
                        "PyTorch": Side(call=functools.partial(their_epoch, device)),
                    },
                )
            # Processes and cache end with the last work that has them.
            del theirs, our_epoch, their_epoch


def _first(begin: Callable[[], "_Ours"]) -> int:
    """The first epoch of a run that has kept nothing yet."""
    return begin().epoch()


class _Ours:
    """What a training run reads, an epoch at a time, with a cache of the usual size."""

    def __init__(self, folder: Path, *, batch_size: int, workers: int) -> None:
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
