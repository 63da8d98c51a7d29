"""`bundled:NAME`: real images that come with scikit-image and scikit-learn."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ce_jax import images
from ce_jax.sources.source import Files, Opened, SourceError, Stack, missing, nearest_of, numbers

# The natural photographs inside the wheels, in the fixed order in which the source gives them.
# Of the stereo pair (motorcycle) one: two views of one scene would straddle any split.
_PHOTOGRAPHS = {
    "astronaut": "skimage/data/astronaut.png",
    "brick": "skimage/data/brick.png",
    "camera": "skimage/data/camera.png",
    "chelsea": "skimage/data/chelsea.png",
    "china": "sklearn/datasets/images/china.jpg",
    "clock": "skimage/data/clock_motion.png",
    "coffee": "skimage/data/coffee.png",
    "coins": "skimage/data/coins.png",
    "flower": "sklearn/datasets/images/flower.jpg",
    "grass": "skimage/data/grass.png",
    "gravel": "skimage/data/gravel.png",
    "hubble": "skimage/data/hubble_deep_field.jpg",
    "moon": "skimage/data/moon.png",
    "motorcycle": "skimage/data/motorcycle_left.png",
    "rocket": "skimage/data/rocket.jpg",
}

_TILE = 128


def open_bundled(location: str, spec: str) -> Opened:
    """Digits, photographs, or the square tiles of the photographs.

    Raises:
        SourceError: nothing is called so, or what it comes with is not installed.
    """
    if location == "digits":
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise missing(spec, "scikit-learn", extra="bundled") from error
        digits: Any = load_digits()
        stack = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        return numbers(len(stack)), Stack(stack)
    if location == "photographs":
        paths = [_inside_wheel(file, spec) for file in _PHOTOGRAPHS.values()]
        return list(_PHOTOGRAPHS), Files(paths)
    if location == "tiles":
        return _tiles({name: _inside_wheel(file, spec) for name, file in _PHOTOGRAPHS.items()})
    kinds = ("digits", "photographs", "tiles")
    raise SourceError(
        f"{spec!r}: nothing bundled is called {location!r}{nearest_of(location, kinds)}; "
        f"there are {', '.join(kinds)}"
    )


def _tiles(photographs: Mapping[str, Path]) -> Opened:
    """Every whole square tile of every photograph, row by row, photograph by photograph."""
    names, tiles = [], []
    for name, path in photographs.items():
        image = images.read(path)
        rows, columns = (side // _TILE for side in image.shape[:2])
        for row, column in np.ndindex(rows, columns):
            top, left = row * _TILE, column * _TILE
            names.append(f"{name}/{row}-{column}")
            tiles.append(image[top : top + _TILE, left : left + _TILE])
    return names, Stack(np.stack(tiles))


def _inside_wheel(file: str, spec: str) -> Path:
    """Path of a data file of a package, which is not imported: skimage.data could download."""
    package, _, inside = file.partition("/")
    distribution = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[package]
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise missing(spec, distribution, extra="bundled")
    path = Path(found.origin).parent / inside
    if not path.is_file():
        raise SourceError(f"{spec!r}: the installed {distribution} does not contain {inside}")
    return path
