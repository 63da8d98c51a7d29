"""`mat:PATH` and `npz:PATH`: images of one size in one array."""

import zipfile
from pathlib import Path

import numpy as np
import scipy.io

from ce_jax.sources.source import (
    Opened,
    SourceError,
    Stack,
    described,
    existing,
    first_line,
    numbers,
)


def open_mat(location: str, spec: str) -> Opened:
    """X of a MATLAB file, the layout of SVHN.

    Raises:
        SourceError: no file, not one of MATLAB, its X is not uint8 (h, w, 3, n), or of no pixels.
    """
    path = existing(location, spec)
    try:
        stack = scipy.io.loadmat(path, variable_names=["X"], appendmat=False)["X"]
    except KeyError:
        raise SourceError(f"{spec!r}: holds no variable X, the images of SVHN") from None
    # Besides OSError and ValueError, scipy lets through whatever its parsers meet.
    except Exception as error:
        raise SourceError(f"{spec!r}: not a readable MATLAB file ({first_line(error)})") from error
    if stack.dtype != np.uint8 or stack.ndim != 4 or stack.shape[2] != 3:
        raise SourceError(f"{spec!r}: X is {described(stack)}; expected uint8 (h, w, 3, n)")
    return _opened(np.moveaxis(stack, -1, 0), path, spec)


def open_npz(location: str, spec: str) -> Opened:
    """The array `images` of an archive, or its only one.

    Raises:
        SourceError: no file, no archive, neither uint8 [n, h, w, 3] nor [n, h, w] in it, or of no
            pixels.
    """
    path = existing(location, spec)
    try:
        # NumPy takes other files for pickles and advises to load them unsafely.
        if not zipfile.is_zipfile(path):
            raise ValueError("not a zip file")
        with np.load(path, allow_pickle=False) as arrays:
            keys = arrays.files
            key = keys[0] if len(keys) == 1 else "images"
            stack = arrays[key] if key in keys else None
    except Exception as error:
        raise SourceError(f"{spec!r}: not a readable npz archive ({first_line(error)})") from error
    if stack is None:
        raise SourceError(f"{spec!r}: no array named images among {', '.join(keys) or 'no arrays'}")
    grey, colour = stack.ndim == 3, stack.ndim == 4 and stack.shape[-1] == 3
    if stack.dtype != np.uint8 or not (grey or colour):
        expected = "uint8 [n, h, w, 3] or [n, h, w]"
        raise SourceError(f"{spec!r}: {key} is {described(stack)}; expected {expected}")
    return _opened(stack, path, spec)


def _opened(stack: np.ndarray, path: Path, spec: str) -> Opened:
    if 0 in stack.shape[1:]:
        raise SourceError(f"{spec!r}: its images have no pixels ({described(stack)})")
    return numbers(len(stack)), Stack(stack, path)
