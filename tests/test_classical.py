"""Methods that learn nothing reach what they minimise, or are what their library makes of it."""

import functools
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from folders import hole_file, laplace, manifest, numbered, strictly

from ce_jax import images, sharding
from ce_jax.batch import inpaint
from ce_jax.completion import low_rank, methods, neighbours, total_variation
from ce_jax.config import ConfigError, Inpainting, LowRank, Neighbours, PatchMatch, TotalVariation

BATCH, SIZE = 3, 32
KEYS = jax.random.split(jax.random.key(0), BATCH)
ROW, COLUMN, _ = np.mgrid[:SIZE, :SIZE, :1] / SIZE
LIBRARIES = {
    "biharmonic": "skimage",
    "telea": "cv2",
    "navier-stokes": "cv2",
    "patchmatch": "patchmatch",
}


def smooth(seed):
    """A picture of one wave a channel, and an edge: [s, s, 3] in [-1, 1]."""
    down, right, phase = np.random.default_rng(seed).uniform(0, 7, (3, 3))
    waves = np.sin(down * ROW + right * COLUMN + phase)
    return np.float32(0.6 * waves + 0.3 * np.sign(ROW + COLUMN - 0.9))


def dots(seed, share=0.5):
    """Single missing pixels: [s, s, 1]."""
    return np.random.default_rng(seed).random((SIZE, SIZE, 1)) < share


def square(top, bottom, left, right):
    hole = np.zeros((SIZE, SIZE, 1), bool)
    hole[top:bottom, left:right] = True
    return hole


@functools.cache
def compiled(propose, settings):
    return jax.jit(partial(propose, settings, None), compiler_options=tiny.QUICKLY)


def run(propose, settings, pictures, holes):
    """Proposal, score and steps of three pictures."""
    pictures, holes = np.stack(pictures).astype(np.float32), np.stack(holes)
    found = compiled(propose, settings)(np.where(holes, 0, pictures), holes, KEYS)
    return [np.asarray(array) for array in found]


# Total variation

CLOSELY = TotalVariation(rho=3.0, tolerance=1e-6, steps=1000)


def gradient(image):
    down, right = np.zeros((2, *image.shape))
    down[:-1], right[:, :-1] = np.diff(image, axis=0), np.diff(image, axis=1)
    return np.stack([down, right])


def variation(image):
    return np.sqrt((gradient(image) ** 2).sum(axis=(0, 3))).sum()


def least_variation(image, hole, iterations=1000):
    """Chambolle & Pock 2011, algorithm 1, in float64."""
    dual, filled = np.zeros((2, *image.shape)), np.where(hole, image[~hole[..., 0]].mean(0), image)
    ahead = filled
    for _ in range(iterations):
        dual = dual + gradient(ahead) / np.sqrt(8)
        dual /= np.maximum(1, np.sqrt((dual**2).sum(axis=(0, 3), keepdims=True)))
        back = np.zeros_like(image)
        for axis, part in enumerate(dual):
            part = part.take(range(SIZE - 1), axis)
            widths = [(0, 0)] * 3
            widths[axis] = (1, 1)
            back -= np.diff(np.pad(part, widths), axis=axis)
        before, filled = filled, np.where(hole, filled - back / np.sqrt(8), image)
        ahead = 2 * filled - before
    return variation(filled)


def test_total_variation_is_the_least_that_another_algorithm_finds():
    pictures, holes = [smooth(1), smooth(2), smooth(3)], [dots(1), square(8, 24, 8, 24), dots(2)]
    filled, score, _ = run(total_variation.propose, TotalVariation(), pictures, holes)
    for image, hole, proposal, told in zip(pictures[:2], holes, filled, score, strict=False):
        least = least_variation((image.astype(float) + 1) / 2, hole)
        reached = variation((proposal.astype(float) + 1) / 2)
        assert reached == pytest.approx(least, rel=1e-3)
        assert told == pytest.approx(reached, rel=1e-4)
        start = variation(np.where(hole, image[~hole[..., 0]].mean(0), image) / 2)
        assert start > 1.05 * least


def test_an_edge_is_continued_through_the_hole_and_what_is_flat_stays_flat():
    step = np.where(COLUMN < 0.45, -0.5, 0.7) + np.zeros((SIZE, SIZE, 3))
    flat = np.full_like(step, 0.3)
    pictures, hole = [step, flat, step.swapaxes(0, 1)], square(9, 20, 9, 20)
    filled, score, steps = run(total_variation.propose, CLOSELY, pictures, [hole] * 3)
    np.testing.assert_allclose(filled, pictures, atol=1e-2)
    length = SIZE * 0.6 * np.sqrt(3)  # times the height of the step in three channels
    np.testing.assert_allclose(score, [length, 0, length], rtol=1e-3, atol=1e-4)
    assert steps[1] < 10 < steps[0]


def test_an_image_that_has_converged_does_not_move_while_others_go_on():
    easy, hard = (smooth(1), square(3, 5, 3, 5)), (smooth(2), square(4, 28, 4, 28))
    settings = TotalVariation()
    alone = run(total_variation.propose, settings, *zip(easy, easy, easy, strict=True))
    mixed = run(total_variation.propose, settings, *zip(easy, hard, hard, strict=True))
    assert alone[2][0] < mixed[2][1] < settings.steps
    assert all(np.array_equal(one[0], other[0]) for one, other in zip(alone, mixed, strict=True))


# Low rank

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


# Neighbours


def voted(image, hole, settings):
    """By sorting all known pixels, for every missing one."""
    filled, known = image.astype(float), np.argwhere(~hole[..., 0])
    for place in np.argwhere(hole[..., 0]):
        squared = ((known - place) ** 2).sum(axis=1)
        last = np.sort(squared)[min(settings.count, len(known)) - 1]
        near = known[squared <= last]
        weight = squared[squared <= last] ** (-settings.power / 2)
        filled[tuple(place)] = weight @ image[tuple(near.T)] / weight.sum()
    return filled


@pytest.mark.parametrize("settings", [Neighbours(), Neighbours(count=3, power=1.0)])
def test_a_missing_pixel_is_the_mean_of_its_neighbours_by_distance(settings):
    few = np.ones((SIZE, SIZE, 1), bool)
    few[3, 4] = few[20, 9] = False  # fewer than are asked for
    pictures, holes = (
        [smooth(seed) for seed in range(BATCH)],
        [dots(1, 0.8), square(0, 20, 9, 30), few],
    )
    filled, _, _ = run(neighbours.propose, settings, pictures, holes)
    for image, hole, proposal in zip(pictures, holes, filled, strict=True):
        np.testing.assert_allclose(proposal, voted(image, hole, settings), atol=1e-5)


# Libraries


def build(method, **changes):
    config = Inpainting(method=method, **changes)
    return methods.build(config, None, sharding.make_mesh(jax.devices()[:1]))


@pytest.fixture(params=LIBRARIES)
def method(request):
    pytest.importorskip(LIBRARIES[request.param], reason="comes with ce_jax[classical]")
    return request.param


HOLES = np.stack([dots(1, 0.8), square(0, 20, 9, SIZE), square(9, 20, 9, 20)])
PICTURES = np.stack([smooth(seed) for seed in range(BATCH)])


def completed(complete, pictures=PICTURES, hole=HOLES):
    found = complete(jnp.asarray(pictures), jnp.asarray(hole), jax.random.clone(KEYS))
    return np.asarray(found.images)


def test_a_method_of_a_library_gives_what_the_library_gives_for_a_blank_hole(method):
    blank = images.to_uint8(np.where(HOLES, 0, PICTURES))
    if method == "biharmonic":
        from skimage.restoration import inpaint_biharmonic

        def expected(image, hole):
            return inpaint_biharmonic(images.to_float(image).astype(float), hole, channel_axis=-1)

    elif method == "patchmatch":
        import patchmatch

        patchmatch.set_random_seed(7)

        def expected(image, hole):
            return images.to_float(patchmatch.inpaint(image, hole, patch_size=2))

    else:
        import cv2

        kind = cv2.INPAINT_TELEA if method == "telea" else cv2.INPAINT_NS

        def expected(image, hole):
            return images.to_float(cv2.inpaint(image, hole.astype(np.uint8), 3, kind))

    pictures = images.to_float(images.to_uint8(PICTURES))
    complete = build(method, patchmatch=PatchMatch(radius=2), seed=7)
    found = completed(complete, pictures)
    for image, hole, result in zip(blank, HOLES[..., 0], found, strict=True):
        np.testing.assert_allclose(result, expected(image, hole.copy()), atol=1e-6)
    assert np.array_equal(np.where(HOLES, 0, found), np.where(HOLES, 0, pictures))


def test_a_library_reads_neither_the_hole_nor_other_images(method):
    complete, order = build(method), [2, 0, 1]
    found = completed(complete)
    for filling in (np.float32(np.nan), np.random.default_rng(0).uniform(-1, 1, PICTURES.shape)):
        tampered = np.where(HOLES, filling, PICTURES).astype(np.float32)
        assert np.array_equal(completed(complete, tampered), found)
    assert np.array_equal(completed(complete, PICTURES[order], HOLES[order]), found[order])


def test_where_nothing_is_known_a_library_is_not_asked_and_where_nothing_is_missing_all_stays(
    method,
):
    hole = HOLES.copy()
    hole[0], hole[1] = True, False
    found = completed(build(method), hole=hole)
    assert np.isnan(found[0]).all()
    assert np.array_equal(found[1], PICTURES[1])
    assert np.isfinite(found[2]).all()


def test_another_seed_gives_other_patches():
    pytest.importorskip("patchmatch", reason="comes with ce_jax[classical]")
    one, other = (completed(build("patchmatch", seed=seed)) for seed in (0, 1))
    assert np.any(one != other)


@pytest.mark.parametrize(("method", "module"), [*LIBRARIES.items()])
def test_a_library_that_is_missing_is_named_with_the_extra(monkeypatch, method, module):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "skimage.restoration", raising=False)
    with pytest.raises(
        ConfigError, match=rf"{method} needs pip install ce_jax\[classical\]"
    ) as told:
        build(method)
    assert module in str(told.value)
    assert "\n" not in str(told.value)


# All of it


def test_a_folder_is_completed_and_what_a_method_cannot_serve_is_named_with_the_reason(tmp_path):
    pytest.importorskip("cv2", reason="comes with ce_jax[classical]")
    source, drawn = numbered(tmp_path / "in", 4), tmp_path / "holes"
    boxes = (5, 5, 20, 20), (0, 9, 50, 20), (20, 0, 30, 40), (0, 0, 50, 40)
    for number, box in enumerate(boxes):
        hole_file(drawn / f"{number:02}.png", box)
    settings = {"holes": str(drawn), "truth": source, "low_rank": LowRank(steps=3)}
    ends = {
        "low-rank": ("cannot fill a row or a column that is missing whole", ["01", "02", "03"], 3),
        "telea": ("cannot fill an image of which nothing is known", ["03"], 0),
    }
    for method, (reason, names, steps) in ends.items():
        output, count = tmp_path / method, len(names)
        config = laplace(source, output, method=method, **settings)
        assert inpaint(config) == (4 - count, count, 4, False)
        records = manifest(output)
        failed = {name: one["reason"] for name, one in records.items() if "reason" in one}
        assert failed == dict.fromkeys(names, f"{method} {reason}")
        assert records["00"]["steps"] == steps
        assert (records["00"]["score"] > 0) == (method == "low-rank")
        told = strictly((output / "metrics.json").read_text())
        assert set(told["figures"]) == {method, "laplace"}
        assert told["figures"][method]["hole/psnr"]["n"] == 4 - count
        assert "radius 3.0" in told["facts"].values() or "steps 3, " in told["facts"]["low rank"]
