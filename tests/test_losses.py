"""Losses are the formulas of the papers, evaluated in double precision and by plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from searching import restated_weight

from ce_jax import losses
from ce_jax.config import LatentSearch

LOGITS = np.array([-3.0, -0.5, 0.0, 1.5, 4.0])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def uniform(seed, *shape):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def some_holes(seed=0, count=3, size=9):
    return np.random.default_rng(seed).random((count, size, size, 1)) < 0.4


def test_critic_and_adversarial_losses_are_those_of_the_papers():
    real, fake = LOGITS, LOGITS[::-1].copy()
    both = -np.log(sigmoid(real)) - np.log(1 - sigmoid(fake))
    real, fake = jnp.asarray(real, jnp.float32), jnp.asarray(fake, jnp.float32)
    np.testing.assert_allclose(losses.critic_loss(real, fake), both, rtol=1e-5)
    np.testing.assert_allclose(losses.adversarial_loss(real), -np.log(sigmoid(LOGITS)), rtol=1e-5)
    np.testing.assert_allclose(losses.prior_loss(real), np.log(1 - sigmoid(LOGITS)), rtol=1e-5)


def test_an_undecided_critic_loses_log_two_twice():
    np.testing.assert_allclose(losses.critic_loss(jnp.zeros(1), jnp.zeros(1)), 2 * np.log(2))


@pytest.mark.parametrize("loss", [losses.adversarial_loss, losses.prior_loss])
def test_losses_and_their_gradients_stay_finite_for_a_certain_critic(loss):
    logits = jnp.array([-1e4, 1e4])
    values, gradients = loss(logits), jax.grad(lambda x: jnp.sum(loss(x)))(logits)
    assert jnp.isfinite(values).all()
    assert sorted(np.abs(gradients)) == [0, 1]


def test_the_psnr_of_a_hole_that_is_met_exactly_is_a_number():
    truth, hole = uniform(0, 3, 9, 9, 3), some_holes()
    nearly = truth + np.float32(0.01)
    expected = 10 * np.log10(4 / np.array([1e-6, 1e-4, 1e-6]))
    prediction = np.stack([truth[0], nearly[1], truth[2]])
    hole[2] = False
    np.testing.assert_allclose(losses.hole_psnr(prediction, truth, hole), expected, rtol=1e-4)


def test_the_reconstruction_is_a_mean_over_the_pixels_that_count():
    prediction, truth = uniform(0, 2, 4, 4, 3), uniform(1, 2, 4, 4, 3)
    weight = np.zeros((2, 4, 4, 1), np.float32)
    weight[0, 1, 2], weight[0, 3, 3] = 1, 10
    weight[1] = 2
    square = (prediction - truth).astype(np.float64) ** 2
    expected = [
        (square[0, 1, 2].sum() + 10 * square[0, 3, 3].sum()) / (2 * 3),
        2 * square[1].mean(),
    ]
    np.testing.assert_allclose(
        losses.reconstruction_loss(prediction, truth, weight), expected, rtol=1e-5
    )


def test_a_reconstruction_of_nothing_is_zero():
    images, nothing = jnp.ones((1, 4, 4, 3)), jnp.zeros((1, 4, 4, 1))
    assert losses.reconstruction_loss(images, -images, nothing) == 0


def test_the_overlap_band_lies_around_the_hole_and_ends_at_the_border():
    weight = np.array(
        [
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0, 5, 5, 5, 5, 0, 0, 0],
            [0, 5, 1, 1, 5, 0, 0, 0],
            [0, 5, 1, 1, 5, 0, 0, 0],
            [0, 5, 5, 5, 5, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 5, 5],
            [0, 0, 0, 0, 0, 0, 5, 1],
        ]
    )[None, ..., None]
    found = losses.overlap_weight(jnp.asarray(weight == 1), overlap=1, weight=5.0)
    np.testing.assert_array_equal(found, weight)


def test_without_overlap_only_the_hole_counts():
    hole = some_holes()
    found = losses.overlap_weight(jnp.asarray(hole), overlap=0, weight=10.0)
    np.testing.assert_array_equal(found, hole)


@pytest.mark.parametrize("window", [1, 3, 7])
def test_importance_is_the_missing_share_of_the_window_around_a_known_pixel(window):
    """Yeh et al. 2017, eq. 3, term by term: N(i) is what lies inside the image of the window."""
    holes = some_holes()
    expected = restated_weight(holes, LatentSearch(window=window))
    found = losses.importance_weight(jnp.asarray(holes), window=window)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (expected > 0).any() == (window > 1)


def test_the_context_loss_sums_weighted_differences_and_ignores_what_has_no_weight():
    generated, images = uniform(0, 2, 4, 4, 3), uniform(1, 2, 4, 4, 3)
    weight = np.abs(uniform(2, 2, 4, 4, 1))
    weight[:, :2] = 0
    expected = [
        np.sum(weight[i].astype(np.float64) * np.abs(generated[i] - images[i])) for i in (0, 1)
    ]
    np.testing.assert_allclose(losses.context_loss(generated, images, weight), expected, rtol=1e-5)
    squares = [np.sum(weight[i] * (generated[i] - images[i]).astype(float) ** 2) for i in (0, 1)]
    found = losses.context_loss(generated, images, weight, norm="l2")
    np.testing.assert_allclose(found, squares, rtol=1e-5)
    images[:, :2] = uniform(3, 2, 2, 4, 3)
    np.testing.assert_allclose(losses.context_loss(generated, images, weight), expected, rtol=1e-5)


def test_the_losses_of_a_vae_are_densities_of_the_normal_distribution():
    prediction, truth = uniform(0, 2, 4, 4, 3), uniform(1, 2, 4, 4, 3)
    scale = 0.3
    expected = -scipy.stats.norm.logpdf(truth, prediction, scale).sum(axis=(1, 2, 3))
    found = losses.gaussian_loss(prediction, truth, jnp.log(scale))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    z = 2 * uniform(2, 3, 5)
    expected = -scipy.stats.norm.logpdf(z).sum(axis=1) - 5 / 2 * np.log(2 * np.pi)
    np.testing.assert_allclose(losses.latent_loss(z), expected, rtol=1e-5)


def test_the_divergence_is_what_sampling_says_it_is():
    """E[log q(z) - log p(z)] over z drawn from q, within four standard errors; 0 for q = p."""
    mean, log_variance = 2 * uniform(0, 3, 4), uniform(1, 3, 4)
    q = scipy.stats.norm(mean, np.exp(log_variance / 2))
    drawn = q.rvs((50_000, 3, 4), random_state=np.random.default_rng(2))
    samples = np.sum(q.logpdf(drawn) - scipy.stats.norm.logpdf(drawn), axis=2)
    error = samples.std(axis=0) / len(samples) ** 0.5
    found = losses.divergence(mean, log_variance)
    assert np.all(np.abs(found - samples.mean(axis=0)) < 4 * error)
    assert np.all(error < 0.02 * found)
    np.testing.assert_array_equal(losses.divergence(jnp.zeros((2, 3)), jnp.zeros((2, 3))), 0)


def test_each_image_has_a_loss_of_its_own():
    a, b, hole = uniform(0, 3, 8, 8, 3), uniform(1, 3, 8, 8, 3), jnp.asarray(some_holes(size=8))
    weight = losses.overlap_weight(hole, overlap=2, weight=10.0)
    for loss in (losses.reconstruction_loss, losses.context_loss):
        together = loss(a, b, weight)
        assert together.shape == (3,)
        np.testing.assert_allclose(together[1:2], loss(a[1:2], b[1:2], weight[1:2]), rtol=1e-6)
