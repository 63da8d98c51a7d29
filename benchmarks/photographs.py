"""Photographs made for a benchmark: noise that is smooth over many scales, as pictures are."""

from pathlib import Path

import numpy as np
from PIL import Image

_SCALES = 7


def photograph(height: int, width: int, *, seed: int) -> np.ndarray:
    """Noise of every scale from one pixel to the whole, louder where coarser; uint8 [h, w, 3]."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    for scale in range(_SCALES):
        shape = (-(-height >> scale) + 1, -(-width >> scale) + 1, 3)
        noise = random.uniform(0, 255, shape).astype(np.uint8)
        smooth = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        picture += 2.0**scale * (np.asarray(smooth) / 127.5 - 1)
    return (127.5 * (1 + picture / np.abs(picture).max())).astype(np.uint8)


def write(folder: Path, count: int, *, height: int, width: int, suffix: str) -> None:
    """So many files in a new folder; `suffix` says of which kind, ".jpg" or ".png"."""
    folder.mkdir()
    for number in range(count):
        picture = Image.fromarray(photograph(height, width, seed=number))
        picture.save(folder / f"{number:06}{suffix}", quality=90)  # for PNG it means nothing
