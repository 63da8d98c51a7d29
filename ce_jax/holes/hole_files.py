"""Holes in files, drawn by people or for other programs: white (>= 128) is missing, as usual."""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from ce_jax import images
from ce_jax.files import printable, walk
from ce_jax.holes import KINDS, HoleError, hole_sets, kinds_for, parse
from ce_jax.holes.hole_sets import HoleSet

_WHITE = 128
_DRAWN_AT_ONCE = 64


def read(path: str | Path) -> tuple[np.ndarray, float]:
    """The hole in a picture file of any kind, and how soft it is, as `of_picture` tells them.

    Raises:
        HoleError: the file cannot be read, or `of_picture` refuses what was drawn.
    """
    try:
        return images.decode(path, of_picture)
    except images.UnreadableImage as error:
        raise HoleError(f"hole {error}") from error


def of_picture(picture: Image.Image) -> tuple[np.ndarray, float]:
    """The hole in a decoded, upright picture, and the share of its pixels that are soft.

    Soft pixels, neither black nor white, come from antialiasing, resizing or the ringing of JPEG;
    from 32 to 223 they count as soft.

    Returns:
        Bool `[h, w, 1]`, True where the picture is white (>= 128); and a number in [0, 1].

    Raises:
        HoleError: the hole was drawn into the alpha channel, or as `of_luma`.
        ValueError: as `images.rgb`.
    """
    luma = np.asarray(Image.fromarray(images.rgb(picture)).convert("L"))
    alpha = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else [0]
    if np.ptp(luma) == 0 < np.ptp(np.asarray(alpha)):
        raise HoleError("it is drawn in the alpha channel; draw it white on black, without alpha")
    if picture.mode.startswith("I"):  # of 16 bits, what is faint has become black
        luma = np.maximum(luma, np.asarray(picture) > 0)
    soft = np.mean((luma >= 32) & (luma < 224))
    return of_luma(luma)[..., np.newaxis], float(soft)


def of_luma(luma: np.ndarray) -> np.ndarray:
    """Where uint8 of any shape is white (>= 128), and so missing, as bool of that shape.

    Raises:
        HoleError: something is drawn there, but nothing is white.
    """
    hole = luma >= _WHITE
    if luma.any() and not hole.any():
        raise HoleError(
            f"its brightest value is {luma.max()} of 255, and white ({_WHITE} or more) is what is "
            "missing; draw it white, or multiply 0 and 1 by 255"
        )
    return hole


@dataclasses.dataclass(frozen=True)
class HoleFiles:
    """Holes that stand in files: one file for all images, or a folder with one per image.

    Attributes:
        path: the file, or the folder.
        by_stem: the files of the folder by relative name without ending; None for one file.
    """

    path: Path
    by_stem: Mapping[str, Sequence[Path]] | None

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [self.path] if self.by_stem is None else list(chain(*self.by_stem.values()))

    def path_for(self, image: str, *, optional: bool = False) -> Path | None:
        """The hole file of an image, found by the image's relative name: same stem, any ending.

        An image may keep its own ending in its name (a.jpg, where there is an a.png besides): its
        hole is then a.jpg.png, or a.jpg itself, or else that of the stem. None if it has none,
        where that is `optional`.

        Raises:
            HoleError: no file has that stem, or several have and none the very same name.
        """
        if self.by_stem is None:
            return self.path
        found = self.found(image)
        same_name = [path for path in found if printable(path.relative_to(self.path)) == image]
        match same_name or found:
            case [path]:
                return path
            case [] if optional:
                return None
            case []:
                expected = f"{_stem(image)}.png (or {', '.join(images.ENDINGS[1:])})"
                raise HoleError(f"image {image} has no hole in {self.path}: expected {expected}")
            case several:
                names = ", ".join(str(path) for path in several)
                raise HoleError(f"image {image} has several holes, keep one: {names}")

    def found(self, image: str) -> Sequence[Path]:
        """The files of the folder that may be meant for an image."""
        assert self.by_stem is not None
        return self.by_stem.get(image) or self.by_stem.get(_stem(image), ())

    def idle(self, images: Sequence[str]) -> list[Path]:
        """The files of the folder that belong to none of these images."""
        used = {file for image in images for file in self.found(image)}
        return [file for file in self.files if file not in used]


def open_files(path: str | Path) -> HoleFiles:
    """The holes at `path`: one file for all images, or a folder with one per image.

    Raises:
        HoleError: nothing is there, the one file cannot be read, or the folder holds no pictures or
            cannot be listed.
    """
    path = Path(path)
    if path.is_file():
        read(path)  # one clear error now, rather than the same one for every image
        return HoleFiles(path, None)
    if not path.is_dir():
        raise HoleError(f"holes {path}: there is no such file or folder")
    by_stem = defaultdict(list)
    try:
        found = list(walk(path))
    except OSError as error:
        raise HoleError(f"{error.filename}: cannot be listed ({error.strerror})") from error
    for file in found:
        if file.suffix.lower() in images.ENDINGS:
            by_stem[_stem(printable(file.relative_to(path)))].append(file)
    if not by_stem:
        raise HoleError(f"holes {path}: the folder holds no pictures ({' '.join(images.ENDINGS)})")
    return HoleFiles(path, dict(by_stem))


def resolve(holes: str, *, seed: int) -> HoleSet | HoleFiles:
    """What HOLES on the command line means: set:NAME, a hole kind, or the path of a file or folder.

    A folder called `center` is written `./center`.

    Args:
        holes: as written.
        seed: of the holes that are drawn by kind; a named set has its own.

    Raises:
        HoleError: it is nothing of these, or `named`, `parse` or `open_files` refuse it.
    """
    name, _, of_set = holes.partition(":")
    if name == "set":
        return hole_sets.named(of_set)
    if name in KINDS:
        return HoleSet(parse(holes), seed)
    if Path(holes).exists():
        return open_files(holes)
    raise HoleError(
        f"holes '{holes}' are neither a file or folder that exists nor a hole kind; "
        f"{kinds_for(name)}; sets are {', '.join(f'set:{one}' for one in hole_sets.SETS)}"
    )


def write(holes: HoleSet, names: Sequence[str], folder: Path, *, size: int) -> str:
    """Draws the holes of images into a new folder: `NAME.png`, white = missing, and `holes.json`.

    `holes.json` says of each hole its hash and the share that is missing, and of all of them what
    they were drawn from and what the report of an inpainting calls their hole set.

    Returns:
        The hash of the set.

    Raises:
        HoleError: the folder is not empty, or `HoleSet.check` refuses the set.
    """
    holes.check(size=size)
    if folder.exists() and any(folder.iterdir()):
        raise HoleError(f"{folder} is not empty; choose a new folder for the holes")
    drawn = {}
    for first in range(0, len(names), _DRAWN_AT_ONCE):
        some = names[first : first + _DRAWN_AT_ONCE]
        for name, hole in zip(some, holes.draw(some, size=size), strict=True):
            white = np.where(hole, np.uint8(255), np.uint8(0))
            images.write_png(folder / f"{name}.png", np.repeat(white, 3, axis=-1))
            missing = round(float(hole.mean()), 4)
            drawn[name] = {"hole": hole_sets.hash_of(hole), "missing": missing}
    hash_of_all = hole_sets.hash_of_set({name: one["hole"] for name, one in drawn.items()})
    facts = {"set": holes.name, "kind": str(holes.kind), "seed": holes.seed, "size": size}
    text = json.dumps(facts | {"hash": hash_of_all, "holes": drawn}, indent=1)
    (folder / "holes.json").write_text(text + "\n", encoding="utf-8")
    return hash_of_all


def _stem(name: str) -> str:
    """A relative name without the ending of a picture; other dots belong to the name."""
    path = PurePosixPath(name)
    return str(path.with_suffix("") if path.suffix.lower() in images.ENDINGS else path)
