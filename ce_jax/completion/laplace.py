"""Laplace fill: the smoothest continuation of the known pixels, the floor for every network."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from ce_jax import blending
from ce_jax.completion import Found, in_one_pass


def propose(variables: None, images: Array, hole: Array, key: Array) -> Found:
    """The harmonic extension of the known pixels (on the host, exact), score 0 and 0 steps.

    images [b, h, w, c], hole [b, h, w, 1]; the key [b] is not used.
    """
    filled = blending.harmonic(np.asarray(images), np.asarray(hole))
    return in_one_pass(jnp.asarray(filled))
