"""One forward pass of the context encoder of Pathak et al. 2016."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ce_jax.config import ContextEncoder
from ce_jax.models.context_encoder import paste_center
from ce_jax.state import Variables, apply
from ce_jax.systems.context_encoder import module_of, paint

Array = jax.Array
Networks = tuple[Variables, Variables | None]


def method(
    model: ContextEncoder, size: int
) -> Callable[[Networks, Array, Array, Array], tuple[Array, Array, Array]]:
    """(networks, images, hole, key) -> (proposal, score, steps) for a trained context encoder."""
    module = module_of(model, size=size)

    def propose(networks: Networks, images: Array, hole: Array, key: Array):
        proposal = apply(module, networks[0], paint(model, images, hole))
        if model.predicts == "center":
            # Beyond the centre the network has no opinion: NaN in a hole, else what is known.
            proposal = paste_center(jnp.where(hole, jnp.nan, images), proposal)
        return proposal, jnp.zeros(len(images)), jnp.zeros(len(images), jnp.int32)

    return propose
