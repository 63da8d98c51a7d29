"""What a source is, and what the kinds of source share."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ce_jax import images, photographs
from ce_jax.photographs import Photograph


class SourceError(ValueError):
    """A source that cannot be opened; the message names it, what is wrong and the way out."""


class Pictures(ABC):
    """Random access to photographs, from any thread.

    Attributes:
        left_out: which files of theirs are not read, if any, in a few words.
    """

    left_out: str = ""

    @abstractmethod
    def __getitem__(self, index: int) -> np.ndarray:
        """Picture as uint8 [h, w, 3]; raises `images.UnreadableImage`."""

    def whole(self, index: int) -> Photograph:
        """Picture with all that it came with: alpha, 16 bits, profile; raises as above."""
        return Photograph(self[index])

    def file(self, index: int) -> Path | None:
        """The file that the picture stands in, alone or with others; None where that is no one's.

        Whoever keeps what was made of a picture may look there whether it has changed.
        """
        return None


@dataclass(frozen=True, repr=False, eq=False)
class Source:
    """Photographs that have names.

    Attributes:
        spec: the source string that it was opened by.
        names: unique relative paths without extension, in the order of the photographs.
        pictures: all that lie there.
        indices: which of them are these photographs.
    """

    spec: str
    names: Sequence[str]
    pictures: Pictures
    indices: range

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.pictures[self.indices[index]]

    def whole(self, index: int) -> Photograph:
        """As that of `Pictures`."""
        return self.pictures.whole(self.indices[index])

    def file(self, index: int) -> Path | None:
        """As that of `Pictures`."""
        return self.pictures.file(self.indices[index])

    def __repr__(self) -> str:
        return f"<{len(self)} images of {self.spec!r}>"


Opened = tuple[Sequence[str], Pictures]
"""What a kind of source opens: the names, and the pictures in their order."""


@dataclass(frozen=True)
class Files(Pictures):
    """Image files, read when they are asked for."""

    paths: Sequence[Path]
    left_out: str = ""

    def __getitem__(self, index: int) -> np.ndarray:
        return images.read(self.paths[index])

    def whole(self, index: int) -> Photograph:
        """The photograph as it was written."""
        return photographs.read(self.paths[index])

    def file(self, index: int) -> Path:
        """The file of this picture alone."""
        return self.paths[index]


@dataclass(frozen=True)
class Stack(Pictures):
    """Pictures of one size, uint8 [n, h, w, 3] or grey [n, h, w], in memory."""

    stack: np.ndarray
    path: Path | None = None

    def __getitem__(self, index: int) -> np.ndarray:
        image = self.stack[index]
        return np.stack([image] * 3, axis=-1) if image.ndim == 2 else np.ascontiguousarray(image)

    def file(self, index: int) -> Path | None:
        """The file that all of them were read from."""
        return self.path


def numbers(count: int) -> Sequence[str]:
    """Names for pictures that have none."""
    return [f"{index:06d}" for index in range(count)]


def existing(location: str, spec: str) -> Path:
    """The file at `location`, or a SourceError."""
    path = Path(location).expanduser()
    if not path.is_file():
        raise SourceError(f"{spec!r}: there is no file {path}")
    return path


def missing(spec: str, package: str, *, extra: str) -> SourceError:
    """The error of a source that an optional package reads."""
    return SourceError(f'{spec!r} needs {package}: pip install -e ".[{extra}]" in the clone')


def nearest_of(word: str, known: Iterable[str]) -> str:
    """What a misspelt word may have been meant as, for an error message."""
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f" (meant: {nearest[0]}?)" if nearest else ""


def described(array: np.ndarray) -> str:
    """Type and shape of an array of any shape, for an error message."""
    return f"{array.dtype} {array.shape}"


def first_line(error: Exception) -> str:
    """What another library's error says, in one line."""
    return next(iter(str(error).splitlines()), type(error).__name__)
