"""Pixels in arrays of any shape: the bytes of photographs, and the numbers that networks see.

Apart from `images`, so that steps and searches run where nothing opens a photograph.
"""

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import jax

Array = TypeVar("Array", np.ndarray, "jax.Array")


def to_float(image: Array) -> Array:
    """Bytes 0..255 as float32 in [-1, 1]: x / 127.5 - 1, for NumPy and JAX arrays."""
    return image.astype(np.float32) / 127.5 - 1


def to_uint8(image: Array) -> Array:
    """[-1, 1] as the nearest of the bytes 0..255 (halves to even); values outside are clipped."""
    return ((image.astype(np.float32) + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
