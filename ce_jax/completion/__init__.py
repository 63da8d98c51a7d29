"""Every way to fill a hole, behind one signature.

    complete(images, hole, key) -> Completion

`images` float32 [b, s, s, 3] in [-1, 1]; `hole` bool [b, s, s, 1]; `key` one typed random key for
each image [b]. What stands in the hole of `images` is never read, and a completion depends on its
own image, hole and key alone: not on its batch-mates, their order, or the number of devices.

Candidates and trails stand in the order of their scores, the best first, which is the proposal.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array


class Candidates(NamedTuple):
    """Several proposals for each image.

    Attributes:
        proposal: [b, k, s, s, 3].
        score: [b, k], what they were ranked by, lower is better.
        start: [b, k] int32, the number of the start that each came from.
    """

    proposal: Array
    score: Array
    start: Array


class Trails(NamedTuple):
    """How every start of a search went, at n milestones out of t steps (`trails.milestones`).

    Attributes:
        z: [b, k, t + 1, d], all of its steps from the start to the end.
        proposal: [b, k, n, s, s, 3], at the milestones.
        context: [b, k, n], the context loss there.
        prior: [b, k, n], the weighted prior loss there; the objective is the sum of both.
    """

    z: Array
    proposal: Array
    context: Array
    prior: Array


class Found(NamedTuple):
    """What a method finds for b images.

    Attributes:
        proposal: [b, s, s, 3], the whole image as the method sees it, before compositing.
        score: [b], the method's own measure of its proposal, lower is better; 0 without one.
        steps: [b] int32, optimisation steps spent.
        candidates: the best of several proposals, where more than one is to be kept.
        trails: how the search went, where that is wanted.
    """

    proposal: Array
    score: Array
    steps: Array
    candidates: Candidates | None = None
    trails: Trails | None = None


Propose = Callable[[Any, Array, Array, Array], Found]
"""(variables, images, hole, key) -> what is found; the variables are those of its networks."""


class Completion(NamedTuple):
    """What a method returns: images, and what was found for them: a `Found`.

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


def in_one_pass(proposal: Array) -> Found:
    """What a method finds that takes no steps and has no measure of its proposal [b, s, s, 3]."""
    count = proposal.shape[:1]  # which an exported program need not know
    return Found(proposal, jnp.zeros(count), jnp.zeros(count, jnp.int32))
