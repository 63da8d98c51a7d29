"""The figures are held against scikit-image and against closed forms."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ce_jax.metrics import figures, summary

FIGURES = ("psnr", "ssim", "l1", "l2")
KEYS = [f"{region}/{figure}" for region in ("hole", "image") for figure in FIGURES]


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def truth(random):
    """Five textured images: a ramp with noise upon it, so that SSIM is neither 0 nor 1."""
    ramp = np.linspace(40, 200, 30)[:, None, None] + np.linspace(0, 50, 23)[:, None]
    return np.clip(ramp + random.normal(0, 15, (5, 30, 23, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def hole(random):
    return random.random((5, 30, 23, 1)) < 0.4


@pytest.fixture
def completion(truth, hole, random):
    changed = np.clip(truth + random.normal(0, 25, truth.shape), 0, 255).astype(np.uint8)
    return np.where(hole, changed, truth)


def similarity(completion, truth):
    """Return scikit-image's mean and map in the setting of Wang et al. 2004."""
    return structural_similarity(
        completion / 255,
        truth / 255,
        data_range=1,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )


def test_image_figures_equal_scikit_image(completion, truth, hole):
    measured = figures(completion, truth, hole)
    for i, (a, b) in enumerate(zip(completion, truth, strict=True)):
        psnr = peak_signal_noise_ratio(b / 255, a / 255, data_range=1)
        assert measured["image/psnr"][i] == pytest.approx(psnr, abs=1e-6)
        assert measured["image/ssim"][i] == pytest.approx(similarity(a, b)[0], abs=1e-6)


def test_hole_figures_equal_scikit_image_on_the_pixels_of_the_hole(completion, truth, hole):
    measured = figures(completion, truth, hole)
    for i, (a, b, missing) in enumerate(zip(completion, truth, hole[..., 0], strict=True)):
        psnr = peak_signal_noise_ratio(b[missing] / 255, a[missing] / 255, data_range=1)
        assert measured["hole/psnr"][i] == pytest.approx(psnr, abs=1e-6)
        ssim = similarity(a, b)[1][missing].mean()
        assert measured["hole/ssim"][i] == pytest.approx(ssim, abs=1e-6)


def test_every_figure_is_float64_of_one_value_an_image(completion, truth, hole):
    measured = figures(completion, truth, hole)
    assert list(measured) == KEYS
    assert all(values.shape == (5,) and values.dtype == np.float64 for values in measured.values())


def test_a_constant_offset_has_closed_forms(hole):
    truth = np.full((5, 30, 23, 3), 100, np.uint8)
    measured = figures(np.where(hole, np.uint8(151), truth), truth, hole)  # 51 / 255 = 0.2
    share = hole.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(measured["hole/l1"], 0.2)
    np.testing.assert_allclose(measured["hole/l2"], 0.04)
    np.testing.assert_allclose(measured["hole/psnr"], -20 * np.log10(0.2))
    np.testing.assert_allclose(measured["image/l1"], 0.2 * share)
    np.testing.assert_allclose(measured["image/l2"], 0.04 * share)
    np.testing.assert_allclose(measured["image/psnr"], -10 * np.log10(0.04 * share))


def test_similarity_of_flat_images_is_the_luminance_term_alone():
    black, white = np.zeros((1, 16, 16, 3), np.uint8), np.full((1, 16, 16, 3), 255, np.uint8)
    measured = figures(white, black, np.ones((1, 16, 16, 1), bool))
    for key in ("hole/ssim", "image/ssim"):
        np.testing.assert_allclose(measured[key], 1e-4 / (1 + 1e-4))


def test_the_sign_of_the_error_does_not_matter_even_where_uint8_would_wrap(hole):
    dark, light = np.full((5, 30, 23, 3), 3, np.uint8), np.full((5, 30, 23, 3), 250, np.uint8)
    one_way, other_way = figures(dark, light, hole), figures(light, dark, hole)
    for key in KEYS:
        np.testing.assert_allclose(one_way[key], other_way[key])


def test_figures_of_the_hole_do_not_read_known_pixels(completion, truth, hole, random):
    noise = random.integers(0, 256, truth.shape, dtype=np.uint8)
    before = figures(completion, truth, hole)
    after = figures(np.where(hole, completion, noise), truth, hole)
    for key in ("hole/psnr", "hole/l1", "hole/l2"):
        np.testing.assert_array_equal(after[key], before[key])
    assert (after["image/l1"] > before["image/l1"]).all()


def test_similarity_in_the_hole_reads_known_pixels_no_farther_than_the_window(truth):
    hole = np.zeros((5, 30, 23, 1), bool)
    hole[:, 12:15, 11:13] = True
    completion = np.where(hole, 255 - truth, truth)
    far = completion.copy()
    far[:, :7] = far[:, 20:] = far[:, :, :6] = far[:, :, 18:] = 0
    np.testing.assert_allclose(
        figures(far, truth, hole)["hole/ssim"], figures(completion, truth, hole)["hole/ssim"]
    )


def test_equal_images_score_infinitely_many_decibels(truth, hole):
    measured = figures(truth, truth, hole)
    for region in ("hole", "image"):
        assert (measured[f"{region}/psnr"] == np.inf).all()
        assert (measured[f"{region}/l1"] == 0).all() and (measured[f"{region}/l2"] == 0).all()
        np.testing.assert_allclose(measured[f"{region}/ssim"], 1)


def test_an_empty_hole_has_no_figures_but_its_image_has(completion, truth, hole):
    full = figures(completion, truth, hole)
    hole[2] = False
    measured = figures(completion, truth, hole)
    for key in KEYS:
        assert np.isnan(measured[key][2]) == key.startswith("hole/")
    np.testing.assert_array_equal(measured["image/l2"], full["image/l2"])


def test_a_full_hole_is_the_image(completion, truth, hole):
    measured = figures(completion, truth, np.ones_like(hole))
    for figure in ("psnr", "l1", "l2"):
        np.testing.assert_array_equal(measured[f"hole/{figure}"], measured[f"image/{figure}"])


def test_images_smaller_than_the_window_have_every_figure_but_similarity(completion, truth, hole):
    measured = figures(completion[:, :10], truth[:, :10], hole[:, :10])
    undefined = {key for key in KEYS if np.isnan(measured[key]).any()}
    assert undefined == {"image/ssim"}


def test_an_image_is_measured_alike_alone_and_in_a_batch(completion, truth, hole):
    together = figures(completion, truth, hole)
    for i in range(5):
        alone = figures(completion[i : i + 1], truth[i : i + 1], hole[i : i + 1])
        for key in KEYS:
            np.testing.assert_array_equal(alone[key][0], together[key][i])


def test_images_that_cannot_be_compared_are_refused(completion, truth, hole):
    with pytest.raises(ValueError, match=r"\(4, 30, 23, 3\).*\(5, 30, 23, 3\)"):
        figures(completion[:4], truth, hole)
    with pytest.raises(ValueError, match=r"hole bool \[b, h, w, 1\]; .*bool \(30, 23, 1\)"):
        figures(completion, truth, hole[0])
    with pytest.raises(ValueError, match=r"hole bool.*, uint8 \(5, 30, 23, 1\)"):
        figures(completion, truth, hole.astype(np.uint8))
    with pytest.raises(ValueError, match=r"must be uint8.*got float64"):
        figures(completion / 255, truth, hole)


def test_summary_is_the_mean_with_an_interval_around_it(random):
    values = random.normal(20, 3, 400)
    estimate = summary({"psnr": values})["psnr"]
    error = 3 / np.sqrt(400)  # of the mean, in theory
    assert estimate.mean == pytest.approx(values.mean()) and estimate.n == 400
    assert estimate.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert estimate.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_the_interval_covers_the_truth_about_95_times_in_100(random):
    repetitions = {f"{i}": random.normal(20, 3, 60) for i in range(300)}
    covered = np.mean([e.low <= 20 <= e.high for e in summary(repetitions, resamples=500).values()])
    assert 0.90 <= covered <= 0.98


def test_summary_is_reproducible_and_a_key_does_not_depend_on_others(random):
    values, others = random.random((2, 50))
    first = summary({"others": others, "values": values})
    assert first == summary({"others": others, "values": values})
    assert first["values"] == summary({"values": values})["values"]
    assert first["values"] != summary({"values": values}, seed=1)["values"]


def test_values_without_a_mean_are_left_out_of_their_key_and_counted():
    estimates = summary({"psnr": [20.0, np.inf, np.nan, 30.0], "l1": [0.1, 0.0, 0.2, 0.1]})
    assert (estimates["psnr"].mean, estimates["psnr"].n) == (25.0, 2)
    assert estimates["l1"].mean == pytest.approx(0.1) and estimates["l1"].n == 4


def test_figures_need_not_have_as_many_values_as_each_other():
    estimates = summary({"a": [1.0, 3.0], "b": [5.0]})
    assert list(estimates) == ["a", "b"]
    assert estimates["a"].mean == 2 and (estimates["b"].mean, estimates["b"].n) == (5, 1)


def test_of_one_image_no_interval_is_known():
    estimate = summary({"psnr": [20.0, np.inf]})["psnr"]
    assert (estimate.mean, estimate.n) == (20, 1)
    assert np.isnan([estimate.low, estimate.high]).all()


def test_summary_of_nothing_is_nothing_and_of_no_finite_value_nan():
    assert summary({}) == {}
    estimate = summary({"psnr": [np.inf]})["psnr"]
    assert estimate.n == 0 and np.isnan([estimate.mean, estimate.low, estimate.high]).all()
