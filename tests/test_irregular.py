"""Smooth regions are what the paper enlarges; strokes are strokes, over the promised share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy import ndimage
from scipy.interpolate import CubicHermiteSpline

from ce_jax.holes import irregular

BINS = ((0, 10), (1, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 60), (20, 21))


@functools.cache
def strokes(size, bins, each, jit=jax.jit):
    """Holes bool [bins, each, size, size], of the same keys for every bin and size."""
    paint = jax.vmap(lambda key, first, last: irregular.free_form(key, first, last, size=size))
    keys = jax.vmap(jax.random.key)(jnp.tile(jnp.arange(each), len(bins)))
    first, last = jnp.repeat(jnp.array(bins), each, axis=0).T
    holes = jit(paint)(keys, first, last)
    return np.asarray(holes).reshape(len(bins), each, size, size)


def border(hole):
    """How many pairs of neighbours differ."""
    return sum(np.diff(hole, axis=axis).sum((-2, -1)) for axis in (-2, -1))


def test_noise_is_enlarged_bicubically():
    cells, at = np.random.default_rng(0).random(8), np.arange(16, 96)
    weights = np.asarray(irregular._bicubic_weights(jnp.asarray(at), 8)) / (2 * 16**3)
    catmull_rom = CubicHermiteSpline(np.arange(8), cells, np.gradient(cells))
    np.testing.assert_allclose(weights @ cells, catmull_rom(at / 16), atol=1e-12)


def test_of_equal_values_the_first_are_the_lowest():
    values = jnp.array([[3, 1], [1, 1]])
    for count, expected in ((0, []), (2, [1, 2]), (4, [0, 1, 2, 3])):
        found = np.flatnonzero(irregular.lowest(values, jnp.array(count)))
        assert found.tolist() == expected


@pytest.mark.parametrize(
    ("size", "each", "jit"),
    [
        (32, 400, jax.jit),
        (37, 2, tiny.jit),
        pytest.param(64, 24, jax.jit, marks=pytest.mark.slow),
    ],
)
def test_every_share_of_strokes_lies_in_its_bin(size, each, jit):
    per_cent = 100 * strokes(size, BINS, each, jit).mean((2, 3))
    first, last = np.array(BINS)[..., np.newaxis].swapaxes(0, 1)
    assert np.all((first < per_cent) & (per_cent <= last))


def test_the_shares_of_a_bin_are_spread_over_it():
    share = strokes(32, BINS, 400)[BINS.index((20, 30))].mean((1, 2))
    assert np.all(np.histogram(share, bins=5, range=(0.2, 0.3))[0] > 50)  # of 400


def test_little_may_be_left():
    assert np.all(strokes(32, ((98, 99),), 2, tiny.jit).mean((2, 3)) > 0.98)


def test_strokes_are_neither_noise_nor_blots():
    holes = strokes(64, BINS, 24)[1:7]
    share = holes.mean((2, 3))
    noise = 2 * share * (1 - share) * 2 * 64 * 63
    square = 4 * 64 * np.sqrt(share)
    assert np.all(border(holes) < 0.4 * noise)
    assert np.all(border(holes).mean(1) > 1.3 * square.mean(1))
    widest = [[ndimage.distance_transform_edt(hole).max() for hole in some] for some in holes]
    assert np.mean(widest[:3]) < 6  # half of the thickest brush is 4.5 pixels wide


def test_a_hole_consists_of_few_strokes_without_a_gap():
    corners = np.ones((3, 3))
    holes = strokes(64, BINS, 24)[1:7]
    parts = [[ndimage.label(hole, corners)[1] for hole in some] for some in holes]
    assert np.max(parts[0]) <= 4
    assert np.max(parts) <= 8


def test_a_larger_share_continues_the_strokes_of_a_smaller_one():
    holes = strokes(64, BINS, 24)[3:7]
    assert not np.any(holes[:-1] & ~holes[1:])


def test_a_key_paints_the_same_picture_at_every_size():
    small, large = strokes(32, BINS, 400)[1:7, :24], strokes(64, BINS, 24)[1:7]
    enlarged = small.repeat(2, axis=2).repeat(2, axis=3)
    differing = (enlarged != large).mean((2, 3))
    assert np.all(differing < 0.5 * border(large) / 64**2 + 0.02)


def test_strokes_reach_corners_and_borders_nearly_as_often_as_the_middle():
    share = strokes(32, BINS, 400)[BINS.index((20, 30))].mean(0)
    corners = share[[0, 0, -1, -1], [0, -1, 0, -1]].mean()
    borders = share[[0, -1]].mean()
    assert corners > 0.55 * share.mean()
    assert borders > 0.8 * share.mean()
    assert share[12:20, 12:20].mean() < 1.2 * share.mean()
