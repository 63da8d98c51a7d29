"""Low rank is what its papers say, and says what it cannot fill."""

import numpy as np
import pytest
from patterns import BATCH, SIZE, dots, run, smooth, square

from ce_jax.completion import low_rank
from ce_jax.config import LowRank

TNNR = LowRank(algorithm="tnnr", steps=300)
IRNN = LowRank(algorithm="irnn", steps=300)


def of_rank_two(seed):
    left, right = np.random.default_rng(seed).uniform(-1, 1, (2, 3, SIZE, 2))
    matrices = left @ right.swapaxes(1, 2)
    return np.moveaxis(matrices / np.abs(matrices).max(), 0, -1)


@pytest.mark.parametrize("settings", [TNNR, IRNN], ids=lambda settings: settings.algorithm)
def test_an_image_of_rank_two_is_recovered_from_half_of_its_pixels(settings):
    pictures, holes = zip(*((of_rank_two(seed), dots(seed)) for seed in range(BATCH)), strict=True)
    filled, _, steps = run(low_rank.propose, settings, pictures, holes)
    error = np.abs(filled - pictures)
    assert np.median(error) < 2e-3
    assert error.mean() < 1e-2 * np.mean(np.abs(pictures))
    assert np.all(steps <= 300)


def bytes_of(picture):
    """One matrix a channel, as float64 in 0..255."""
    return np.moveaxis(127.5 * (np.float32(picture).astype(float) + 1), -1, 0)


def shrunk(matrix, by):
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return (left * np.maximum(values - by(values), 0)) @ right


def tail(matrix, rank):
    return np.linalg.svd(matrix, compute_uv=False)[rank:].sum()


def truncated(matrix, known, rank, rho=0.02):
    """Hu et al. 2013, algorithms 1 and 2: the leading vectors are kept until ADMM has converged."""
    filled = np.where(known, matrix, matrix[known].mean())
    for _ in range(12):
        left, _, right = np.linalg.svd(filled)
        leading = left[:, :rank] @ right[:rank]
        copy, dual = filled, np.zeros_like(filled)
        for _ in range(60):
            filled = shrunk(copy - dual / rho, by=lambda _: 1 / rho)
            copy = np.where(known, matrix, filled + (leading + dual) / rho)
            dual = dual + rho * (filled - copy)
    return np.where(known, matrix, filled)


def test_the_truncated_nuclear_norm_is_that_of_the_two_nested_loops_of_the_paper():
    pictures, holes = [smooth(seed) for seed in range(BATCH)], [dots(seed) for seed in range(BATCH)]
    filled, score, _ = run(low_rank.propose, TNNR, pictures, holes)
    matrices, known = bytes_of(pictures[0]), ~holes[0][..., 0]
    expected = sum(tail(truncated(matrix, known, 2), 2) for matrix in matrices)
    assert score[0] == pytest.approx(expected, rel=0.01)
    within = zip(matrices, bytes_of(filled[0]), strict=True)  # 0..255, and the score is not
    assert sum(tail(np.where(known, *both), 2) for both in within) < 1.02 * expected
    assert sum(tail(np.where(known, m, m[known].mean()), 2) for m in matrices) > 1.5 * expected


def reweighted(matrix, known, p, steps):
    """Lu et al. 2014, algorithm 1, with lambda going down geometrically."""
    filled, first = np.zeros_like(matrix), 1000 * matrix[known].max()
    for step in range(steps):
        slope = first * 10 ** (-5 * step / steps) * p
        down = filled + np.where(known, matrix - filled, 0) / 1.1
        filled = shrunk(
            down, by=lambda s, slope=slope: slope * np.maximum(s, 1e-6) ** (p - 1) / 1.1
        )
    return np.where(known, matrix, filled)


def test_reweighting_takes_the_steps_of_the_paper():
    pictures, holes = [smooth(seed) for seed in range(BATCH)], [dots(1), dots(2), dots(3)]
    filled, score, _ = run(low_rank.propose, IRNN, pictures, holes)
    for image, hole, proposal, told in zip(pictures, holes, filled, score, strict=True):
        expected = [reweighted(m, ~hole[..., 0], 0.35, 300) for m in bytes_of(image)]
        np.testing.assert_allclose(bytes_of(proposal), np.clip(expected, 0, 255), atol=0.5)
        values = np.linalg.svd(np.stack(expected), compute_uv=False)
        assert told == pytest.approx((values**0.35).sum(), rel=1e-2)


def test_a_row_or_column_that_is_missing_whole_is_left_open_for_that_image_alone():
    pictures = [smooth(seed) for seed in range(BATCH)]
    holes = [dots(1), dots(2) | square(5, 6, 0, SIZE), dots(3) | square(0, SIZE, 7, 9)]
    filled, _, _ = run(low_rank.propose, TNNR, pictures, holes)
    expected = np.zeros(filled.shape, bool)
    expected[1, 5], expected[2, :, 7:9] = True, True
    assert np.array_equal(np.isnan(filled), expected)
