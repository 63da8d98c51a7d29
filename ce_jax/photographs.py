"""Whole photographs as they came: every channel, 16 bits, alpha, EXIF and colour profile.

What a network sees of them is `images`; here is what is given back. Pixels are uint8 or uint16,
[h, w, c] with c = 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha), upright.
"""

import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from ce_jax import files, images


class Photograph(NamedTuple):
    """A picture with what a viewer needs besides: EXIF without orientation, and the ICC profile."""

    pixels: np.ndarray
    exif: bytes = b""
    icc: bytes | None = None


def read(path: str | os.PathLike) -> Photograph:
    """A photograph, upright, that is written as it was read.

    Palettes become RGB, and so does CMYK, whose profile is left out. Pillow reads 16 bits of grey
    alone: of colours, the upper 8. A floating-point TIFF becomes grey of 8 bits.

    Raises:
        UnreadableImage: as `images.read`.
    """
    return images.decode(path, whole)


def write(path: str | os.PathLike, photograph: Photograph) -> None:
    """Writes a PNG that is there either wholly or not at all."""
    options = {"exif": photograph.exif} if photograph.exif else {}
    with files.replacing(path) as temporary:
        picture(photograph.pixels).save(temporary, "PNG", icc_profile=photograph.icc, **options)


def picture(pixels: np.ndarray) -> Image.Image:
    """Pixels as Pillow has them."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def colours(pixels: np.ndarray) -> np.ndarray:
    """Pixels without alpha as float64 [h, w, 3] in [-1, 1]."""
    alpha = pixels.shape[-1] in (2, 4)
    colour = pixels[..., : pixels.shape[-1] - alpha] / (np.iinfo(pixels.dtype).max / 2) - 1
    return np.broadcast_to(colour, (*colour.shape[:2], 3))


def filled(pixels: np.ndarray, completed: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Pixels [h, w, c] with other colours in the hole; known ones and alpha are as they were.

    Args:
        pixels: uint8 or uint16.
        completed: [h, w, 3] in [-1, 1]; its mean where the photograph is grey.
        hole: bool [h, w, 1].
    """
    channels = pixels.shape[-1]
    if channels < 3:
        completed = completed.mean(axis=-1, keepdims=True)
    top = np.iinfo(pixels.dtype).max
    levels = ((completed + 1) * (top / 2)).round().clip(0, top).astype(pixels.dtype)
    colour = channels - (channels in (2, 4))
    return np.concatenate([np.where(hole, levels, pixels[..., :colour]), pixels[..., colour:]], -1)


def whole(image: Image.Image) -> Photograph:
    """A decoded, upright picture, as `read` gives it.

    Raises:
        ValueError: grey values are outside 0..65535 (modes I;16 and I) or 0..1 (mode F).
    """
    icc, mode = image.info.get("icc_profile"), image.mode
    if mode == "I" or mode.startswith("I;16"):
        pixels = np.asarray(image)
        if not (pixels.min() >= 0 and pixels.max() <= 65535):
            raise ValueError(f"values from {pixels.min()} to {pixels.max()}; expected 0 to 65535")
        return Photograph(pixels.astype(np.uint16)[..., np.newaxis], _exif(image), icc)
    if mode == "F":
        return Photograph(images.rgb(image)[..., :1], _exif(image), icc)
    grey = mode in ("1", "L", "LA", "La")
    if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        icc = None
    alpha = "A" if image.has_transparency_data else ""
    exif = _exif(image)
    pixels = np.array(image.convert(f"{'L' if grey else 'RGB'}{alpha}"))
    return Photograph(pixels.reshape(*pixels.shape[:2], -1), exif, icc)


def _exif(image: Image.Image) -> bytes:
    """EXIF, in which nothing turns an upright picture any more; none if it is damaged."""
    try:
        exif = image.getexif()
        exif.pop(0x0112, None)
        return exif.tobytes() if exif else b""
    except Exception:
        return b""
