"""A latent search in which an image that has come to an end gives its slot to the next one.

There are always as many slots, so that nothing is compiled anew. What becomes of an image does not
depend on its slot, or on who is in the others: it counts its own steps.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from ce_jax import sharding
from ce_jax.completion.found import Found
from ce_jax.completion.latent import (
    Problem,
    Searching,
    advance,
    begin,
    conclude,
    pose,
    under_way,
)
from ce_jax.completion.space import Networks, space_of
from ce_jax.config import ContextEncoder, Dcgan, LatentEncoder, LatentSearch, Vae
from ce_jax.models.latent_encoder import Guess

Array = jax.Array

_STEPS_TOGETHER = 24
"""About so many, between two words with the host."""


class Occupied(NamedTuple):
    """The slots: what each searches for, and how far it has come; keys as numbers, to be moved."""

    images: Array
    hole: Array
    key: Array
    prediction: Array | None
    guess: Guess | None
    searching: Searching


class Slots(NamedTuple):
    """The four things that happen to slots, compiled.

    Attributes:
        begin: (images, hole, key), one for each slot -> slots that have taken no step.
        advance: slots -> slots some steps later, and which of them are still under way, bool [b].
        refill: (slots, others, place int32 [b]) -> the slots, with those of the others that stand
            at `place`; where it is negative nothing changes.
        conclude: slots -> what they have found by now.
    """

    begin: Callable[[Array, Array, Array], Occupied]
    advance: Callable[[Occupied], tuple[Occupied, Array]]
    refill: Callable[[Occupied, Occupied, Array], Occupied]
    conclude: Callable[[Occupied], Found]


def compile_slots(
    model: Dcgan | Vae | LatentEncoder,
    networks: Networks,
    settings: LatentSearch,
    mesh: Mesh,
    *,
    guide: ContextEncoder | None = None,
    keep: int = 1,
) -> Slots:
    """The slots of a search in a trained run; `keep` candidates of each image."""
    shared, whole = sharding.split(mesh), sharding.replicated(mesh)
    networks = jax.device_put(networks, whole)

    def problem_of(networks: Networks, slots: Occupied) -> Problem:
        key = jax.random.wrap_key_data(slots.key)
        space = space_of(model, networks, settings)
        return Problem(
            slots.images, slots.hole, key, space, settings, slots.prediction, slots.guess
        )

    def begin_all(networks: Networks, images: Array, hole: Array, key: Array) -> Occupied:
        blank = jnp.where(hole, 0.0, images)  # whatever stood in the hole is gone from here on
        problem = pose(blank, hole, key, space_of(model, networks, settings, guide=guide), settings)
        searching, numbers = begin(problem, networks.pool), jax.random.key_data(key)
        return Occupied(problem.images, hole, numbers, problem.prediction, problem.guess, searching)

    def advance_all(networks: Networks, slots: Occupied) -> tuple[Occupied, Array]:
        problem = problem_of(networks, slots)
        blocks = -(-min(_STEPS_TOGETHER, settings.steps) // settings.prior_every)
        searching, _ = jax.lax.scan(
            lambda searching, _: (advance(problem, searching)[0], None),
            slots.searching,
            length=blocks,
        )
        return slots._replace(searching=searching), under_way(searching, settings)

    def conclude_all(networks: Networks, slots: Occupied) -> Found:
        problem = problem_of(networks, slots)
        return conclude(problem, slots.searching, None, keep=keep)

    def compiled(function: Callable, arguments: int) -> Callable:
        shardings = (whole, *[shared] * arguments)
        return partial(jax.jit(function, in_shardings=shardings, out_shardings=shared), networks)

    return Slots(
        compiled(begin_all, 3),
        compiled(advance_all, 1),
        jax.jit(_refill, in_shardings=(shared, shared, whole), out_shardings=shared),
        compiled(conclude_all, 1),
    )


def _refill(slots: Occupied, others: Occupied, place: Array) -> Occupied:
    def one(old: Array, new: Array) -> Array:
        moved = new[jnp.maximum(place, 0)]
        return jnp.where((place >= 0).reshape(-1, *[1] * (old.ndim - 1)), moved, old)

    return jax.tree.map(one, slots, others)
