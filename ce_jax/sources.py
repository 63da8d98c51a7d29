"""Where photographs come from: a source string becomes random access to named pictures.

A source gives upright RGB pictures, uint8 [h, w, 3], each of its own size. The name of a picture is
what its outputs are called: a relative path with "/" between folders and no extension, unique even
where file systems ignore case. Nothing is ever downloaded.
"""

import difflib
import importlib.util
import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.io

from ce_jax import images

_EXTENSIONS = ("jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "ppm", "pgm")

# A sum of TFDS splits, train[:9]+test[:9], is left to TFDS: its last slice is not of the whole.
_SLICE = re.compile(r"(?!tfds:.*\+)(.+)\[(-?\d+)?:(-?\d+)?\]")

# The natural photographs inside the wheels, in the fixed order in which the source gives them.
# Of the stereo pair (motorcycle) one: two views of one scene would straddle any split.
_PHOTOGRAPHS = {
    "astronaut": "skimage/data/astronaut.png",
    "brick": "skimage/data/brick.png",
    "camera": "skimage/data/camera.png",
    "chelsea": "skimage/data/chelsea.png",
    "china": "sklearn/datasets/images/china.jpg",
    "clock": "skimage/data/clock_motion.png",
    "coffee": "skimage/data/coffee.png",
    "coins": "skimage/data/coins.png",
    "flower": "sklearn/datasets/images/flower.jpg",
    "grass": "skimage/data/grass.png",
    "gravel": "skimage/data/gravel.png",
    "hubble": "skimage/data/hubble_deep_field.jpg",
    "moon": "skimage/data/moon.png",
    "motorcycle": "skimage/data/motorcycle_left.png",
    "rocket": "skimage/data/rocket.jpg",
}


_TILE = 128


class SourceError(ValueError):
    """A source that cannot be opened; the message names it, what is wrong and the way out."""


class Source(Protocol):
    """Random access to named photographs, from any thread.

    `repr` is the same in every process, because grain stores it in the state of an iterator.
    """

    @property
    def names(self) -> Sequence[str]:
        """Unique relative paths without extension, in the order of the pictures."""
        ...

    def __len__(self) -> int:
        """Count the pictures."""
        ...

    def __getitem__(self, index: int) -> np.ndarray:
        """Picture as uint8 [h, w, 3]; raises `images.UnreadableImage`."""
        ...


def open_source(spec: str) -> Source:
    """Open the photographs that a source string names.

    - `folder:PATH`: images in a folder and its sub-folders; hidden files are ignored.
    - `mat:PATH`: X of a MATLAB file, uint8 (h, w, 3, n), the layout of SVHN.
    - `npz:PATH`: the array `images`, or the only one, uint8 [n, h, w, 3] or [n, h, w].
    - `tfds:NAME`, `tfds:NAME@SPLIT`: the feature `image` of a TFDS dataset prepared as ArrayRecord
      (default split: train), read without TensorFlow. NAME may be the folder of one version.
    - `bundled:digits`: 1797 handwritten digits, 8 x 8, that come with scikit-learn.
    - `bundled:photographs`: 15 photographs that come with scikit-image and scikit-learn.

    A slice at the end takes a part, with Python's meaning: `folder:faces[:100]`. Names are those
    that the pictures have in the whole.

    Raises:
        SourceError: unknown scheme, nothing there, nothing readable, or an empty slice.
    """
    match = _SLICE.fullmatch(spec)
    whole, start, stop = match.groups() if match else (spec, None, None)
    scheme, colon, location = whole.partition(":")
    if not colon:
        raise SourceError(f"{spec!r} names no kind of source; for images in it: folder:{spec}")
    if scheme not in _OPENERS:
        raise SourceError(
            f"{spec!r}: unknown source {scheme!r}{_nearest(scheme, _OPENERS)}; "
            f"known are {', '.join(_OPENERS)}"
        )
    names, pictures = _OPENERS[scheme](location, whole)
    part = slice(*(int(end) if end else None for end in (start, stop)))
    indices = range(len(names))[part]
    if not indices:
        raise SourceError(f"{spec!r} is empty: {whole} has {len(names)} images")
    return _Part(spec, names[part], pictures, indices)


def keep_apart(spec: str, output: Path) -> None:
    """Refuse to write into a folder that a source reads, where results would become inputs.

    Raises:
        SourceError: one of the two folders lies in the other.
    """
    match = _SLICE.fullmatch(spec)
    scheme, _, location = (match[1] if match else spec).partition(":")
    read, written = Path(location).expanduser().resolve(), output.resolve()
    if scheme == "folder" and (read.is_relative_to(written) or written.is_relative_to(read)):
        raise SourceError(
            f"{output} and {spec!r} lie in one another, so that results would be taken for images; "
            "write to a folder elsewhere"
        )


class _Pictures(Protocol):
    def __getitem__(self, index: int) -> np.ndarray: ...


@dataclass(frozen=True, repr=False, eq=False)
class _Part:
    spec: str
    names: Sequence[str]
    pictures: _Pictures
    indices: range

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.pictures[self.indices[index]]

    def __repr__(self) -> str:
        return f"<{len(self)} images of {self.spec!r}>"


_Opened = tuple[Sequence[str], _Pictures]


@dataclass(frozen=True)
class _Files:
    paths: Sequence[Path]

    def __getitem__(self, index: int) -> np.ndarray:
        return images.read(self.paths[index])


@dataclass(frozen=True)
class _Stack:
    stack: np.ndarray

    def __getitem__(self, index: int) -> np.ndarray:
        image = self.stack[index]
        return np.stack([image] * 3, axis=-1) if image.ndim == 2 else np.ascontiguousarray(image)


@dataclass(frozen=True)
class _Records:
    spec: str
    records: Sequence[Any]

    def __getitem__(self, index: int) -> np.ndarray:
        try:
            return images.read(self.records[index]["image"])
        except images.UnreadableImage as error:
            raise images.UnreadableImage(f"{self.spec}, record {index}: {error}") from error


def _folder(location: str, spec: str) -> _Opened:
    folder = Path(location).expanduser()
    if not location or not folder.is_dir():
        raise SourceError(f"{spec!r}: {location!r} is not a folder")
    files = list(_walk(folder))
    paths = [path for path in files if path.suffix[1:].lower() in _EXTENSIONS]
    if not paths:
        seen = ", ".join(str(path.relative_to(folder)) for path in files[:5])
        raise SourceError(
            f"{spec!r}: no images ({', '.join(_EXTENSIONS)}) in {folder}; "
            + (f"of {len(files)} files the first are: {seen}" if files else "it holds no files")
        )
    return _unique([path.relative_to(folder) for path in paths]), _Files(paths)


def _walk(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Visible files under a folder in order of name; no link is followed back up."""
    here = os.path.realpath(folder)
    if here in above:
        return
    try:
        children = sorted(os.listdir(folder))
    except OSError as error:
        raise SourceError(f"{folder}: cannot be listed ({error.strerror})") from error
    for path in (folder / child for child in children if not child.startswith(".")):
        if path.is_dir():
            yield from _walk(path, above | {here})
        else:
            yield path


def _unique(paths: Sequence[Path]) -> Sequence[str]:
    """Names for relative paths: without extension where that is unique, else with, else counted."""

    def name(path: Path) -> str:
        # Undecodable bytes and line breaks in file names would break manifests later.
        return "".join(letter if letter.isprintable() else "_" for letter in path.as_posix())

    shared = Counter(name(path.with_suffix("")).casefold() for path in paths)
    taken: set[str] = set()
    names = []
    for path in paths:
        stem = name(path.with_suffix(""))
        base = candidate = stem if shared[stem.casefold()] == 1 else name(path)
        count = 1
        while candidate.casefold() in taken:
            count += 1
            candidate = f"{base}-{count}"
        taken.add(candidate.casefold())
        names.append(candidate)
    return names


def _mat(location: str, spec: str) -> _Opened:
    path = _existing(location, spec)
    try:
        stack = scipy.io.loadmat(path, variable_names=["X"], appendmat=False)["X"]
    except KeyError:
        raise SourceError(f"{spec!r}: holds no variable X, the images of SVHN") from None
    # Besides OSError and ValueError, scipy lets through whatever its parsers meet.
    except Exception as error:
        raise SourceError(f"{spec!r}: not a readable MATLAB file ({_line(error)})") from error
    if stack.dtype != np.uint8 or stack.ndim != 4 or stack.shape[2] != 3:
        raise SourceError(f"{spec!r}: X is {_described(stack)}; expected uint8 (h, w, 3, n)")
    stack = np.moveaxis(stack, -1, 0)
    return _numbers(len(stack)), _Stack(stack)


def _npz(location: str, spec: str) -> _Opened:
    path = _existing(location, spec)
    try:
        # NumPy takes other files for pickles and advises to load them unsafely.
        if not zipfile.is_zipfile(path):
            raise ValueError("not a zip file")
        with np.load(path, allow_pickle=False) as arrays:
            keys = arrays.files
            key = keys[0] if len(keys) == 1 else "images"
            stack = arrays[key] if key in keys else None
    except Exception as error:
        raise SourceError(f"{spec!r}: not a readable npz archive ({_line(error)})") from error
    if stack is None:
        raise SourceError(f"{spec!r}: no array named images among {', '.join(keys) or 'no arrays'}")
    grey, colour = stack.ndim == 3, stack.ndim == 4 and stack.shape[-1] == 3
    if stack.dtype != np.uint8 or not (grey or colour):
        expected = "uint8 [n, h, w, 3] or [n, h, w]"
        raise SourceError(f"{spec!r}: {key} is {_described(stack)}; expected {expected}")
    return _numbers(len(stack)), _Stack(stack)


def _bundled(location: str, spec: str) -> _Opened:
    if location == "digits":
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise _missing(spec, "scikit-learn", extra="bundled") from error
        digits: Any = load_digits()
        stack = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        return _numbers(len(stack)), _Stack(stack)
    if location == "photographs":
        paths = [_inside_wheel(file, spec) for file in _PHOTOGRAPHS.values()]
        return list(_PHOTOGRAPHS), _Files(paths)
    if location == "tiles":
        return _tiles({name: _inside_wheel(file, spec) for name, file in _PHOTOGRAPHS.items()})
    kinds = ("digits", "photographs", "tiles")
    raise SourceError(
        f"{spec!r}: nothing bundled is called {location!r}{_nearest(location, kinds)}; "
        f"there are {', '.join(kinds)}"
    )


def _tiles(photographs: Mapping[str, Path]) -> _Opened:
    """Every whole square tile of every photograph, row by row, photograph by photograph."""
    names, tiles = [], []
    for name, path in photographs.items():
        image = images.read(path)
        rows, columns = (side // _TILE for side in image.shape[:2])
        for row, column in np.ndindex(rows, columns):
            top, left = row * _TILE, column * _TILE
            names.append(f"{name}/{row}-{column}")
            tiles.append(image[top : top + _TILE, left : left + _TILE])
    return names, _Stack(np.stack(tiles))


def _inside_wheel(file: str, spec: str) -> Path:
    """Path of a data file of a package, which is not imported: skimage.data could download."""
    package, _, inside = file.partition("/")
    distribution = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[package]
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise _missing(spec, distribution, extra="bundled")
    path = Path(found.origin).parent / inside
    if not path.is_file():
        raise SourceError(f"{spec!r}: the installed {distribution} does not contain {inside}")
    return path


def _tfds(location: str, spec: str) -> _Opened:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise _missing(spec, "tensorflow_datasets", extra="tfds") from error
    name, _, split = location.partition("@")
    folder = Path(name).expanduser()
    builder: Any
    try:
        if folder.is_absolute() or (folder / "dataset_info.json").is_file():
            builder = tfds.builder_from_directory(folder)
        else:
            builder = tfds.builder(name, file_format="array_record")
    except tfds.core.DatasetNotFoundError:
        near = _nearest(name, tfds.list_builders(with_community_datasets=False))
        raise SourceError(f"{spec!r}: TFDS knows no dataset {name!r}{near}") from None
    except Exception as error:
        raise SourceError(f"{spec!r}: TFDS cannot open it ({_line(error)})") from error
    if not builder.info.splits:
        raise SourceError(
            f"{spec!r} is not prepared in {builder.data_dir}; prepare it once with: "
            f"tfds build {name} --file_format=array_record"
        )
    features = builder.info.features or {}
    if "image" not in features or not isinstance(features["image"], tfds.features.Image):
        raise SourceError(f"{spec!r}: no feature image among {', '.join(features)}")
    if features["image"].np_dtype == np.float32:
        raise SourceError(f"{spec!r}: its images are float32, stored as bytes of no photograph")
    try:
        # The stored file goes through our own reader: one decoder, one behaviour, for all sources.
        records = builder.as_data_source(
            split=split or "train", decoders={"image": tfds.decode.SkipDecoding()}
        )
    except NotImplementedError as error:
        kept = builder.info.file_format.value
        raise SourceError(
            f"{spec!r} is stored as {kept}, without random access; prepare it as array_record"
        ) from error
    except Exception as error:
        raise SourceError(f"{spec!r}: {_line(error)}") from error
    return _numbers(len(records)), _Records(spec, records)


def _numbers(count: int) -> Sequence[str]:
    return [f"{index:06d}" for index in range(count)]


def _existing(location: str, spec: str) -> Path:
    path = Path(location).expanduser()
    if not path.is_file():
        raise SourceError(f"{spec!r}: there is no file {path}")
    return path


def _missing(spec: str, package: str, *, extra: str) -> SourceError:
    return SourceError(f"{spec!r} needs {package}: pip install ce_jax[{extra}]")


def _nearest(word: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f" (meant: {nearest[0]}?)" if nearest else ""


def _described(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape}"


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


_OPENERS: dict[str, Callable[[str, str], _Opened]] = {
    "folder": _folder,
    "mat": _mat,
    "npz": _npz,
    "tfds": _tfds,
    "bundled": _bundled,
}
