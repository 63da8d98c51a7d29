"""Whole photographs with their completed squares put back: read once more, filled, written."""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np

from ce_jax import files, images, photographs
from ce_jax.images import UnreadableImage
from ce_jax.inpainting.pairing import Pairing, Picture
from ce_jax.inpainting.surroundings import Place, paste
from ce_jax.sources.stamps import is_still

_PNG = b"\x89PNG\r\n\x1a\n"
# Poisson's equation takes about a third of a kilobyte a pixel: of large holes, one at a time.
_LARGE = 1_000_000
_one_large = threading.Lock()

Write = Callable[[Path, np.ndarray], None]
"""(path, completed square): writes the file of a completion."""


def writer(pairing: Pairing, picture: Picture, *, blend: str) -> Write:
    """How the completions of an image are written: as squares, or as the whole photograph.

    A photograph is not kept until then, so that no batch of large ones has to fit into memory.
    """
    return images.write_png if picture.place is None else partial(_return, picture, pairing, blend)


def _return(picture: Picture, pairing: Pairing, blend: str, path: Path, square: np.ndarray) -> None:
    """Writes the photograph of a picture, its hole filled from its completed square.

    Raises:
        UnreadableImage: it is no longer what the square was cut from.
    """
    place, index = picture.place, pairing.indices[picture.name]
    assert place is not None
    original = pairing.source.file(index)
    if original is not None and not is_still(original, picture.files["image"]):
        raise UnreadableImage(f"{original}: changed while it was being completed")
    if original is not None and not place.missing:
        content = original.read_bytes()
        if content.startswith(_PNG):
            with files.replacing(path) as temporary:
                temporary.write_bytes(content)
            return
    photograph = pairing.source.whole(index)
    with _one_large if place.hole.size > _LARGE else nullcontext():
        pixels = put_back(photograph.pixels, square, place, blend=blend)
    photographs.write(path, photograph._replace(pixels=pixels))


def put_back(pixels: np.ndarray, square: np.ndarray, place: Place, *, blend: str) -> np.ndarray:
    """Pixels of a photograph, uint8 or uint16 [h, w, c], with the hole filled from its square.

    Args:
        pixels: as in `photographs`; left as they are.
        square: uint8 [s, s, 3], completed.
        place: where it belongs.
        blend: poisson or overlay.
    """
    height, width = place.hole.shape[:2]
    box = np.s_[place.top : place.top + height, place.left : place.left + width]
    pixels = pixels.copy()
    if place.missing:
        around = photographs.colours(pixels[box])
        completed = paste(around, images.to_float(square), place, blend=blend)
        pixels[box] = photographs.filled(pixels[box], completed, place.hole)
    return pixels
