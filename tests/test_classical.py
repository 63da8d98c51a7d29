"""Methods that learn nothing reach what they minimise, for each image alone."""

import jax
import numpy as np
import pytest
from folders import hole_file, laplace, manifest, numbered, strictly
from jax import lax
from patterns import BATCH, COLUMN, SIZE, dots, run, smooth, square

from ce_jax.batch import inpaint
from ce_jax.completion import neighbours, total_variation
from ce_jax.config import LowRank, Neighbours, TotalVariation

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


def test_an_image_with_nothing_known_does_not_send_the_others_around_the_whole_image(monkeypatch):
    asked, look = [], lax.dynamic_slice
    monkeypatch.setattr(lax, "dynamic_slice", lambda *args: asked.append(1) or look(*args))
    nothing, pixel = np.ones((SIZE, SIZE, 1), bool), square(3, 4, 3, 4)
    pictures = np.stack([smooth(1), smooth(2)])
    with jax.disable_jit():
        found = neighbours.propose(
            Neighbours(),
            None,
            pictures,
            np.stack([nothing, pixel]),
            jax.random.split(jax.random.key(0)),
        )
    assert np.all(found.proposal[0] == 0)
    assert len(asked) < 100 < (2 * SIZE - 1) ** 2


# All of it


def test_a_folder_is_completed_and_what_a_method_cannot_serve_is_named_with_the_reason(tmp_path):
    pytest.importorskip("cv2", reason="comes with the extra classical")
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
