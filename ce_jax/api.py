"""Inpainting from Python: arrays or PIL images in, the same out, as the command writes them.

Holes are bool, True where pixels are missing, or pictures as in files: white (>= 128) is missing.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, TypeAlias

import jax
import numpy as np
from PIL import Image

from ce_jax import images as pictures
from ce_jax import photographs, sharding
from ce_jax.completion.framing import frame_of
from ce_jax.config import ConfigError, Inpainting
from ce_jax.holes import HoleError, hole_files
from ce_jax.images import UnreadableImage
from ce_jax.inpainting import loop
from ce_jax.inpainting.finishing import Finished, finish
from ce_jax.inpainting.pairing import Failure, Picture, square_of
from ce_jax.inpainting.returning import put_back
from ce_jax.inpainting.surroundings import place_of, seen
from ce_jax.photographs import Photograph
from ce_jax.runs import loading

Pictures: TypeAlias = np.ndarray | Image.Image | Sequence[np.ndarray | Image.Image]

_Opened: TypeAlias = Image.Image | Failure

_FEW = 64
"""Up to so many images are one batch, unless something else is asked for."""

_FIELDS = (
    *("model", "guide", "method", "blend", "seed", "frame", "batch_size"),
    *("latent", "refine", "collection", "tv", "low_rank", "neighbours", "opencv", "patchmatch"),
)


class Incomplete(ValueError):
    """Some images have no completion; the message says which one is the first, and why.

    Attributes:
        completed: what was to be returned, as a list; None in the place of those that failed.
    """

    def __init__(self, message: str, completed: list[Any]) -> None:
        """With the others, which are not lost."""
        super().__init__(message)
        self.completed = completed


def inpaint(images: Pictures, holes: Pictures, **fields: Any) -> Any:
    """Fills the holes of images, one or many, of any size, and gives them back as they came.

    An image is completed at the scale of the model in a square around its hole, and the hole is
    put back at its own size; known pixels do not change. Networks are loaded and compiled by the
    first call, and kept for the next ones with the same fields. Random starts follow from `seed`
    and the place of an image in `images`.

        >>> import numpy as np
        >>> import ce_jax
        >>> photograph = np.full((40, 60, 3), 200, np.uint8)
        >>> hole = np.zeros((40, 60), bool)
        >>> photograph[10:20, 20:40], hole[10:20, 20:40] = 0, True
        >>> completed = ce_jax.inpaint(photograph, hole, method="laplace")
        >>> completed.shape, completed.min(), completed.max()
        ((40, 60, 3), np.uint8(200), np.uint8(200))

    Args:
        images: one or several: uint8 [h, w] or [h, w, c] (grey, RGB, either with alpha), uint16
            [h, w], a PIL image; a list of these, or an array [b, h, w, c].
        holes: of the size of its image each, or one for all: bool, True where pixels are missing,
            or uint8, where they are from 128 on; [h, w] or [h, w, 1], a PIL image; a list of
            these, or an array [b, h, w, 1].
        **fields: of `config.Inpainting` those that say how, above all `model`, `method`, `blend`,
            `seed` and the settings of the method: `inpaint(..., latent=LatentSearch(...))`.
            Without `batch_size`, up to 64 images are one batch.

    Returns:
        The completed images in the form of `images`.

    Raises:
        UnreadableImage: an image is of none of these kinds.
        HoleError: a hole is of none of these kinds or of another size, or there are too few.
        ConfigError: a field is unknown or out of range, or does not suit the model.
        CheckpointError, ReleaseError: the model cannot be loaded.
        SourceError, FeatureFileError: the collection, or the weights of VGG19, cannot be read.
        DeviceError: the devices cannot share `batch_size`.
        Incomplete: some images have no completion; it holds the others.
    """
    if meaningless := sorted(fields.keys() - _FIELDS):
        raise ConfigError(f"{meaningless[0]} means nothing here; known are {', '.join(_FIELDS)}.")
    each = _each(images)
    if not each:
        return images
    opened = [_open(image, number) for number, image in enumerate(each)]
    missing = _holes(holes, opened)
    devices = jax.local_device_count()
    each_device = -(-min(len(each), _FEW) // devices)
    # A power of two, so that lists of all lengths make few programs.
    fields.setdefault("batch_size", devices * 2 ** (each_device - 1).bit_length())
    config = Inpainting(**fields)
    named = [model for model in (config.model, config.guide) if model is not None]
    version = tuple(map(loading.version_of, named))
    # A pool, holes in a collection and PatchMatch are made with the seed; all else asks with it.
    drawn = config.method == "nearest" and config.model is not None
    seeded = drawn or config.latent.start == "pool" or config.method == "patchmatch"
    alike = config if seeded else replace(config, seed=0)
    completed, failures = _inpainter(alike, version)(opened, missing, config.seed)
    returned = list(map(_like, each, completed))
    if failures:
        name, reason, _ = failures[0]
        others = f" (and {len(failures) - 1} others)" if len(failures) > 1 else ""
        raise Incomplete(f"image {int(name)} has no completion: {reason}{others}", returned)
    if isinstance(images, np.ndarray):
        return np.stack(returned) if images.ndim == 4 else returned[0]
    return returned[0] if isinstance(images, Image.Image) else returned


class _Inpainter:
    """A method with its networks, compiled for the devices of this process."""

    def __init__(self, config: Inpainting) -> None:
        mesh = sharding.make_mesh(jax.local_devices())
        sharding.check_batch(config.batch_size, mesh)
        trained = loading.networks_of(config)
        frame = frame_of(config, trained)
        self._config, self._size = config, frame.size
        self._square = square_of(config, frame)
        self._method = loop.build(config, trained, mesh)
        self._finish = partial(finish, config=config, trailed=(), compare=None)

    def __call__(
        self, opened: Sequence[_Opened], holes: Sequence[np.ndarray], seed: int
    ) -> tuple[list[Photograph | None], list[Failure]]:
        """Pictures with their holes, bool [h, w, 1], filled; and those that could not be."""
        config, failures = replace(self._config, seed=seed), []
        completed: list[Photograph | None] = [None] * len(opened)

        def keep(one: Finished | Failure) -> None:
            if isinstance(one, Failure):
                failures.append(one)
                return
            number, place = int(one.picture.name), one.picture.place
            image = opened[number]
            assert place is not None and not isinstance(image, Failure)
            whole = photographs.whole(image)
            pixels = put_back(whole.pixels, one.ranked[0], place, blend=config.blend)
            completed[number] = whole._replace(pixels=pixels)

        work = loop.work_of(self._method, config, None, size=self._size)
        through = loop.Loop(config, work, self._finish, keep)
        through.run(self._groups(opened, holes), stopped=lambda: False)
        return completed, failures

    def _groups(
        self, opened: Sequence[_Opened], holes: Sequence[np.ndarray]
    ) -> Iterator[list[Picture | Failure]]:
        step = self._config.batch_size
        for first in range(0, len(opened), step):
            numbers = range(first, min(first + step, len(opened)))
            yield [self._picture(number, opened[number], holes[number]) for number in numbers]

    def _picture(self, number: int, image: _Opened, hole: np.ndarray) -> Picture | Failure:
        if isinstance(image, Failure):
            return image
        try:
            place = place_of(hole, self._size, self._square)
            square, hole = seen(pictures.rgb(image), hole, place.square, self._size)
        except ValueError as error:
            return Failure(f"{number:06d}", str(error))
        return Picture(f"{number:06d}", square, hole, None, {}, place=place)


@lru_cache(maxsize=2)
def _inpainter(config: Inpainting, version: Hashable) -> _Inpainter:
    """One for each config, and for each state of its model."""
    return _Inpainter(config)


def _each(several: Pictures) -> list[np.ndarray | Image.Image]:
    if isinstance(several, Image.Image) or (isinstance(several, np.ndarray) and several.ndim < 4):
        return [several]
    return list(several)


def _open(image: Any, number: int) -> _Opened:
    """A picture as Pillow has it, upright."""
    if isinstance(image, Image.Image):
        try:
            return _upright(image)
        except UnreadableImage as error:
            return Failure(f"{number:06d}", str(error))
    kinds = {np.dtype(np.uint8): (1, 2, 3, 4), np.dtype(np.uint16): (1,)}
    array = np.asarray(image)
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in kinds.get(array.dtype, ()) or not array.size:
        raise UnreadableImage(
            f"image {number} is {array.dtype} {list(array.shape)}; expected uint8 [h, w] or "
            "[h, w, c] with c up to 4, or uint16 [h, w]"
        )
    return photographs.picture(array.reshape(*array.shape[:2], channels))


def _upright(image: Image.Image) -> Image.Image:
    """A picture, decoded and upright; theirs stays as it is."""
    try:
        return pictures.turn_upright(image.copy())
    except Exception as error:  # decoders raise anything, and no earlier than now
        raise UnreadableImage(pictures.reason_of(error)) from error


def _holes(holes: Pictures, opened: Sequence[_Opened]) -> list[np.ndarray]:
    """The hole of each image, bool [h, w, 1], of its size where that is known."""
    each = [_hole(hole) for hole in _each(holes)]
    each = each * len(opened) if len(each) == 1 else each
    if len(each) != len(opened):
        raise HoleError(f"{len(each)} holes for {len(opened)} images; give one for all or one each")
    for number, (hole, image) in enumerate(zip(each, opened, strict=True)):
        if isinstance(image, Image.Image) and hole.shape != (image.height, image.width, 1):
            raise HoleError(
                f"hole {number} has the shape {list(hole.shape)}, but its image is "
                f"{image.width}x{image.height}; expected [{image.height}, {image.width}, 1]"
            )
    return each


def _hole(hole: Any) -> np.ndarray:
    array = None if isinstance(hole, Image.Image) else np.asarray(hole)
    if array is not None and array.dtype not in (bool, np.uint8):
        raise HoleError(f"a hole is {array.dtype}; expected bool, or uint8 with white for missing")
    try:
        if array is None:
            return hole_files.of_picture(_upright(hole))[0]
        missing = array if array.dtype == bool else hole_files.of_luma(array)
    except ValueError as error:
        raise HoleError(f"a hole cannot be read: {error}") from error
    return missing if missing.ndim == 3 else missing[..., np.newaxis]


def _like(given: Any, photograph: Photograph | None) -> Any:
    """A photograph in the form of what was given; None of none."""
    if photograph is None:
        return None
    pixels, exif, icc = photograph
    if isinstance(given, Image.Image):
        returned = photographs.picture(pixels)
        returned.info = {k: v for k, v in (("exif", exif), ("icc_profile", icc)) if v}
        return returned
    return pixels.reshape(np.shape(given))
