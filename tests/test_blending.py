"""The blend is held against a dense solution of the same equations, written out pixel by pixel."""

import doctest

import numpy as np
import pytest

from ce_jax import blending
from ce_jax.blending import harmonic, membranes, overlay, poisson

SIZE = (12, 9)


def test_the_example_in_the_docs_runs():
    assert doctest.testmod(blending) == doctest.TestResults(failed=0, attempted=3)


def neighbours(pixel):
    """Return the 2 to 4 pixels beside this one that lie within the image."""
    row, column = pixel
    beside = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
    return [(y, x) for y, x in beside if 0 <= y < SIZE[0] and 0 <= x < SIZE[1]]


def dense_harmonic(values, hole):
    """Solve Laplace's equation on the hole of one image `[h, w, c]` without any sparse matrix."""
    unknown = [tuple(pixel) for pixel in np.argwhere(hole[..., 0])]
    matrix = np.zeros((len(unknown), len(unknown)))
    right = np.zeros((len(unknown), values.shape[-1]))
    for i, pixel in enumerate(unknown):
        for beside in neighbours(pixel):
            matrix[i, i] += 1
            if hole[beside]:
                matrix[i, unknown.index(beside)] -= 1
            else:
                right[i] += values[beside]
    extended = values.copy()
    extended[hole[..., 0]] = np.linalg.solve(matrix, right)
    return extended


def residual(values, hole):
    """Return the largest |Laplacian of values| over the hole, relative to the largest |value|."""
    laplacian = [
        sum(values[pixel] - values[beside] for beside in neighbours(pixel))
        for pixel in map(tuple, np.argwhere(hole[..., 0]))
    ]
    return np.abs(laplacian).max() / np.abs(values).max()


def named_holes():
    holes = {
        name: np.zeros((*SIZE, 1), bool)
        for name in (
            "centre",
            "one pixel",
            "corner",
            "left half",
            "wide",
            "border ring",
            "components",
        )
    }
    holes["centre"][3:9, 2:7] = True
    holes["one pixel"][5, 4] = True
    holes["corner"][:4, 5:] = True
    holes["left half"][:, :4] = True
    holes["wide"][6:8, 1:8] = True
    holes["border ring"][:] = True
    holes["border ring"][2:-2, 2:-2] = False
    holes["components"][1:3, 1:3] = holes["components"][6:9, 4:] = holes["components"][11, 0] = True
    holes["random 80 %"] = np.random.default_rng(1).random((*SIZE, 1)) < 0.8
    holes["chessboard"] = (np.indices(SIZE).sum(0) % 2 == 0)[..., np.newaxis]
    holes["all but one pixel"] = np.ones((*SIZE, 1), bool)
    holes["all but one pixel"][7, 2] = False
    return holes


HOLES = named_holes()
ONE_OF_EACH = np.stack(list(HOLES.values()))


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def images(random):
    return random.uniform(-1, 1, (len(HOLES), *SIZE, 3)).astype(np.float32)


@pytest.fixture
def proposal(random):
    return random.uniform(-1, 1, (len(HOLES), *SIZE, 3)).astype(np.float32)


@pytest.fixture(params=["as it comes", "sparse"])
def decomposition(request, monkeypatch):
    """Small holes too are solved as wide ones are."""
    membranes.forget()
    if request.param == "sparse":
        monkeypatch.setattr(membranes, "_NARROW", -1)
    yield
    membranes.forget()


@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES.keys())
@pytest.mark.usefixtures("decomposition")
def test_harmonic_equals_a_dense_solve(hole, random):
    values = random.uniform(-1, 1, (*SIZE, 3))
    extended = harmonic(values[None], hole[None])[0]
    np.testing.assert_allclose(extended, dense_harmonic(values, hole), rtol=0, atol=1e-12)
    assert residual(extended, hole) <= 1e-10


@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES.keys())
def test_poisson_keeps_the_laplacian_of_the_proposal(hole, random):
    image, proposal = random.uniform(-0.1, 0.1, (2, 1, *SIZE, 3))
    blended = poisson(image, proposal, hole[None])
    assert np.abs(blended).max() < 1, "clipping would hide the solution"
    assert residual((blended - proposal)[0], hole) <= 1e-10


def test_a_large_hole_is_solved_to_rounding(random):
    values = random.uniform(-1, 1, (1, 128, 128, 1))
    hole = np.ones((1, 128, 128, 1), bool)
    hole[0, 3, 100] = False
    extended = harmonic(values, hole)
    np.testing.assert_allclose(extended, values[0, 3, 100, 0], rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_known_pixels_and_dtype_come_back_unchanged(images, proposal, dtype):
    images = 1.5 * images.astype(dtype)  # beyond the clip, too
    known = ~ONE_OF_EACH[..., 0]
    for completed in (
        harmonic(images, ONE_OF_EACH),
        poisson(images, proposal, ONE_OF_EACH),
        overlay(images, proposal, ONE_OF_EACH),
    ):
        assert completed.dtype == dtype
        np.testing.assert_array_equal(completed[known], images[known])


def test_single_precision_is_rounded_once_at_the_end(images, proposal):
    exact = poisson(images.astype(np.float64), proposal.astype(np.float64), ONE_OF_EACH)
    rounded = poisson(images, proposal, ONE_OF_EACH)
    np.testing.assert_array_equal(rounded, exact.astype(np.float32))


@pytest.mark.parametrize("content", [np.nan, np.inf, 0.5, "noise"])
def test_what_stands_in_the_hole_is_never_read(images, proposal, random, content):
    noise = random.uniform(-1, 1, images.shape) if content == "noise" else content
    changed = np.where(ONE_OF_EACH, noise, images).astype(np.float32)
    np.testing.assert_array_equal(harmonic(changed, ONE_OF_EACH), harmonic(images, ONE_OF_EACH))
    for blend in (poisson, overlay):
        np.testing.assert_array_equal(
            blend(changed, proposal, ONE_OF_EACH), blend(images, proposal, ONE_OF_EACH)
        )


def test_arguments_are_left_as_they_were(images, proposal):
    arguments = images, proposal, ONE_OF_EACH
    copies = [argument.copy() for argument in arguments]
    harmonic(images, ONE_OF_EACH)
    poisson(*arguments)
    for argument, copy in zip(arguments, copies, strict=True):
        np.testing.assert_array_equal(argument, copy)


def test_a_proposal_off_by_a_constant_an_image_recovers_the_truth(images, random):
    offset = random.uniform(-1, 1, (len(images), 1, 1, 3))
    recovered = poisson(images, images.astype(np.float64) + offset, ONE_OF_EACH)
    np.testing.assert_allclose(recovered, images, rtol=0, atol=1e-6)


def test_harmonic_obeys_the_maximum_principle(images):
    extended = harmonic(images, ONE_OF_EACH)
    for before, after, hole in zip(images, extended, ONE_OF_EACH[..., 0], strict=True):
        assert (after[hole] <= before[~hole].max(axis=0) + 1e-6).all()
        assert (after[hole] >= before[~hole].min(axis=0) - 1e-6).all()


def test_poisson_clips_the_hole_to_the_range_of_images(images):
    hole = ONE_OF_EACH
    steep = np.linspace(-40, 40, SIZE[1], dtype=np.float32)[None, None, :, None]
    blended = poisson(images, np.broadcast_to(steep, images.shape), hole)
    assert blended.min() == -1 and blended.max() == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_image_does_not_depend_on_its_batch_mates(images, proposal, dtype):
    images = images.astype(dtype)
    together = poisson(images, proposal, ONE_OF_EACH)
    backwards = poisson(images[::-1], proposal[::-1], ONE_OF_EACH[::-1])[::-1]
    np.testing.assert_array_equal(backwards, together)
    for i, hole in enumerate(ONE_OF_EACH):
        alone = poisson(images[i : i + 1], proposal[i : i + 1], hole[None])[0]
        shared = poisson(images, proposal, np.broadcast_to(hole, ONE_OF_EACH.shape))[i]
        np.testing.assert_array_equal(alone, together[i])
        np.testing.assert_array_equal(shared, together[i])


def test_an_empty_hole_gives_the_image_itself(images, proposal):
    empty = np.zeros_like(ONE_OF_EACH)
    for completed in (
        harmonic(images, empty),
        poisson(images, proposal, empty),
        overlay(images, proposal, empty),
    ):
        np.testing.assert_array_equal(completed, images)


def test_a_full_hole_gives_the_proposal_itself_or_grey(images, proposal):
    full = np.ones_like(ONE_OF_EACH)
    unreadable = np.full_like(images, np.nan)
    np.testing.assert_array_equal(poisson(unreadable, proposal, full), proposal)
    np.testing.assert_array_equal(overlay(unreadable, proposal, full), proposal)
    np.testing.assert_array_equal(harmonic(unreadable, full), np.zeros_like(images))


def test_empty_full_and_other_holes_share_a_batch(images, proposal):
    hole = np.stack([HOLES["centre"]] * 3)
    hole[0], hole[2] = False, True
    blended = poisson(images[:3], proposal[:3], hole)
    np.testing.assert_array_equal(blended[0], images[0])
    np.testing.assert_array_equal(blended[1], poisson(images[1:2], proposal[1:2], hole[1:2])[0])
    np.testing.assert_array_equal(blended[2], proposal[2])


def test_a_batch_of_no_images_stays_empty():
    nothing = np.zeros((0, *SIZE, 3), np.float32)
    assert poisson(nothing, nothing, np.zeros((0, *SIZE, 1), bool)).shape == nothing.shape


def test_overlay_is_a_plain_paste(images, proposal):
    pasted = overlay(images, proposal, ONE_OF_EACH)
    missing = ONE_OF_EACH[..., 0]
    np.testing.assert_array_equal(pasted[missing], proposal[missing])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("blend", [poisson, overlay])
def test_a_broken_proposal_is_refused_and_named(images, proposal, blend, value):
    proposal[5][ONE_OF_EACH[5, ..., 0]] = value
    proposal[2, 5, 4, 1] = value  # the first broken one, in one channel of one pixel
    hole = np.broadcast_to(HOLES["one pixel"], ONE_OF_EACH.shape)
    with pytest.raises(ValueError, match="image 2"):
        blend(images, proposal, hole)


def test_a_proposal_broken_beside_the_hole_matters_to_poisson_only(images, proposal):
    hole = np.broadcast_to(HOLES["one pixel"], ONE_OF_EACH.shape)
    proposal[1, 5, 3] = np.nan
    assert np.isfinite(overlay(images, proposal, hole)).all()
    with pytest.raises(ValueError, match="image 1"):
        poisson(images, proposal, hole)


@pytest.mark.parametrize(
    "shape", [(8, 12, 9), (1, 12, 9, 1), (8, 9, 12, 1), (8, 12, 9, 3), (12, 9, 1), (8, 12, 9, 1, 1)]
)
def test_a_hole_of_another_shape_is_refused_with_both_shapes(images, proposal, shape):
    hole = np.zeros(shape, bool)
    for attempt in (
        lambda: harmonic(images, hole),
        lambda: poisson(images, proposal, hole),
        lambda: overlay(images, proposal, hole),
    ):
        with pytest.raises(ValueError) as caught:
            attempt()
        assert str(shape) in str(caught.value) and str(images.shape) in str(caught.value)


@pytest.mark.parametrize("blend", [poisson, overlay])
def test_a_proposal_of_another_shape_is_refused_with_both_shapes(images, proposal, blend):
    with pytest.raises(ValueError) as caught:
        blend(images, proposal[..., :1], ONE_OF_EACH)
    of_one_channel = (*images.shape[:3], 1)
    assert str(images.shape) in str(caught.value) and str(of_one_channel) in str(caught.value)


def test_dtypes_that_would_go_wrong_silently_are_refused(images, proposal):
    with pytest.raises(ValueError, match=r"hole must be bool.*uint8"):
        harmonic(images, ONE_OF_EACH.astype(np.uint8))
    with pytest.raises(ValueError, match=r"images must be floating point.*uint8"):
        poisson(images.astype(np.uint8), proposal, ONE_OF_EACH)
    with pytest.raises(ValueError, match=r"proposal must be floating point.*int64"):
        overlay(images, proposal.astype(np.int64), ONE_OF_EACH)
