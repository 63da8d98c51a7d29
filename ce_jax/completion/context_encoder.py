"""One forward pass: of the context encoder of Pathak et al. 2016, or the L2-GAN of Salem et al."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from jax import Array

from ce_jax.completion import Found, in_one_pass
from ce_jax.config import ContextEncoder, L2Gan
from ce_jax.models.context_encoder import paste_center
from ce_jax.state import Variables, apply
from ce_jax.systems import l2_gan
from ce_jax.systems.context_encoder import module_of, paint


def propose(
    model: ContextEncoder | L2Gan, variables: Variables, images: Array, hole: Array, key: Array
) -> Found:
    """What a trained network says; score 0 and 0 steps.

    images [b, s, s, 3], hole [b, s, s, 1]; the key [b] is not used.
    """
    return in_one_pass(predict(model, variables, images, hole))


def predict(
    model: ContextEncoder | L2Gan, variables: Variables, images: Array, hole: Array
) -> Array:
    """What a trained network says of whole images [b, s, s, 3]; NaN where it says nothing."""
    if isinstance(model, L2Gan):
        _, refined = l2_gan.fill(model, variables, l2_gan.paint(model, images, hole=hole))
        return _in_place(partial(l2_gan.paste, model), images, hole, refined)
    prediction = apply(
        module_of(model, size=images.shape[1]), variables, paint(model, images, hole)
    )
    if model.predicts == "center":
        return _in_place(paste_center, images, hole, prediction)
    return prediction


def _in_place(
    paste: Callable[[Array, Array], Array], images: Array, hole: Array, block: Array
) -> Array:
    """A predicted square as a proposal for the whole image.

    Beyond its square a network has no opinion: NaN in a hole, else what is known. Next to it, known
    pixels are as the square's own edge: were they as known, its seam would be among the gradients
    that Poisson's equation keeps, wherever the hole reaches that far.
    """
    continued = jnp.pad(block, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    return paste(jnp.where(hole, jnp.nan, paste(images, continued)), block)
