"""A latent search in which an image that has come to an end gives its slot to the next one.

There are always as many slots, so that nothing is compiled anew. What becomes of an image does not
depend on its slot, or on who is in the others: it counts its own steps.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh

from ce_jax import sharding
from ce_jax.completion import Found
from ce_jax.completion.latent import (
    Problem,
    Searching,
    advance,
    begin,
    choose,
    conclude,
    pose,
    under_way,
)
from ce_jax.completion.space import Networks, space_of
from ce_jax.config import ContextEncoder, Dcgan, LatentEncoder, LatentSearch, Vae

_STEPS_TOGETHER = 24
"""About so many, between two words with the host."""


class Occupied(NamedTuple):
    """The slots: what each searches for, and how far; keys as numbers, which may be read again."""

    problem: Problem
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
    space_in = partial(space_of, model, settings=settings, guide=guide)

    def begin_all(networks: Networks, images: Array, hole: Array, key: Array) -> Occupied:
        blank = jnp.where(hole, 0.0, images)  # whatever stood in the hole is gone from here on
        space = space_in(networks)
        problem = pose(space, blank, hole, key)
        searching = begin(space, problem, networks.pool)
        return Occupied(problem._replace(key=jax.random.key_data(key)), searching)

    def advance_all(networks: Networks, slots: Occupied) -> tuple[Occupied, Array]:
        space, problem = space_in(networks), _with_keys(slots.problem)
        count = min(settings.prior_every, settings.steps)
        go = partial(advance, space, problem, count=count)
        blocks = -(-min(_STEPS_TOGETHER, settings.steps) // count)
        searching, _ = jax.lax.scan(
            lambda searching, _: (go(searching)[0], None), slots.searching, length=blocks
        )
        return slots._replace(searching=searching), under_way(searching, settings)

    def conclude_all(networks: Networks, slots: Occupied) -> Found:
        problem = _with_keys(slots.problem)
        return conclude(space_in(networks), problem, slots.searching, None, keep=keep)

    def compiled(function: Callable, arguments: int) -> Callable:
        shardings = (whole, *[shared] * arguments)
        return partial(jax.jit(function, in_shardings=shardings, out_shardings=shared), networks)

    return Slots(
        compiled(begin_all, 3),
        compiled(advance_all, 1),
        jax.jit(_refill, in_shardings=(shared, shared, whole), out_shardings=shared),
        compiled(conclude_all, 1),
    )


def _with_keys(problem: Problem) -> Problem:
    return problem._replace(key=jax.random.wrap_key_data(problem.key))


def _refill(slots: Occupied, others: Occupied, place: Array) -> Occupied:
    moved = jax.tree.map(lambda array: array[jnp.maximum(place, 0)], others)
    return choose(place >= 0, moved, slots)
