"""FID and KID are what their papers say."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
from scipy.linalg import sqrtm

from ce_jax.metrics import distributions


def features(count, width, seed):
    random = np.random.default_rng(seed)
    return random.normal(random.normal(size=width), 1, (count, width)) @ random.normal(
        size=(width, width)
    )


def test_fid_is_the_distance_of_two_normal_distributions():
    first, second = features(40, 6, 0), features(50, 6, 1)
    one, other = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    apart = ((first.mean(0) - second.mean(0)) ** 2).sum()
    slow = apart + np.trace(one + other - 2 * np.real(sqrtm(one @ other)))
    assert distributions.frechet_distance(first, second) == pytest.approx(slow, rel=1e-10)


def test_fid_of_fewer_images_than_features_is_that_of_what_they_span():
    """Five images in twenty dimensions, turned out of the five that they need."""
    first, second = features(5, 5, 0), features(5, 5, 1)
    turn = np.linalg.qr(features(20, 20, 2)).Q[:5]
    turned = distributions.frechet_distance(first @ turn, second @ turn)
    assert turned == pytest.approx(distributions.frechet_distance(first, second), rel=1e-10)
    assert distributions.frechet_distance(first, first) == pytest.approx(0, abs=1e-10)
    moved = distributions.frechet_distance(first, first + 3)
    assert moved == pytest.approx(5 * 3**2, rel=1e-10)


def test_fid_of_many_images_needs_no_room_for_all_of_them():
    many, few = (np.zeros((count, 64), np.float32) for count in (60_000, 500))
    many[:500] = few[:] = features(500, 64, 0)
    tracemalloc.start()
    distance = distributions.frechet_distance(many, many)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert distance == pytest.approx(0, abs=1e-6)
    assert most < many.nbytes
    both = np.concatenate([few, many])
    slow = np.cov(both.astype(float), rowvar=False)
    root = distributions._root_of_covariance(both, both.mean(axis=0, dtype=float))
    np.testing.assert_allclose(root.T @ root, slow, atol=1e-9)


def test_kid_is_the_mean_over_all_pairs():
    first, second = features(7, 3, 0), features(9, 3, 1)

    def kernel(x, y):
        return (x @ y / 3 + 1) ** 3

    def among(x):
        pairs = [(a, b) for a in range(len(x)) for b in range(len(x)) if a != b]
        return sum(kernel(x[a], x[b]) for a, b in pairs) / len(pairs)

    across = np.mean([kernel(a, b) for a in first for b in second])
    found, deviation = distributions.kernel_distance(first, second)
    assert found == pytest.approx(among(first) + among(second) - 2 * across, rel=1e-10)
    assert np.isnan(deviation)  # all images are one subset


def test_kid_of_subsets_varies_about_that_of_all_and_follows_its_seed():
    first, second = features(60, 3, 0), features(60, 3, 1)
    whole, _ = distributions.kernel_distance(first, second)
    draw = partial(distributions.kernel_distance, first, second, subsets=50, size=40)
    mean, deviation = draw()
    assert abs(mean - whole) < deviation
    assert draw() == (mean, deviation)
    assert draw(seed=1) != (mean, deviation)


def test_few_images_are_said_to_be_few(monkeypatch):
    found, remark = distributions.figures(np.zeros((1, 3)), np.zeros((1, 3)))
    assert all(np.isnan(one.mean) and one.n == 1 for one in found.values())
    assert remark == ("FID and KID need at least 2 completed images with a known truth; here are 1")
    found, remark = distributions.figures(features(9, 3, 0), features(9, 3, 1))
    assert [one.n for one in found.values()] == [9, 9]
    assert "FID of 9 images is biased" in remark
    monkeypatch.setattr(distributions, "kernel_distance", lambda *_: (0.5, 0.25))
    found, remark = distributions.figures(features(2048, 2, 0), features(2048, 2, 1))
    assert found["set/kid"] == (0.5, 0.25, 0.75, 2048)
    assert remark == ""
