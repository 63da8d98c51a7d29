"""One proposal of two: what a context encoder predicts, and what a search beside it has found.

A network that is trained by squares says the mean of what is possible. It is right in what is
coarse, and blurs what is fine; a search in a generator draws detail, if often somebody else's.
"""

import jax.numpy as jnp
from jax import Array

_RADIUS = 4
"""Of the Gaussian that tells coarse from fine, in pixels: four standard deviations."""


def shared(found: Array, predicted: Array, *, detail: float) -> Array:
    """What is coarse of the prediction, and a share of what is fine: [b, s, s, 3] in [-1, 1].

    Args:
        found: by the search.
        predicted: by its guide.
        detail: the guide's share in what a Gaussian of sigma 1 pixel does not let through.
    """
    difference = predicted - found
    smooth = _blurred(_blurred(difference).swapaxes(1, 2)).swapaxes(1, 2)
    return jnp.clip(found + smooth + detail * (difference - smooth), -1, 1)


def _blurred(images: Array) -> Array:
    """Down the columns of images [b, s, s, c], mirrored at their edges."""
    kernel = jnp.exp(-0.5 * jnp.arange(-_RADIUS, _RADIUS + 1.0) ** 2)
    padded = jnp.pad(images, ((0, 0), (_RADIUS, _RADIUS), (0, 0), (0, 0)), mode="symmetric")
    rows = [padded[:, i : i + images.shape[1]] for i in range(2 * _RADIUS + 1)]
    return jnp.tensordot(kernel / jnp.sum(kernel), jnp.stack(rows), 1)
