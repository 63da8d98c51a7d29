"""Where photographs come from: a source string becomes random access to named pictures.

A source gives upright RGB pictures, uint8 [h, w, 3], each of its own size. The name of a picture is
what its outputs are called: a relative path with "/" between folders and no extension, unique even
where file systems ignore case. Nothing is ever downloaded.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

from ce_jax import files
from ce_jax.sources.arrays import open_mat, open_npz
from ce_jax.sources.bundled import open_bundled
from ce_jax.sources.folder import open_folder
from ce_jax.sources.records import is_dataset, open_tfds
from ce_jax.sources.samples import open_samples
from ce_jax.sources.source import Opened, Source, SourceError, nearest_of

__all__ = ["Source", "SourceError", "keep_apart", "open_source"]

_OPENERS: dict[str, Callable[[str, str], Opened]] = {
    "folder": open_folder,
    "mat": open_mat,
    "npz": open_npz,
    "tfds": open_tfds,
    "bundled": open_bundled,
    "samples": open_samples,
}

# A sum of TFDS splits, train[:9]+test[:9], is left to TFDS: its last slice is not of the whole.
_SLICE = re.compile(r"(?!tfds:.*\+)(.+)\[(-?\d+)?:(-?\d+)?\]")


def open_source(spec: str) -> Source:
    """Open the photographs that a source string names.

    - `folder:PATH`: images in a folder and its sub-folders; hidden files are ignored.
    - `mat:PATH`: X of a MATLAB file, uint8 (h, w, 3, n), the layout of SVHN.
    - `npz:PATH`: the array `images`, or the only one, uint8 [n, h, w, 3] or [n, h, w].
    - `tfds:NAME`, `tfds:NAME@SPLIT`: the feature `image` of a TFDS dataset prepared as ArrayRecord
      (default split: train), read without TensorFlow. NAME may be the folder of one version.
    - `bundled:digits`: 1797 handwritten digits, 8 x 8, that come with scikit-learn.
    - `bundled:photographs`: 15 photographs that come with scikit-image and scikit-learn.
    - `bundled:tiles`: every whole tile of 128 x 128 pixels of them.
    - `samples:MODEL`: 256 images that a trained DCGAN draws, itself or that of a latent encoder.

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
            f"{spec!r}: unknown source {scheme!r}{nearest_of(scheme, _OPENERS)}; "
            f"known are {', '.join(_OPENERS)}"
        )
    names, pictures = _OPENERS[scheme](location, whole)
    part = slice(*(int(end) if end else None for end in (start, stop)))
    indices = range(len(names))[part]
    if not indices:
        raise SourceError(f"{spec!r} is empty: {whole} has {len(names)} images")
    return Source(spec, names[part], pictures, indices)


def keep_apart(spec: str, output: str | os.PathLike) -> None:
    """Refuse to write into a folder that a source reads, where results would become inputs.

    Raises:
        SourceError: one of the two folders lies in the other.
    """
    match = _SLICE.fullmatch(spec)
    scheme, _, location = (match[1] if match else spec).partition(":")
    if files.is_remote(output):
        return
    folder = Path(location.partition("@")[0] if scheme == "tfds" else location).expanduser()
    read, written = folder.resolve(), Path(output).resolve()
    reads = scheme == "folder" or (scheme == "tfds" and is_dataset(folder))
    if reads and (read.is_relative_to(written) or written.is_relative_to(read)):
        raise SourceError(
            f"{output} and {spec!r} lie in one another, so that results would be taken for images; "
            "write to a folder elsewhere"
        )
