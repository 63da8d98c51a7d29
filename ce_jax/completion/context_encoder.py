"""One forward pass: of the context encoder of Pathak et al. 2016, or the L2-GAN of Salem et al."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ce_jax.config import ContextEncoder, L2Gan
from ce_jax.models.context_encoder import paste_center
from ce_jax.state import Variables, apply
from ce_jax.systems import l2_gan
from ce_jax.systems.context_encoder import module_of, paint

Array = jax.Array
Networks = tuple[Variables, Variables | None]


def method(
    model: ContextEncoder | L2Gan, size: int
) -> Callable[[Networks, Array, Array, Array], tuple[Array, Array, Array]]:
    """(networks, images, hole, key) -> (proposal, score, steps) for a trained network."""

    def propose(networks: Networks, images: Array, hole: Array, key: Array):
        proposal = _predict(model, size, networks[0], images, hole)
        return proposal, jnp.zeros(len(images)), jnp.zeros(len(images), jnp.int32)

    return propose


def _predict(
    model: ContextEncoder | L2Gan, size: int, variables: Variables, images: Array, hole: Array
) -> Array:
    # Beyond its square a network has no opinion: NaN in a hole, else what is known.
    beyond = jnp.where(hole, jnp.nan, images)
    if isinstance(model, L2Gan):
        _, refined = l2_gan.fill(model, variables, l2_gan.paint(model, images, hole=hole))
        return l2_gan.paste(model, beyond, refined)
    prediction = apply(module_of(model, size=size), variables, paint(model, images, hole))
    return paste_center(beyond, prediction) if model.predicts == "center" else prediction
