"""From a source to shuffled batches on the devices: grain threads read, decode and frame ahead.

Batches are uint8 [b, size, size, 3]. The order is a function of the seed alone, every host reads
its own part, and the iterator's position belongs into the checkpoint.
"""

import functools
import logging
import tempfile

import grain
import jax
import numpy as np
from tqdm import tqdm

from ce_jax import images
from ce_jax.config import Data, Frame, Training
from ce_jax.sources import Source, SourceError, open_source

_log = logging.getLogger(__name__)
_READERS = 8


def framed(image: np.ndarray, frame: Frame, *, at: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
    """The square that a network sees of a photograph, uint8 [h, w, 3] -> [size, size, 3]."""
    return images.frame(
        image, size=frame.size, box=frame.box, shorter_side=frame.shorter_side, at=at
    )


def training_batches(
    config: Training, source: Source, sharding: jax.sharding.Sharding
) -> grain.DatasetIterator:
    """An endless, checkpointable iterator over the batches of a run, already on the devices.

    Images that cannot be read are left out, each with one warning; `close()` ends the threads.

    Raises:
        SourceError: fewer images than one batch.
    """
    hosts = jax.process_count()
    if len(source) < config.batch_size:
        raise SourceError(
            f"{config.data.source} has {len(source)} images, fewer than one batch of "
            f"{config.batch_size}; lower --batch-size or name a larger source."
        )
    records = grain.MapDataset.source(range(len(source))).seed(config.seed).shuffle()
    records = records[jax.process_index() :: hosts].repeat()
    pictures = records.random_map(functools.partial(_picture, source, config.data))
    threads = grain.ReadOptions(
        num_threads=config.data.threads, prefetch_buffer_size=4 * config.batch_size // hosts
    )
    batches = pictures.to_iter_dataset(threads).batch(
        config.batch_size // hosts, drop_remainder=True
    )
    on_devices = batches.map(lambda batch: jax.make_array_from_process_local_data(sharding, batch))
    return iter(grain.experimental.ThreadPrefetchIterDataset(on_devices, prefetch_buffer_size=2))


def examples(data: Data, source: Source, count: int) -> np.ndarray:
    """The first `count` images of the source, framed at the centre: uint8 [n, s, s, 3].

    Raises:
        SourceError: none of them can be read.
    """
    indices = range(min(count, len(source)))
    squares = [_square(source, index, data.frame) for index in indices]
    readable = [square for square in squares if square is not None]
    if not readable:
        raise SourceError(
            f"none of the first {len(squares)} images of {data.source} can be read; "
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
    threads = grain.ReadOptions(num_threads=_READERS, prefetch_buffer_size=64 * _READERS)
    squares = grain.MapDataset.source(range(len(source))).map(
        lambda index: _square(source, index, frame)
    )
    found = out_of_memory((len(source), frame.size, frame.size, 3), np.uint8)
    count = 0
    for square in tqdm(squares.to_iter_dataset(threads), total=len(source), unit="image"):
        if square is not None:
            found[count] = square
            count += 1
    if count == 0:
        raise SourceError(f"none of the images of {spec} can be read; the warnings say why.")
    return found[:count]


def out_of_memory(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """An array of zeros that lies in a file without a name, which ends with the process."""
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def _picture(source: Source, data: Data, index: int, rng: np.random.Generator) -> np.ndarray | None:
    # Both draws are made whatever the options, so that one option never changes another's numbers.
    at, mirrored = rng.random(2), rng.random() < 0.5
    place = (float(at[0]), float(at[1])) if data.crop == "random" else (0.5, 0.5)
    square = _square(source, index, data.frame, at=place)
    if square is None:
        return None  # grain leaves it out
    return np.ascontiguousarray(square[:, ::-1] if data.flip and mirrored else square)


@functools.lru_cache(maxsize=100_000)
def _warn_once(message: str) -> None:
    _log.warning(message)


def _square(
    source: Source, index: int, frame: Frame, *, at: tuple[float, float] = (0.5, 0.5)
) -> np.ndarray | None:
    try:
        return framed(source[index], frame, at=at)
    except ValueError as error:  # unreadable, too elongated, or smaller than the frame's box
        _warn_once(f"left out {source.names[index]}: {error}")
        return None
