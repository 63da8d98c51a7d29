"""Every way to fill a hole, behind one signature.

    complete(images, hole, key) -> Completion

`images` float32 [b, s, s, 3] in [-1, 1]; `hole` bool [b, s, s, 1]; `key` one typed random key for
each image [b]. What stands in the hole of `images` is never read, and a completion depends on its
own image, hole and key alone: not on its batch-mates, their order, or the number of devices.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

from ce_jax.completion import library
from ce_jax.completion.found import Candidates, Trails
from ce_jax.config import Inpainting

Array = jax.Array


class Completion(NamedTuple):
    """What a method returns: images, and what it `found.Found` for them.

    Attributes:
        images: [b, s, s, 3], the known pixels of the input and the proposal in the hole.
    """

    images: Array
    proposal: Array
    score: Array
    steps: Array
    candidates: Candidates | None = None
    trails: Trails | None = None


Complete = Callable[[Array, Array, Array], Completion]


def draws_its_start(config: Inpainting) -> bool:
    """Whether another key may find what one has not; other methods only repeat themselves."""
    return config.method == "latent" and config.latent.start in ("prior", "normal")


def why_not(method: str) -> str:
    """Why a method proposes nothing, or no number, for a part of a hole: the manifest says it."""
    if method == "low-rank":
        return "low-rank cannot fill a row or a column that is missing whole"
    if method in library.METHODS:
        return f"{method} cannot fill an image of which nothing is known"
    return f"{method} proposes nothing for a part of this hole"
