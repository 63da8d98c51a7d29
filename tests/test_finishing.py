"""What is measured of a completed batch, and beside what."""

import time

import numpy as np
import pytest

from ce_jax.completion import Found
from ce_jax.config import Inpainting
from ce_jax.inpainting.finishing import Batch, finish
from ce_jax.inpainting.pairing import Picture


def relaxed(photograph, hole):
    """The Laplace fill, uint8: each missing pixel is the mean of the four beside it."""
    filled = np.where(hole, 0.0, photograph)
    for _ in range(500):
        beside = [np.roll(filled, shift, axis) for axis in (0, 1) for shift in (-1, 1)]
        filled = np.where(hole, np.mean(beside, axis=0), filled)
    return np.rint(filled)


def test_beside_a_method_stand_the_figures_of_the_laplace_fill_of_the_same_hole():
    truth = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    hole = np.zeros((2, 16, 16, 1), bool)
    hole[0, 5:11, 4:12] = hole[1, 2:4, 2:9] = True
    photographs = np.where(hole, 255 - truth, truth)
    proposal = np.where(hole, truth / 127.5 - 1, 9)
    pictures = [Picture(str(i), photographs[i], None, truth[i], {}) for i in range(2)]
    batch = Batch(pictures, hole, Found(proposal, np.zeros(2), np.zeros(2)), time.monotonic())
    config = Inpainting(method="tv", blend="overlay")
    for i, finished in enumerate(finish(batch, config, (), None)):
        figures = finished.record["figures"]
        assert figures.keys() == {"tv", "laplace"}
        error = np.abs(relaxed(photographs[i], hole[i]) - truth[i]) / 255
        inside = np.broadcast_to(hole[i], error.shape)
        of_fill = figures["laplace"]
        assert of_fill["hole/l1"] == pytest.approx(error[inside].mean(), abs=1e-4)
        assert of_fill["hole/l2"] == pytest.approx((error[inside] ** 2).mean(), abs=1e-4)
        assert of_fill["image/l1"] == pytest.approx(error.mean(), abs=1e-4)
        assert figures["tv"]["hole/l1"] == 0
