"""From a source to shuffled batches on the devices: grain threads read, decode and frame ahead.

Batches are uint8 [b, size, size, 3]. What is in the batch of a step is a function of the seed and
of the step alone: any number of hosts reads the same batches, each its own rows of them, and a run
that continues needs to know nothing but its step.
"""

import functools
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

import grain
import jax
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ce_jax import images
from ce_jax.config import Data, Frame, Training
from ce_jax.sources import Source, SourceError, open_source
from ce_jax.sources.shelf import Shelf

_log = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()
_READERS = 8

Loaded = TypeVar("Loaded")

_SMALL_PART = 1 / 6
"""Of a photograph, that a box is hardly meant to cut out."""


def training_batches(
    config: Training, source: Source, sharding: jax.sharding.Sharding, *, start: int = 0
) -> grain.DatasetIterator:
    """An endless iterator over the batches of a run from step `start` on, already on the devices.

    Each host reads the rows that its own devices hold; `close()` ends the threads.
    """
    shares = sharding.addressable_devices_indices_map((config.batch_size,)).values()
    rows = np.sort(np.concatenate([np.arange(config.batch_size)[share] for share in shares]))
    return read_ahead(config, rows_of_batches(config, source, rows, start=start), sharding)


def read_ahead(
    config: Training, batches: grain.MapDataset, sharding: jax.sharding.Sharding
) -> grain.DatasetIterator:
    """An iterator over the rows that `rows_of_batches` gives, as whole batches on the devices."""
    # A thread takes a whole batch: handing over image by image cost as much again as decoding.
    threads = config.data.threads or os.cpu_count() or 1
    ahead = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(threads, 4))
    shape = (config.batch_size, config.data.frame.size, config.data.frame.size, 3)
    on_devices = batches.to_iter_dataset(ahead).map(
        lambda rows: jax.make_array_from_process_local_data(sharding, rows, shape)
    )
    return iter(grain.experimental.ThreadPrefetchIterDataset(on_devices, prefetch_buffer_size=2))


def check(config: Training, source: Source) -> None:
    """Raises SourceError for fewer images than one batch; warns of a box that fits others."""
    if len(source) < config.batch_size:
        raise SourceError(
            f"{config.data.source} has {len(source)} images, fewer than one batch of "
            f"{config.batch_size}; lower --batch-size or name a larger source."
        )
    warn_of_box(source, config.data.frame, option="--data.frame.box")


def warn_of_box(source: Source, frame: Frame, *, option: str) -> None:
    """Tells of a box that cuts so little out of the first photograph that it is made for others.

    CelebA's at half resolution, of which the boxes in `configs/` keep two fifths, is one thing; a
    folder of somebody's own photographs, of which they would show a corner, another.
    """
    if frame.box is None:
        return
    try:
        height, width, _ = source[0].shape
    except ValueError:  # of what cannot be read, whoever needs it tells
        return
    left, top, right, bottom = frame.box
    part = (right - left) * (bottom - top) / (height * width)
    if (height, width) != (frame.size, frame.size) and part < _SMALL_PART:
        _warn_once(
            f"{option} {left} {top} {right} {bottom} cuts {part:.0%} out of {source.names[0]} "
            f"({width}x{height} pixels); {option} None takes the whole middle."
        )


def rows_of_batches(
    config: Training, source: Source, rows: Sequence[int] | np.ndarray, *, start: int = 0
) -> grain.MapDataset:
    """These rows of the batch of step `start`, of the one after it, and so on without end.

    Each is uint8 [rows, size, size, 3]. All batches behind one another are all images, in a new
    order each epoch. For an image that cannot be read, one that is drawn at random stands in, and
    a warning tells of it once.
    """
    data, count, size = config.data, len(source), config.data.frame.size
    pictures = _Pictures(source, data)

    @functools.lru_cache(maxsize=4)  # threads ahead of the devices may be in the next epoch
    def order(epoch: int) -> np.ndarray:
        return _random(config, "order", epoch).permutation(count)

    def batch(step: int) -> np.ndarray:
        # All draws are made whatever the options, so that one never changes another's numbers.
        draws = _random(config, "variation", step).random((config.batch_size, 3))
        squares = np.empty((len(rows), size, size, 3), np.uint8)
        for square, row in zip(squares, map(int, rows), strict=True):
            epoch, place = divmod(step * config.batch_size + row, count)
            top, left, mirrored = draws[row].tolist()
            found = pictures.square(int(order(epoch)[place]), (top, left))
            if found is None:  # whoever moved up instead would move all batches of this host alone
                stand_ins = _random(config, "stand-in", step, row)
                while found is None:
                    found = pictures.square(int(stand_ins.integers(count)), (top, left))
            if data.flip and mirrored < 0.5:
                for channel in range(3):  # of all at once, NumPy copies three bytes at a time
                    square[..., channel] = found[:, ::-1, channel]
            else:
                square[:] = found
        return squares

    return grain.MapDataset.range(start, sys.maxsize // config.batch_size).map(batch)


def examples(source: Source, frame: Frame, count: int) -> np.ndarray:
    """The first `count` images of the source, framed at the centre: uint8 [n, s, s, 3].

    Raises:
        SourceError: none of them can be read.
    """
    indices = range(min(count, len(source)))
    squares = [_square(source, index, frame) for index in indices]
    readable = [square for square in squares if square is not None]
    if not readable:
        raise SourceError(
            f"none of the first {len(squares)} images of {source.spec} can be read; "
            "the warnings say why."
        )
    return np.stack(readable)


def collection(spec: str, frame: Frame) -> np.ndarray:
    """All photographs of a source, framed at the centre: uint8 [n, s, s, 3].

    They lie in a file without a name that ends with the process, and not in memory. Those that
    cannot be read are left out, each with one warning.

    Raises:
        SourceError: there is no such source, or none of its photographs can be read.
    """
    source = open_source(spec)
    squares = loaded_ahead(
        lambda index: _square(source, index, frame), range(len(source)), buffer=64 * _READERS
    )
    found = on_disk((len(source), frame.size, frame.size, 3), np.uint8)
    count = 0
    for count, square in enumerate(tqdm(squares, total=len(source), unit="image"), 1):
        found[count - 1] = square
    if count == 0:
        raise SourceError(f"none of the images of {spec} can be read; the warnings say why.")
    return found[:count]


def loaded_ahead(
    load: Callable[[int], Loaded | None], indices: Sequence[int], *, buffer: int
) -> Generator[Loaded]:
    """What `load` makes of indices, in their order; threads are ahead by as many as `buffer`.

    What becomes None is left out.
    """
    if not indices:
        return
    threads = grain.ReadOptions(num_threads=_READERS, prefetch_buffer_size=buffer)
    loaded = iter(grain.MapDataset.source(indices).map(load).to_iter_dataset(threads))
    try:
        yield from (one for one in loaded if one is not None)
    finally:
        loaded.close()


def on_disk(shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """An array of zeros that lies in a file without a name, which ends with the process."""
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def _random(config: Training, purpose: str, *place: int) -> np.random.Generator:
    """Numbers that follow from the seed, from what they are for, and from where they are wanted."""
    return np.random.default_rng([config.seed, *purpose.encode(), *place])


class _Pictures:
    """Squares of the pictures of a source, decoded once if there is room to keep them.

    What is kept is what does not vary: the square, or where it is cut at random, all around it.
    """

    def __init__(self, source: Source, data: Data) -> None:
        self._source, self._frame, self._varies = source, data.frame, data.crop == "random"
        self._shelf = Shelf(int(data.cache * 1e9))

    def square(self, index: int, at: tuple[float, float]) -> np.ndarray | None:
        """Of picture `index`, cut out at a place; None if it cannot be read."""
        kept = self._shelf.get(index)
        if kept is None:
            if (kept := _usable(self._source, index, self._made)) is None:
                return None
            self._shelf.put(index, kept)
        if not self._varies:
            return kept
        size = self._frame.size
        # `at` is below 1: each of the places, the last one too, is as likely as any other.
        top, left = (int(f * (side - size + 1)) for f, side in zip(at, kept.shape, strict=False))
        return kept[top : top + size, left : left + size]

    def _made(self, image: np.ndarray) -> np.ndarray:
        make = images.fit if self._varies else images.frame
        return make(image, self._frame)


def _warn_once(message: str) -> None:
    with _one_at_a_time:  # a cache alone lets two threads in that come with the same
        _warn(message)


@functools.lru_cache(maxsize=100_000)
def _warn(message: str) -> None:
    _log.warning(message)


def _square(source: Source, index: int, frame: Frame) -> np.ndarray | None:
    return _usable(source, index, lambda image: images.frame(image, frame))


def _usable(
    source: Source, index: int, made: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray | None:
    """What is made of a picture; None of one that is of no use, of which a warning tells once."""
    try:
        return made(source[index])
    except ValueError as error:  # unreadable, too elongated, or smaller than the frame's box
        _warn_once(f"left out {source.names[index]}: {error}")
        return None
