"""The smooth fill that a residual network begins with, beside the exact membrane."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from ce_jax import blending, holes
from ce_jax.models import smooth_fill as module

SIZE = 32
smooth_fill = tiny.jit(module.smooth_fill)


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


def test_small_pixels_are_means():
    pictures = np.random.default_rng(0).uniform(-1, 1, (3, SIZE, SIZE, 3)).astype(np.float32)
    small = module.shrink(jnp.asarray(pictures), 4)
    assert small.shape == (3, 8, 8, 3)
    np.testing.assert_allclose(small[2, 3, 5], pictures[2, 12:16, 20:24].mean((0, 1)), atol=1e-6)


def test_a_smooth_fill_of_nothing_known_is_grey():
    everywhere = jnp.ones((4, SIZE, SIZE, 1), bool)
    assert not smooth_fill(jnp.full((4, SIZE, SIZE, 3), jnp.nan), everywhere).any()


def test_a_smooth_fill_does_not_depend_on_the_place_in_the_batch():
    """To the last bit, as compilers optimise it, who treat the last images of a batch otherwise."""
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (3, SIZE, SIZE, 3)).astype(np.float32)
    hole = random.random((3, SIZE, SIZE, 1)) < 0.7
    fill = jax.jit(module.smooth_fill)
    for count in (2, 3):
        forth, back = (
            fill(images[:count], hole[:count]),
            fill(images[:count][::-1], hole[:count][::-1]),
        )
        np.testing.assert_array_equal(forth, back[::-1])


@pytest.mark.parametrize("side", [1, 2, 8])
def test_small_images_are_enlarged_linearly(side):
    images = jnp.asarray(np.random.default_rng(1).normal(size=(2, side, side, 3)), jnp.float32)
    enlarged = module._enlarged(module._enlarged(images, axis=1), axis=2)
    expected = jax.image.resize(images, (2, 2 * side, 2 * side, 3), "linear")
    np.testing.assert_allclose(enlarged, expected, atol=1e-6)
