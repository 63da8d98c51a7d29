"""One forward pass of the context encoder of Pathak et al. 2016."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ce_jax import systems
from ce_jax.config import ContextEncoder, Training
from ce_jax.models.context_encoder import paint, paste_center
from ce_jax.state import Variables, apply

Array = jax.Array


def method(run: Training) -> Callable[[Variables, Array, Array, Array], tuple[Array, Array, Array]]:
    """(variables, images, hole, key) -> (proposal, score, steps) for the network of a training run."""
    module = systems.context_encoder_module(run)
    assert isinstance(run.model, ContextEncoder)
    only_center = run.model.predicts == "center"

    def propose(variables: Variables, images: Array, hole: Array, key: Array):
        prediction = apply(module, variables["generator"], paint(images, hole))
        # Where the network has no opinion, the known pixels stand, and nothing (NaN) in a hole.
        beyond = jnp.where(hole, jnp.nan, images)
        proposal = paste_center(beyond, prediction) if only_center else prediction
        return proposal, jnp.zeros(len(images)), jnp.zeros(len(images), jnp.int32)

    return propose
