"""The hole is refined scale by scale, towards what is known and from nothing else."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained
from folders import manifest, photographs

from ce_jax import blending, holes, images, losses, sharding
from ce_jax.batch import inpaint
from ce_jax.completion import high_resolution, methods, texture
from ce_jax.config import ConfigError, Frame, HighResolution, Inpainting
from ce_jax.runs import loading

BATCH, SIZE = 8, 64
SETTINGS = HighResolution(steps=3)
RANDOM = np.random.default_rng(0)


def keys(count=BATCH):
    return jax.random.split(jax.random.key(3), count)


def squares(*boxes, size=SIZE):
    """Holes that are squares: (top, left, side)."""
    hole = np.zeros((len(boxes), size, size, 1), bool)
    for one, (top, left, side) in zip(hole, boxes, strict=True):
        one[top : top + side, left : left + side] = True
    return hole


HOLE = squares(
    (16, 16, 32),
    (21, 9, 13),
    (0, 0, 20),
    (40, 40, 24),
    (5, 30, 7),
    (0, 0, 0),
    (0, 0, 64),
    (9, 9, 9),
)


@pytest.fixture(scope="module")
def complete():
    """Compiled once, for a model that predicts the centre of 32 pixels, and images of 64."""
    config = Inpainting(method="high-resolution", model="a run", refine=SETTINGS)
    trained = untrained.networks(tiny.context_encoder())
    with tiny.quickly():
        compiled = methods.build(config, trained, sharding.make_mesh())

    def run(photographs, hole=HOLE):
        completed = compiled(jnp.asarray(photographs), jnp.asarray(hole), keys())
        return jax.tree.map(np.asarray, completed)

    return run


@pytest.fixture(scope="module")
def pictures():
    return RANDOM.uniform(-1, 1, (BATCH, SIZE, SIZE, 3)).astype(np.float32)


# The method


def test_the_hole_is_filled_where_the_context_encoder_has_an_opinion(complete, pictures):
    completed = complete(pictures)
    assert np.array_equal(completed.images[5], pictures[5])
    assert np.array_equal(np.where(HOLE, 0, completed.images), np.where(HOLE, 0, pictures))
    beyond = HOLE & ~squares((16, 16, 32))
    assert np.array_equal(np.isnan(completed.images), np.broadcast_to(beyond, pictures.shape))
    assert np.nanmax(np.abs(completed.proposal)) <= 1
    assert np.all(np.isfinite(completed.score) & (completed.score >= 0))
    assert completed.steps.tolist() == [2 * SETTINGS.steps] * BATCH


@pytest.mark.parametrize("filling", [9.0, np.nan])
def test_what_stands_in_the_hole_changes_no_bit(complete, pictures, filling):
    tampered = np.where(HOLE, np.float32(filling), pictures)
    jax.tree.map(np.testing.assert_array_equal, complete(tampered), complete(pictures))


def test_a_completion_is_its_own_whoever_stands_beside_it(complete, pictures):
    others = [3, 0, 6, 1, 4, 4, 2, 7]
    shuffled = complete(pictures[others], HOLE[others])
    alone = jax.tree.map(lambda array: array[others], complete(pictures))
    jax.tree.map(np.testing.assert_array_equal, shuffled, alone)


def test_an_alexnet_is_refused():
    with pytest.raises(ConfigError, match="encoder is convolutions; this one is alexnet"):
        high_resolution.method(tiny.alexnet().model, 227, SETTINGS)


# One scale


def stripes(size=32, period=8):
    wave = np.sin(2 * np.pi * np.arange(size) / period).astype(np.float32)
    return 0.8 * np.broadcast_to(wave[None, None, :, None], (1, size, size, 3))


def edges(image):
    """Two feature maps: the pixels, and their steps to the right."""
    return [image, jnp.roll(image, -1, axis=2) - image]


def test_the_objective_goes_down_and_stripes_come_back():
    truth, hole = stripes(), squares((10, 10, 12), size=32)
    blurred = np.where(hole, 0.3 * truth, truth)
    settings = HighResolution(steps=30, content=0.05, texture=1.0, variation=0.01)

    def both(start, hole):
        wishes = [texture.wish(maps, hole, patch=3, stride=2) for maps in edges(start)]
        how = {"features": edges, "settings": settings}
        before = high_resolution.objective_of(start, start, hole, wishes, **how)
        return before, *high_resolution.refine(start, hole, **how)

    with tiny.quickly():
        before, refined, score = jax.jit(both)(blurred, hole)
    assert score < 0.5 * before
    error, error_before = (
        np.mean((x - truth)[np.broadcast_to(hole, x.shape)] ** 2) for x in (refined, blurred)
    )
    assert error < 0.25 * error_before
    assert np.array_equal(np.where(hole, 0, refined), np.where(hole, 0, truth))


@pytest.mark.parametrize("wave", [0.0, 1.0], ids=["smooth", "rugged"])
def test_minimising_takes_the_best_of_its_steps(wave):
    def objective(x):
        return jnp.sum(jnp.cosh(3 * x) + wave * jnp.sin(40 * x))

    start = jnp.array([0.5, -0.9])
    best, lowest = high_resolution.minimise(objective, start, steps=6)
    np.testing.assert_allclose(objective(best), lowest, rtol=1e-5)
    assert lowest <= objective(start)
    if not wave:
        np.testing.assert_allclose(best, [0, 0], atol=0.05)


def test_small_holes_are_all_that_is_touched():
    reduced = holes.reduce(jnp.asarray(squares((5, 30, 7))), factor=4)
    expected = np.zeros((1, 16, 16, 1), bool)
    expected[0, 1:3, 7:10] = True
    assert np.array_equal(reduced, expected)


def test_total_variation_is_that_of_pairs_that_touch_the_hole():
    image, hole = RANDOM.normal(size=(2, 6, 5, 3)).astype(np.float32), np.zeros((2, 6, 5, 1), bool)
    hole[0, 2:4, 1:3] = hole[0, 5, 4] = True
    expected = []
    for i, j in np.ndindex(6, 5):
        for k, m in ((i + 1, j), (i, j + 1)):
            if k < 6 and m < 5 and (hole[0, i, j] or hole[0, k, m]):
                expected.extend((image[0, i, j] - image[0, k, m]) ** 2)
    found = losses.total_variation(jnp.asarray(image), jnp.asarray(hole))
    np.testing.assert_allclose(found, [np.mean(expected), 0], rtol=1e-5)


# Neural patches


def patches_by_hand(features, side, stride):
    starts = [sorted({*range(0, n - side + 1, stride), n - side}) for n in features.shape[:2]]
    corners = [(i, j) for i in starts[0] for j in starts[1]]
    return corners, [features[i : i + side, j : j + side] for i, j in corners]


@functools.cache
def wish_and_loss(stride):
    def both(features, moved, hole):
        wish = texture.wish(features, hole, patch=3, stride=stride)
        return wish, texture.texture_loss(moved, wish)

    with tiny.quickly():
        return jax.jit(both)


@pytest.fixture
def a_few_rows_at_a_time_and_some_left_over(monkeypatch):
    monkeypatch.setattr(texture, "_SIMILARITIES", 100)


@pytest.mark.usefixtures("a_few_rows_at_a_time_and_some_left_over")
@pytest.mark.parametrize("stride", [1, 2])
def test_every_patch_at_the_hole_wants_the_nearest_known_one(stride):
    features = RANDOM.normal(size=(3, 8, 8, 2)).astype(np.float32)
    moved = features + RANDOM.normal(size=features.shape).astype(np.float32)
    hole = squares((5, 5, 3), (0, 0, 0), (0, 0, 16), size=16)
    wish, loss = wish_and_loss(stride)(features, moved, hole)

    unknown = squares((1, 1, 4), size=8)[0]  # the hole is under 2 to 3, and near 1 to 4
    unit = np.sqrt(np.mean(features[0][~unknown[..., 0]] ** 2))
    corners, mine = patches_by_hand(features[0] / unit, 3, stride)
    depends = [unknown[i : i + 3, j : j + 3].any() for i, j in corners]
    known = [p for p, d in zip(mine, depends, strict=True) if not d]
    _, after = patches_by_hand(moved[0] / unit, 3, stride)
    squared = []
    for patch, now, matched in zip(mine, after, depends, strict=True):
        if matched:
            like = [np.sum(patch * k) / np.linalg.norm(k) for k in known]
            squared.extend((now - known[int(np.argmax(like))]).ravel() ** 2)
    # Where nothing is missing, or nothing known, nothing is wanted.
    np.testing.assert_allclose(loss, [np.mean(squared), 0, 0], rtol=1e-4)
    assert not wish.weight[1:].any()


@pytest.mark.usefixtures("a_few_rows_at_a_time_and_some_left_over")
def test_no_patch_that_touches_the_hole_is_wanted():
    """Its features are of another sign and far too large; one of them anywhere would show."""
    hole = squares((3, 9, 4), (0, 0, 5), (7, 0, 3), size=16)
    near = np.asarray(texture.near(jnp.asarray(hole), factor=2))
    features = np.where(near, -100.0, RANDOM.uniform(1, 2, (3, 8, 8, 2))).astype(np.float32)
    wish, _ = wish_and_loss(2)(features, features, hole)
    assert np.all(np.asarray(wish.weight)[near] > 0)
    assert np.all(np.where(wish.weight > 0, wish.wanted, 1) > 0)


# A whole run


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return untrained.workdir(tmp_path_factory.mktemp("model") / "ce", tiny.context_encoder())


def test_a_folder_is_refined_at_twice_the_size_of_the_model(tmp_path, model):
    config = Inpainting(
        images=photographs(tmp_path / "in", "a", "b"),
        holes="center:20",
        output=str(tmp_path / "out"),
        method="high-resolution",
        model=model,
        frame=Frame(size=SIZE),
        refine=SETTINGS,
        batch_size=8,
    )
    with tiny.quickly():
        assert inpaint(config) == (2, 0, 2, False)
    hole = squares((22, 22, 20))[0, ..., 0]
    for name, record in manifest(tmp_path / "out").items():
        framed = images.frame(images.read(tmp_path / "in" / f"{name}.png"), Frame(size=SIZE))
        completed = images.read(tmp_path / "out" / "images" / f"{name}.png")
        assert np.array_equal(completed[~hole], framed[~hole])
        assert record["steps"] == 2 * SETTINGS.steps
        assert "hole/psnr" in record["figures"]["high-resolution"]
    assert "refinement" in (tmp_path / "out" / "metrics.json").read_text()


def test_other_sizes_than_doublings_are_refused(tmp_path, model):
    source = photographs(tmp_path / "in", "a")
    config = Inpainting(images=source, output=str(tmp_path / "out"), model=model, batch_size=8)
    refined = replace(config, method="high-resolution")
    with pytest.raises(ConfigError, match=r"doubles the 32 pixels .* use 64 or 128 or 256"):
        inpaint(replace(refined, frame=Frame(size=227)))
    with pytest.raises(ConfigError, match="trained on 32-pixel images"):
        inpaint(replace(config, method="context-encoder", frame=Frame(size=64)))


@pytest.mark.parametrize("frame", [None, Frame(size=256)])
@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (tiny.l2_gan(), "high-resolution does not run on runs/mine, which is a L2Gan"),
        (tiny.alexnet(), "encoder is convolutions; this one is alexnet"),
    ],
)
def test_a_model_that_cannot_be_refined_is_refused_whatever_the_frame(
    tmp_path, monkeypatch, kind, complaint, frame
):
    monkeypatch.setattr(loading, "load", lambda _: untrained.networks(kind))
    config = Inpainting(
        images=photographs(tmp_path / "in", "a"),
        output=str(tmp_path / "out"),
        method="high-resolution",
        model="runs/mine",
        frame=frame,
        batch_size=8,
    )
    with pytest.raises(ConfigError, match=complaint):
        inpaint(config)


def test_the_small_completion_is_blended_as_the_sparse_solver_does_it():
    random = np.random.default_rng(0)
    photographs, proposals = random.uniform(-1, 1, (2, 3, 16, 16, 3)).astype(np.float32)
    hole = np.zeros((3, 16, 16, 1), bool)
    hole[0, 4:12, 4:12] = hole[1, :3] = True
    hole[2] = random.random((16, 16, 1)) < 0.7
    ours = tiny.jit(high_resolution.blended)(photographs, proposals, hole)
    np.testing.assert_allclose(ours, blending.poisson(photographs, proposals, hole), atol=2e-3)
