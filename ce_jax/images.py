"""Photographs: read, written, framed into squares, and moved between bytes and [-1, 1].

A photograph on the host is uint8 [h, w, 3] in RGB, upright; in front of a network it is float32 in
[-1, 1]. Nothing here guesses: a file that cannot be turned into such a picture without inventing
pixels is refused.
"""

import contextlib
import io
import math
import os
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from ce_jax import files
from ce_jax.config import Frame
from ce_jax.pixels import to_float as to_float
from ce_jax.pixels import to_uint8 as to_uint8

Decoded = TypeVar("Decoded")

MAX_PIXELS = 64_000_000
"""Larger pictures are refused before they are decoded."""

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif"),
    *(".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"),
)
"""Of the files that are taken for pictures, in small letters."""

# Pillow also opens formats that run other programs or hold no photographs (EPS, WMF, HDF5, ...).
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", "GIF")
_JPEG = b"\xff\xd8\xff"
# What only Pillow knows about: EXIF and XMP, which may turn a picture, and pictures behind it.
_NOT_PLAIN = (b"Exif\0", b"http://ns.adobe.com/", b"MPF\0")
# Stretching a thread-like picture until its short side fits would take unbounded memory.
_LONGEST_ASPECT = 256


class UnreadableImage(ValueError):
    """An image that cannot be read; the message names it and gives the reason in one line."""


def read(path_or_bytes: str | os.PathLike | bytes) -> np.ndarray:
    """Decode one photograph to uint8 [h, w, 3], upright.

    Grey, palette and CMYK become RGB; alpha is dropped. 16-bit values 0..65535 (modes I;16 and I)
    are divided by 257, floating-point values 0..1 (mode F) multiplied by 255. The EXIF orientation
    is applied. JPEGs with further pictures inside (MPO, from phones) give the main one.

    Raises:
        UnreadableImage: no image, truncated, animated, or of more than `MAX_PIXELS`, which is read
            from the header, before anything is decoded.
    """
    pixels = _plain_jpeg(path_or_bytes)
    return decode(path_or_bytes, rgb) if pixels is None else pixels


def _plain_jpeg(path_or_bytes: str | os.PathLike | bytes) -> np.ndarray | None:
    """The pixels that Pillow gives of a JPEG as most are; None of any other file, whole or broken.

    With the decoder that Pillow has, but without Python's lock, which a head read in Python holds
    for as long as the decoding takes: threads would decode hardly faster than one alone.
    """
    try:
        if isinstance(path_or_bytes, bytes):
            data = path_or_bytes
        else:
            with open(path_or_bytes, "rb") as file:
                data = file.read(len(_JPEG))
                if data == _JPEG and os.fstat(file.fileno()).st_size < 4 * MAX_PIXELS:
                    data += file.read()
        if not data.startswith(_JPEG) or any(mark in data for mark in _NOT_PLAIN):
            return None
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "Gray") or int(height) * int(width) > MAX_PIXELS:
            return None
        return simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except (OSError, ValueError):
        return None


def decode(
    path_or_bytes: str | os.PathLike | bytes, convert: Callable[[Image.Image], Decoded]
) -> Decoded:
    """What `convert` makes of one photograph, decoded and upright; raises as `read` does."""
    in_memory = isinstance(path_or_bytes, bytes)
    name = f"image of {len(path_or_bytes)} bytes" if in_memory else os.fspath(path_or_bytes)
    try:
        file = io.BytesIO(path_or_bytes) if in_memory else path_or_bytes
        with Image.open(file, formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                size = f"{image.width} x {image.height} pixels"
                raise UnreadableImage(f"{name}: {size}, more than the limit of {MAX_PIXELS}")
            if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
                raise UnreadableImage(f"{name}: holds several frames; save the one to use alone")
            image.load()
            return convert(turn_upright(image))
    except UnreadableImage:
        raise
    except UnidentifiedImageError:
        raise UnreadableImage(f"{name}: not an image ({', '.join(_FORMATS)} are read)") from None
    # Decoders fed with damaged files raise anything: struct.error, KeyError, SyntaxError, ...
    except Exception as error:
        raise UnreadableImage(f"{name}: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """What a decoder complains of, in one line."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(reason.split())


def pixels_of(path: str | os.PathLike) -> int:
    """How many pixels a picture has by its header; 0 if it is none."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return image.width * image.height
    except Exception:
        return 0


def turn_upright(image: Image.Image) -> Image.Image:
    """Turns a decoded picture as its EXIF says, and gives it back."""
    # Damaged metadata says nothing about the pixels, which have been decoded by now.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def rgb(image: Image.Image) -> np.ndarray:
    """A decoded picture as uint8 [h, w, 3], as `read` gives it.

    Raises:
        ValueError: grey values are outside of those that `read` names.
    """
    # Pillow's own conversion saturates everything above 255.
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _scaled(np.asarray(image), top=65535)
    if image.mode == "F":
        return _scaled(np.asarray(image), top=1)
    # A palette with transparency reaches RGB without a warning only through RGBA.
    if image.mode in ("P", "PA", "RGBa"):
        image = image.convert("RGBA")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _scaled(grey: np.ndarray, *, top: int) -> np.ndarray:
    if not (grey.min() >= 0 and grey.max() <= top):
        raise ValueError(f"values from {grey.min()} to {grey.max()}; expected 0 to {top}")
    grey = np.rint(grey.astype(np.float64) * (255 / top)).astype(np.uint8)
    return np.repeat(grey[..., np.newaxis], 3, axis=-1)


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write uint8 [h, w, 3] as a PNG that is there either wholly or not at all.

    Parent folders are created; an existing file is replaced.

    Raises:
        ValueError: the image is of another type or shape.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"{path}: expected uint8 [h, w, 3], got {image.dtype} {image.shape}")
    with files.replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def frame(image: np.ndarray, how: Frame) -> np.ndarray:
    """Make a photograph (uint8 [h, w, 3]) or a hole (bool [h, w, 1]) the square a network sees.

    A picture of size x size is returned as it is. Any other is cut to the box, resized as by
    `resize`, unless it fits already, and cropped in the middle.

    Args:
        image: [h, w, c] of any size; a smaller one is enlarged.
        how: size, box and shorter side, in pixels.

    Raises:
        UnreadableImage: one side is more than 256 times the other.
        ValueError: the box is not inside the picture.
    """
    whole, size = fit(image, how), how.size
    if whole.shape[:2] == (size, size):
        return whole
    top, left = ((side - size) // 2 for side in whole.shape[:2])
    return whole[top : top + size, left : left + size]


def fit(image: np.ndarray, how: Frame) -> np.ndarray:
    """What `frame` cuts the square out of: the first half of its work; raises as `frame` does."""
    if image.shape[:2] == (how.size, how.size):
        return image
    if how.box is not None:
        image = _cut(image, how.box)
    height, width = image.shape[:2]
    if max(height, width) > _LONGEST_ASPECT * min(height, width):
        raise UnreadableImage(f"{width} x {height} pixels are too elongated to become a square")
    scale = (how.shorter_side or how.size) / min(height, width)
    return resize(image, (round(height * scale), round(width * scale)))


def _cut(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    left, top, right, bottom = box
    height, width = image.shape[:2]
    if right > width or bottom > height:
        raise ValueError(
            f"box {box} (left, top, right, bottom) is not inside the picture of "
            f"{width} x {height} pixels"
        )
    return image[top:bottom, left:right]


def resize(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Another height and width: a photograph bicubic, antialiased; of a hole, the nearest pixel."""
    if image.shape[:2] == shape:
        return image
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    picture = Image.fromarray(pixels.astype(np.uint8, copy=False))
    method = Image.Resampling.NEAREST if image.dtype == np.bool_ else Image.Resampling.BICUBIC
    height, width = shape
    resized = np.array(picture.resize((width, height), method)).astype(image.dtype, copy=False)
    return resized.reshape(height, width, image.shape[-1])


def grid(images: np.ndarray, *, columns: int, gap: int = 2) -> np.ndarray:
    """Lay out some images, uint8 [n, h, w, 3], in rows on white, `gap` pixels apart, as one."""
    number, height, width, channels = images.shape
    rows = math.ceil(number / columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    picture = np.full(shape, 255, np.uint8)
    for index, image in enumerate(images):
        top, left = (height + gap) * (index // columns), (width + gap) * (index % columns)
        picture[top : top + height, left : left + width] = image
    return picture
