"""What a method may tell beside its completion: the ones it did not take, and how it found them.

Both stand in the order of their scores, the best first; the first is the completion itself.
"""

from typing import NamedTuple

import jax

Array = jax.Array


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
