"""What a critic is shown instead of images, so that it cannot learn the photographs by heart.

Differentiable augmentation (Zhao et al. 2020): real and generated images are varied alike before
the critic sees them, and the generator learns through it. With few photographs, a critic soon knows
each of them; varied at random they last longer, and the generator is not pushed to imitate how.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

Kind = Literal["colour", "translation", "cutout"]


def augment(images: Array, key: Array, kinds: Sequence[Kind]) -> Array:
    """Images [b, s, s, 3] in [-1, 1], each varied in these ways, in this order; zeros come in.

    Args:
        images: as they would be shown.
        key: [b].
        kinds: `colour`: brightness up to a quarter of the range up or down, saturation from 0 to 2
            times, contrast from 0.5 to 1.5 times; `translation`: up to an eighth of the side in
            each direction; `cutout`: a square of half the side, its middle anywhere.
    """

    def varied(image: Array, key: Array) -> Array:
        for kind, own in zip(kinds, jax.random.split(key, len(kinds)), strict=True):
            image = _VARIATIONS[kind](image, own)
        return image

    return jax.vmap(varied)(images, key) if kinds else images


def _colour(image: Array, key: Array) -> Array:
    brightness, saturation, contrast = jax.random.uniform(key, (3,))
    image = image + (brightness - 0.5)
    grey = jnp.mean(image, axis=-1, keepdims=True)
    image = grey + 2 * saturation * (image - grey)
    middle = jnp.mean(image)
    return middle + (contrast + 0.5) * (image - middle)


def _translation(image: Array, key: Array) -> Array:
    size = len(image)
    down, right = jax.random.randint(key, (2,), -(size // 8), size // 8 + 1)
    place = jnp.arange(size)
    here = place[:, None]
    # As products with shifted unit matrices, which every device is fast at in both directions.
    rows, columns = ((here == (place + by)[None]) * 1.0 for by in (down, right))
    return jnp.einsum("ij,jkc,lk->ilc", rows, image, columns)


def _cutout(image: Array, key: Array) -> Array:
    size = len(image)
    middle = jax.random.randint(key, (2,), 0, size + 1)
    rows, columns = (jnp.abs(2 * jnp.arange(size) + 1 - 2 * at) < size // 2 for at in middle)
    return jnp.where(rows[:, None, None] & columns[None, :, None], 0.0, image)


_VARIATIONS: dict[str, Callable[[Array, Array], Array]] = {
    "colour": _colour,
    "translation": _translation,
    "cutout": _cutout,
}
