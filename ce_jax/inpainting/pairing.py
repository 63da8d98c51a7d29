"""Photographs with all that belongs to them: their hole, where it comes from a file, and the truth.

Everything is framed as the network sees it and read ahead by threads. An image that cannot be read,
or whose hole does not fit, is a `Failure` with its reason, so that the others go on.
"""

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ce_jax import data, images
from ce_jax.config import Frame, Inpainting
from ce_jax.holes import HoleError, hole_files
from ce_jax.holes.hole_files import HoleFiles
from ce_jax.holes.hole_sets import HoleSet
from ce_jax.images import UnreadableImage
from ce_jax.inpainting.surroundings import Place, place_of, seen
from ce_jax.sources import Source, SourceError, open_source
from ce_jax.sources.stamps import Stamp, stamp, unchanged

# Of a hole file, in per cent: more is a drawing with soft edges, or one that was resized.
_SOFT = 2
# File systems allow 255 bytes, of which four are for the ending.
_LONGEST_NAME = 255 - len(".png")


class Picture(NamedTuple):
    """One image, framed: uint8 [s, s, 3]; its hole if it comes from a file; the truth if known.

    Besides: the files that all this was read from, by their roles; what there is to say about
    them; how often its completion was begun anew; and where the square belongs, if the whole
    photograph is to be returned.
    """

    name: str
    image: np.ndarray
    hole: np.ndarray | None
    truth: np.ndarray | None
    files: Mapping[str, Stamp]
    note: str = ""
    restarts: int = 0
    place: Place | None = None


class Failure(NamedTuple):
    """An image that has no completion, and why."""

    name: str
    reason: str
    restarts: int = 0


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """The images of a source with what belongs to them, found by name.

    Attributes:
        config: whether holes are resized to their images, and an image may have none.
        source: of the images to complete.
        frame: how they become squares; their holes and truths go the same way.
        holes: a set, to be drawn later, or files.
        truth: of the intact images; without it, images whose holes are drawn are their own truth,
            and the truth of images with holes from files is not known.
        checksums: what the files of images must hash to, by name; of others nothing is known.
        whole: whether photographs are to be returned whole; holes are then files.
    """

    config: Inpainting
    source: Source
    frame: Frame
    holes: HoleSet | HoleFiles
    truth: Source | None
    checksums: Mapping[Path, str] | None
    whole: bool

    def files(self, index: int) -> dict[str, Path]:
        """The files that an image is made from, by their roles: image, hole, truth.

        Raises:
            HoleError: it has no hole, or several.
        """
        name = self.source.names[index]
        found = {"image": self.source.file(index), "hole": self._hole_file(name)}
        if self.truth is not None and name in self._places:
            found["truth"] = self.truth.file(self._places[name])
        return {role: path for role, path in found.items() if path is not None}

    def is_current(self, record: Mapping[str, Any]) -> bool:
        """Whether an image is still what a line of the manifest says that it was made from."""
        if "files" not in record:  # by an older version
            return True
        try:
            return unchanged(record["files"], self.files(self.indices[record["name"]]))
        except HoleError:
            return False

    @functools.cached_property
    def indices(self) -> Mapping[str, int]:
        """Where an image of that name stands in the source."""
        return {name: index for index, name in enumerate(self.source.names)}

    @functools.cached_property
    def _places(self) -> Mapping[str, int]:
        """Where an image of that name stands in the truth."""
        names = () if self.truth is None else self.truth.names
        return {name: place for place, name in enumerate(names)}

    def load(self, index: int) -> Picture | Failure:
        """An image, framed, with its hole and truth."""
        name = self.source.names[index]
        try:
            _check_length(name)
            files = self.files(index)
            # Before they are read: what changes from here on is noticed by the next run.
            stamps = {role: stamp(path) for role, path in files.items()}
            self._check_sum(files.get("image"), stamps.get("image"))
            image = self.source[index]
            hole, note = None, ""
            if isinstance(self.holes, HoleFiles):
                hole, note = self._hole(files.get("hole"), stamps.get("hole"), name, image.shape)
            if hole is not None and self.whole:
                place = place_of(hole, self.frame.size, square_of(self.config, self.frame))
                image, hole = seen(image, hole, place.square, self.frame.size)
                return Picture(name, image, hole, None, stamps, note, place=place)
            intact = self._intact(name, image)
            truth = None if intact is None else images.frame(intact, self.frame)
            square = (self.frame.size, self.frame.size)
            if hole is not None and hole.shape[:2] == image.shape[:2] != square:
                # A hole goes the way of its image, unless it has the size of the network.
                image, hole = _emptied(image, hole), images.frame(hole, self.frame)
            return Picture(name, images.frame(image, self.frame), hole, truth, stamps, note)
        except (ValueError, OSError) as error:
            return Failure(name, str(error))

    def _hole_file(self, name: str) -> Path | None:
        if not isinstance(self.holes, HoleFiles):
            return None
        return self.holes.path_for(name, optional=self.config.allow_missing)

    def _hole(
        self, path: Path | None, stamp: Stamp | None, name: str, shape: tuple[int, ...]
    ) -> tuple[np.ndarray, str]:
        """The hole of an image, and what there is to say about its file.

        It has the size of its image, or that which the network sees.
        """
        height, width, _ = shape
        if path is None:
            return np.zeros((height, width, 1), bool), ""
        hole, soft = _read_hole(path, stamp)
        square = (self.frame.size, self.frame.size)
        if hole.shape[:2] != (height, width) and (self.whole or hole.shape[:2] != square):
            if not self.config.resize_holes:
                raise HoleError(
                    f"{path} is {hole.shape[1]}x{hole.shape[0]}, but image {name} is "
                    f"{width}x{height}; a hole must have the size of its image "
                    "(or --resize-holes)."
                )
            hole = images.resize(hole, (height, width))
        note = f"{soft:.1%} of the hole file is neither black nor white"
        return hole, note if 100 * soft > _SOFT else ""

    def _intact(self, name: str, image: np.ndarray) -> np.ndarray | None:
        """The intact image, None where there is no way to know it."""
        if self.truth is None:
            return image if isinstance(self.holes, HoleSet) else None
        return self.truth[self._places[name]] if name in self._places else None

    def _check_sum(self, path: Path | None, found: Stamp | None) -> None:
        if self.checksums is None or path is None or found is None:
            return
        expected = self.checksums.get(path.resolve())
        if expected is not None and expected != found.sha256:
            raise UnreadableImage(
                f"{path}: its SHA-256 begins with {found.sha256[:8]}, not with {expected[:8]}: "
                "the file is not the one that the checksums were made of"
            )


def pair(
    config: Inpainting,
    source: Source,
    frame: Frame,
    holes: HoleSet | HoleFiles,
    *,
    whole: bool,
) -> Pairing:
    """What belongs to the images of a source, for an inpainting.

    Raises:
        SourceError: the truth or the checksums cannot be opened, or are of none of the images.
    """
    truth = None if config.truth is None else open_source(config.truth)
    if truth is not None and set(truth.names).isdisjoint(source.names):
        raise SourceError(
            f"truth {config.truth} has none of the images to complete: names there begin with "
            f"{truth.names[0]}, here with {source.names[0]}; equal names belong together."
        )
    return Pairing(
        config=config,
        source=source,
        frame=frame,
        holes=holes,
        truth=truth,
        checksums=None if config.checksums is None else _checksums(Path(config.checksums), source),
        whole=whole,
    )


def square_of(config: Inpainting, frame: Frame) -> Frame | None:
    """How to find what the network is to see of a whole photograph; None: around the hole.

    A frame that somebody chose, or that cuts out a box, shows what the network knows best, such as
    an aligned face.
    """
    return frame if config.frame is not None or frame.box is not None else None


def read_ahead(
    load: Callable[[int], Picture | Failure], todo: Sequence[int], *, batch_size: int
) -> Iterator[list[Picture | Failure]]:
    """Loaded images in groups of one batch, read and decoded ahead by threads."""
    with closing(data.loaded_ahead(load, todo, buffer=2 * batch_size)) as loaded:
        while group := list(itertools.islice(loaded, batch_size)):
            yield group


@functools.lru_cache(maxsize=1)  # one file may serve all images
def _read_hole(path: Path, stamp: Stamp | None) -> tuple[np.ndarray, float]:
    return hole_files.read(path)


def _emptied(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The image with its mean in the hole, so that resizing carries nothing out of there."""
    known = image[~hole[..., 0]]
    mean = known.mean(axis=0).round() if len(known) else np.full(3, 128)
    return np.where(hole, mean.astype(np.uint8), image)


def _check_length(name: str) -> None:
    """Names are written with an ending, which file systems must have room for."""
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in name.split("/")):
        raise UnreadableImage(
            f"{name}: the name is too long for a result; file names have at most "
            f"{_LONGEST_NAME} bytes before their ending"
        )


def _checksums(path: Path, source: Source) -> dict[Path, str]:
    """File -> SHA-256, from a list as sha256sum writes it; names are relative to its folder."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise SourceError(f"checksums {path}: {error.strerror}") from error
    parts = [line.split(maxsplit=1) for line in lines if line.strip()]
    if not all(len(part) == 2 and len(part[0]) == 64 for part in parts):
        raise SourceError(f"checksums {path}: expected lines 'SHA256  NAME', as sha256sum writes")
    sums = {(path.parent / name.removeprefix("*")).resolve(): sha.lower() for sha, name in parts}
    files = (source.file(index) for index in range(len(source)))
    if sums.keys().isdisjoint(file.resolve() for file in files if file is not None):
        raise SourceError(f"checksums {path}: none of the names there is of an image to complete")
    return sums
