"""Which photographs, and the square that a network sees of them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from ce_jax.config.rules import Part, among, at_least, refused

SIZES = (32, 64, 128)
"""Sides that networks of kernel 4 and stride 2 halve down to 4x4."""
ALEXNET_SIZE = 227
"""The side that AlexNet takes down to 6x6."""
REFINED_SIZES = (256, 512)
"""Sides beyond those of any network, which a completion is refined up to."""
L2_GAN_SIZES = (88, 175, 350)
"""350 as published, a half and a quarter: 128 of 350 pixels are 32, 64 and 128."""


@dataclass(frozen=True, kw_only=True)
class Frame(Part, called="frame"):
    """How a photograph of any size becomes the square that a network sees."""

    size: Annotated[int, among(*SIZES, ALEXNET_SIZE, *L2_GAN_SIZES, *REFINED_SIZES)] = 64
    """Side of the square in pixels: 32, 64 or 128; 227 for AlexNet; 88, 175 or 350 for the L2-GAN; 256 and 512 for a high-resolution inpainting."""
    box: tuple[int, int, int, int] | None = None
    """Left, top, right, bottom: cut this out first (pixels of the file)."""
    shorter_side: int | None = None
    """Resize to this shorter side before the crop; None: to `size`, so that only the longer side is cropped."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.box is not None:
            left, top, right, bottom = self.box
            if not (0 <= left < right and 0 <= top < bottom):
                order = "0 <= left < right and 0 <= top < bottom"
                raise refused(self, "frame.box", f"left, top, right, bottom with {order}")
        if self.shorter_side is not None and self.shorter_side < self.size:
            raise refused(self, "frame.shorter_side", f"at least frame.size ({self.size})")


@dataclass(frozen=True, kw_only=True)
class Data(Part, called="data"):
    """Where the training images come from and how they are varied."""

    source: str = "bundled:photographs"
    """folder:PATH, tfds:NAME@SPLIT, mat:PATH (SVHN), npz:PATH, bundled:digits, bundled:photographs, bundled:tiles, or samples:MODEL (what a trained DCGAN draws); [a:b] behind any of them takes a part."""
    validation: str | None = None
    """Images that a curriculum or an L2-GAN is validated on after every epoch, the first 256 of a source; None: of the training images."""
    frame: Frame = Frame()
    crop: Literal["center", "random"] = "center"
    """Where the square lies in a photograph that is larger (`frame.shorter_side` makes room)."""
    flip: bool = True
    """Mirror half of the images left to right."""
    threads: Annotated[int | None, at_least(1)] = None
    """Threads that read and decode ahead of the device, a batch each; None: one for each core."""
    cache: Annotated[float, at_least(0)] = 4.0
    """Gigabytes of decoded pictures to keep on the disk, in a file without a name where TMPDIR says, so that later epochs decode nothing; never more than half of what is free."""
