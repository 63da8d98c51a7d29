"""Methods of other libraries, image by image on the host; the extra `classical` installs them.

Some of them read what stands in a hole, and OpenCV returns it where nothing is known: they are
given images whose hole is blank, and none without a known pixel.
"""

import importlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from ce_jax.completion import Found, Propose, in_one_pass
from ce_jax.config import ConfigError, Inpainting
from ce_jax.images import to_float, to_uint8

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""A blanked image [h, w, 3] in [-1, 1] and its hole [h, w], not all of it -> the image filled."""


def method(config: Inpainting) -> Propose:
    """(None, images, hole, key) -> a proposal in one pass; NaN where nothing is known.

    Raises:
        ConfigError: the library is not installed.
    """
    fill = METHODS[config.method](config)

    def propose(_: None, images: Array, hole: Array, key: Array) -> Found:
        def one(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
            return np.full_like(image, np.nan) if hole.all() else fill(image, hole)

        with ThreadPoolExecutor() as threads:  # all three libraries let other threads run
            # Copies: scikit-image refuses arrays that it may not write to.
            pairs = np.array(images), np.array(hole)[..., 0].copy()
            filled = np.stack(list(threads.map(one, *pairs)))
        return in_one_pass(jnp.asarray(filled))

    return propose


def _biharmonic(config: Inpainting) -> Fill:
    """Δ²u = 0 in the hole, a thin plate bent over it, within the range of the known pixels."""
    restoration = _import("skimage.restoration", config)

    def fill(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
        # In float64: the equations of a large hole are too stiff for less.
        filled = restoration.inpaint_biharmonic(image.astype(float), hole, channel_axis=-1)
        return filled.astype(np.float32)

    return fill


def _opencv(config: Inpainting) -> Fill:
    cv2 = _import("cv2", config)
    kind = {"telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS}[config.method]

    def fill(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
        photograph = to_uint8(image)
        return to_float(cv2.inpaint(photograph, hole.astype(np.uint8), config.opencv.radius, kind))

    return fill


def _patchmatch(config: Inpainting) -> Fill:
    patchmatch = _import("patchmatch", config)

    def fill(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
        # The library has one seed for all threads, hence one seed for all images.
        patchmatch.set_random_seed(config.seed)
        radius = config.patchmatch.radius  # which the library calls a size
        return to_float(patchmatch.inpaint(to_uint8(image), hole, patch_size=radius))

    return fill


METHODS: dict[str, Callable[[Inpainting], Fill]] = {
    "biharmonic": _biharmonic,
    "telea": _opencv,
    "navier-stokes": _opencv,
    "patchmatch": _patchmatch,
}


def _import(module: str, config: Inpainting) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f'method {config.method} needs pip install -e ".[classical]" in the clone ({error})'
        ) from error
