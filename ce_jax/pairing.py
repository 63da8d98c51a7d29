"""Photographs with all that belongs to them: their hole, where it comes from a file, and the truth.

Everything is framed as the network sees it and read ahead by threads. An image that cannot be read,
or whose hole does not fit, is a `Failure` with its reason, so that the others go on.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import grain
import numpy as np

from ce_jax import data, images
from ce_jax.config import Frame
from ce_jax.hole_files import HoleFiles
from ce_jax.hole_sets import HoleSet
from ce_jax.holes import HoleError
from ce_jax.sources import Source, SourceError, open_source

_READERS = 8


class Picture(NamedTuple):
    """One image, framed: uint8 [s, s, 3]; its hole if it comes from a file; the truth if known."""

    name: str
    image: np.ndarray
    hole: np.ndarray | None
    truth: np.ndarray | None


class Failure(NamedTuple):
    """An image that has no completion, and why."""

    name: str
    reason: str


Load = Callable[[int], Picture | Failure]


def loader(
    source: Source, frame: Frame, holes: HoleSet | HoleFiles, *, truth: str | None = None
) -> Load:
    """How to load the image with a given index of the source.

    Args:
        source: of the images to complete.
        frame: how they become squares; their holes and truths go the same way.
        holes: a set, to be drawn later, or files.
        truth: source of the intact images, found by name. Without one, images whose holes are drawn
            are their own truth, and the truth of images with holes from files is not known.

    Raises:
        SourceError: the truth cannot be opened, or has none of the images.
    """
    intact = _intact(source, holes, truth)

    def load(index: int) -> Picture | Failure:
        name = source.names[index]
        try:
            image = source[index]
            hole = _framed_hole(holes, name, image, frame) if isinstance(holes, HoleFiles) else None
            whole = intact(name, image)
            whole = None if whole is None else data.framed(whole, frame)
            return Picture(name, data.framed(image, frame), hole, whole)
        except (ValueError, OSError) as error:
            return Failure(name, str(error))

    return load


def read_ahead(
    load: Load, todo: Sequence[int], *, batch_size: int
) -> Iterator[list[Picture | Failure]]:
    """Loaded images in groups of one batch, read and decoded ahead by threads."""
    if not todo:
        return
    threads = grain.ReadOptions(num_threads=_READERS, prefetch_buffer_size=2 * batch_size)
    loaded = iter(grain.MapDataset.source(todo).map(load).to_iter_dataset(threads))
    try:
        while group := list(itertools.islice(loaded, batch_size)):
            yield group
    finally:
        loaded.close()


def _intact(
    source: Source, holes: HoleSet | HoleFiles, truth: str | None
) -> Callable[[str, np.ndarray], np.ndarray | None]:
    """name, image -> the intact image, None where there is no way to know it."""
    if truth is None:
        return lambda _, image: image if isinstance(holes, HoleSet) else None
    whole = open_source(truth)
    places = {name: index for index, name in enumerate(whole.names)}
    if places.keys().isdisjoint(source.names):
        raise SourceError(
            f"truth {truth} has none of the images to complete: names there begin with "
            f"{whole.names[0]}, here with {source.names[0]}; equal names belong together."
        )
    return lambda name, _: whole[places[name]] if name in places else None


def _framed_hole(files: HoleFiles, name: str, image: np.ndarray, frame: Frame) -> np.ndarray:
    """A hole goes the way of its image, unless it already has the size that the network sees."""
    hole = files.for_image(name)
    if hole.shape[:2] not in (image.shape[:2], (frame.size, frame.size)):
        raise HoleError(
            f"{files.path_for(name)} is {hole.shape[1]}x{hole.shape[0]}, but image {name} is "
            f"{image.shape[1]}x{image.shape[0]}; a hole must have the size of its image."
        )
    return images.frame(
        hole, size=frame.size, box=frame.box, shorter_side=frame.shorter_side, nearest=True
    )
