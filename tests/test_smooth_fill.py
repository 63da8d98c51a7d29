"""The smooth fill that a residual network begins with, beside the exact membrane."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import QUICKLY

from ce_jax import blending, holes
from ce_jax.models import smooth_fill as module

SIZE = 32
smooth_fill = jax.jit(module.smooth_fill, compiler_options=QUICKLY)


@pytest.mark.parametrize("kind", ["center", "random:0.8", "half", "pattern", "blocks:0.25"])
def test_a_smooth_fill_is_near_the_membrane_and_reads_nothing_of_the_hole(kind):
    """The membrane is Laplace's equation solved exactly, on the host."""
    keys = jax.random.split(jax.random.key(0), 4)
    y, x, colour = np.mgrid[:SIZE, :SIZE, 1:4]
    images = jnp.asarray(np.stack([np.sin((y + x * colour) / 16).astype(np.float32)] * 4))
    hole = holes.draw(holes.parse(kind), keys, size=SIZE)
    filled = smooth_fill(jnp.where(hole, jnp.nan, images), hole)
    np.testing.assert_array_equal(jnp.where(hole, 0, filled), jnp.where(hole, 0, images))
    exact = blending.harmonic(np.asarray(jnp.where(hole, 0, images)), np.asarray(hole))
    assert jnp.sqrt(jnp.mean((filled - exact) ** 2, where=hole)) < 0.2
    assert filled.min() >= jnp.min(images) and filled.max() <= jnp.max(images)


def test_a_smooth_fill_of_nothing_known_is_grey():
    everywhere = jnp.ones((4, SIZE, SIZE, 1), bool)
    assert not smooth_fill(jnp.full((4, SIZE, SIZE, 3), jnp.nan), everywhere).any()
