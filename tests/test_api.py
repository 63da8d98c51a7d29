"""From Python one gets what the command writes, in the form of what one gives."""

import doctest
import io
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import untrained
from folders import latent
from PIL import Image
from processes import python

import ce_jax
from ce_jax import api, batch, images, photographs
from ce_jax.completion import laplace, nearest
from ce_jax.config import ConfigError, LatentSearch, LowRank
from ce_jax.holes import HoleError
from ce_jax.images import UnreadableImage
from ce_jax.runs import releases
from ce_jax.systems.context_encoder import training_holes

SEARCH = LatentSearch(steps=2, rate=0.1)


def photograph(seed, *shape, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype)


def hole_of(height, width):
    hole = np.zeros((height, width), bool)
    hole[height // 3 : height // 2, width // 3 : width // 2] = True
    return hole


def test_the_example_in_the_docs_runs():
    assert doctest.testmod(api) == doctest.TestResults(failed=0, attempted=7)


def test_it_is_what_the_command_writes(tmp_path, model):
    """For the same names and the same number of images in a batch, to the last bit."""
    shapes = [(40, 60), (64, 50), (32, 32)]
    given = [photograph(i, *shape, 3) for i, shape in enumerate(shapes)]
    missing = [hole_of(*shape) for shape in shapes]
    for i, (image, hole) in enumerate(zip(given, missing, strict=True)):
        images.write_png(tmp_path / f"in/{i:06d}.png", image)
        white = np.repeat(hole[..., None] * np.uint8(255), 3, axis=-1)
        images.write_png(tmp_path / f"holes/{i:06d}.png", white)
    config = latent(f"folder:{tmp_path}/in", tmp_path / "out", model)
    config = replace(config, holes=str(tmp_path / "holes"), frame=None, latent=SEARCH, batch_size=8)
    with tiny.quickly(tiny.EXACTLY):
        assert batch.inpaint(config).done == 3
        completed = ce_jax.inpaint(given, missing, model=model, latent=SEARCH, seed=config.seed)
    for i, (image, hole) in enumerate(zip(given, missing, strict=True)):
        written = images.read(tmp_path / f"out/images/{i:06d}.png")
        assert np.array_equal(completed[i], written)
        assert np.array_equal(completed[i][~hole], image[~hole])
        assert not np.array_equal(completed[i][hole], image[hole])


@pytest.mark.parametrize(
    "given",
    [
        photograph(0, 20, 30),
        photograph(1, 20, 30, 1),
        photograph(2, 20, 30, 2),
        photograph(3, 20, 30, 4),
        photograph(4, 20, 30, dtype=np.uint16),
        photograph(5, 2, 20, 30, 3),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_arrays_come_back_as_arrays_of_their_kind(given):
    hole = hole_of(20, 30)
    before = given.copy()
    completed = ce_jax.inpaint(given, hole, method="laplace")
    assert (completed.dtype, completed.shape) == (given.dtype, given.shape)
    assert np.array_equal(given, before)
    pairs = zip(given, completed, strict=True) if given.ndim == 4 else [(given, completed)]
    for image, filled in pairs:
        changed = (image != filled).reshape(20, 30, -1).any(axis=-1)
        assert changed[hole].mean() > 0.9
        assert not changed[~hole].any()


def test_alpha_stays_as_it_was_in_the_hole_too():
    given = photograph(6, 20, 30, 4)
    completed = ce_jax.inpaint(given, hole_of(20, 30), method="laplace")
    assert np.array_equal(completed[..., 3], given[..., 3])


def test_pictures_come_back_as_pictures_upright_with_their_profile():
    stored = Image.fromarray(photograph(7, 20, 30, 3))
    exif = stored.getexif()
    exif[0x0112] = 6  # turned by a quarter
    buffer = io.BytesIO()
    stored.save(buffer, "PNG", exif=exif, icc_profile=b"a profile")
    given = Image.open(buffer)
    hole = Image.fromarray(hole_of(30, 20) * np.uint8(255))
    completed = ce_jax.inpaint([given], hole, method="laplace")[0]
    assert isinstance(completed, Image.Image)
    assert completed.size == (20, 30)
    assert completed.info["icc_profile"] == b"a profile"
    known = ~hole_of(30, 20)
    assert given.size == (30, 20) and given.getexif()[0x0112] == 6, "theirs was changed"
    upright = np.asarray(images.turn_upright(given))
    assert np.array_equal(np.asarray(completed)[known], upright[known])


def test_nothing_missing_is_given_back_as_it_was():
    given = photograph(8, 20, 30, 3)
    assert np.array_equal(ce_jax.inpaint(given, np.zeros((20, 30), bool), method="laplace"), given)


def test_what_stands_in_the_hole_is_not_read(model):
    hole = hole_of(40, 60)
    given = photograph(9, 40, 60, 3)
    other = np.where(hole[..., None], photograph(10, 40, 60, 3), given)
    fields = {"model": model, "latent": SEARCH}
    with tiny.quickly():
        one, two = (ce_jax.inpaint(image, hole, **fields) for image in (given, other))
    assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("images", "holes", "error", "complaint"),
    [
        (np.zeros((4, 4, 3)), hole_of(4, 4), UnreadableImage, r"image 0 is float64 \[4, 4, 3\]"),
        (np.zeros((4, 4, 5), np.uint8), hole_of(4, 4), UnreadableImage, r"\[4, 4, 5\]"),
        (np.zeros((6, 4, 3), np.uint8), hole_of(4, 6), HoleError, "hole 0 .* its image is 4x6"),
        ([photograph(0, 6, 6, 3)] * 3, [hole_of(6, 6)] * 2, HoleError, "2 holes for 3 images"),
        (photograph(0, 6, 6, 3), np.zeros((6, 6)), HoleError, "a hole is float64"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(images, holes, error, complaint):
    with pytest.raises(error, match=complaint) as caught:
        ce_jax.inpaint(images, holes, method="laplace")
    assert "\n" not in str(caught.value)


def test_images_that_have_no_completion_do_not_take_the_others_with_them():
    given = [photograph(i, 64, 64, 3) for i in range(3)]
    holes = [hole_of(64, 64) for _ in given]
    holes[1] = np.zeros((64, 64), bool)
    holes[1][20] = True  # a row that is missing whole
    few = LowRank(steps=1)
    with pytest.raises(ce_jax.Incomplete, match="image 1 has no completion: low-rank") as caught:
        ce_jax.inpaint(given, holes, method="low-rank", low_rank=few, batch_size=8)
    completed = caught.value.completed
    assert completed[1] is None
    for i in (0, 2):
        assert np.array_equal(completed[i][~holes[i]], given[i][~holes[i]])


def test_a_hole_that_cannot_be_placed_fails_alone():
    long = np.zeros((9000, 4, 3), np.uint8)
    given = [Image.fromarray(photograph(0, 40, 40, 3)), long]
    holes = [hole_of(40, 40), np.ones((9000, 4), bool)]
    with pytest.raises(ce_jax.Incomplete, match="image 1 has no completion: the hole is") as caught:
        ce_jax.inpaint(given, holes, method="laplace", batch_size=8)
    completed, none = caught.value.completed
    assert isinstance(completed, Image.Image) and completed.size == (40, 40), "not as it was given"
    assert none is None


def stored(array, kind="PNG", **options):
    """A picture as somebody opens it: its pixels are not read yet."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer


def test_a_picture_that_is_cut_off_fails_alone():
    whole = photograph(0, 40, 40, 3)
    for kind in ("PNG", "JPEG"):
        data = stored(photograph(1, 40, 40, 3), kind).getvalue()
        cut = Image.open(io.BytesIO(data[: len(data) // 2]))
        hole = hole_of(40, 40)
        with pytest.raises(
            ce_jax.Incomplete, match=r"image 1 has no completion: .*trunc"
        ) as caught:
            ce_jax.inpaint([whole, cut, whole], hole, method="laplace", batch_size=8)
        assert "\n" not in str(caught.value)
        first, none, last = caught.value.completed
        assert none is None
        assert np.array_equal(first, ce_jax.inpaint(whole, hole, method="laplace"))
        assert np.array_equal(first, last)


def test_a_hole_may_be_a_picture_of_any_kind():
    """Of 16 bits, whose white is 65535 and whose dark grey is none; turned as its EXIF says."""
    given, hole = photograph(2, 30, 20, 3), hole_of(30, 20)
    expected = ce_jax.inpaint(given, hole, method="laplace")
    fine = np.where(hole, np.uint16(50_000), np.uint16(30_000))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    lying = np.rot90(hole * np.uint8(255))
    for drawn in (stored(fine), stored(lying, exif=exif)):
        completed = ce_jax.inpaint(given, Image.open(drawn), method="laplace")
        assert np.array_equal(completed, expected)


@pytest.mark.parametrize("made", [np.asarray, Image.fromarray])
def test_a_hole_that_is_nowhere_white_is_refused_and_a_black_one_is_none(made):
    given, hole = photograph(3, 40, 40, 3), hole_of(40, 40).astype(np.uint8)
    with pytest.raises(HoleError, match=r"brightest value is 1 of 255, and white \(128 or more\)"):
        ce_jax.inpaint(given, made(hole), method="laplace")
    assert np.array_equal(ce_jax.inpaint(given, made(0 * hole), method="laplace"), given)


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "YCbCr"])
def test_a_picture_that_becomes_rgb_loses_the_profile_of_what_it_was(mode):
    given = Image.fromarray(photograph(7, 20, 30, 3))
    given = given.convert(mode) if mode != "LAB" else Image.merge("LAB", given.split())
    given.info["icc_profile"] = b"of other colours"
    completed = ce_jax.inpaint(given, hole_of(20, 30), method="laplace")
    assert completed.mode == "RGB"
    assert "icc_profile" not in completed.info


def test_a_hole_that_is_cut_off_is_said_in_one_line():
    data = stored(hole_of(40, 40) * np.uint8(255)).getvalue()
    cut = Image.open(io.BytesIO(data[: len(data) // 2]))
    with pytest.raises(HoleError, match=r"a hole cannot be read: .*trunc"):
        ce_jax.inpaint(photograph(3, 40, 40, 3), cut, method="laplace")


def test_fields_that_mean_nothing_are_refused_and_no_images_are_none():
    with pytest.raises(ConfigError, match="shard means nothing here; known are model"):
        ce_jax.inpaint([], [], shard="0/2")
    assert ce_jax.inpaint([], [], method="laplace") == []


def test_neither_another_seed_nor_another_number_of_images_compiles_anew(model):
    api._inpainter.cache_clear()
    given, hole = [photograph(i, 32, 32, 3) for i in range(7)], hole_of(32, 32)
    fields = {"model": model, "latent": SEARCH}
    with tiny.quickly():
        first = ce_jax.inpaint(given[:3], hole, **fields)
    again = ce_jax.inpaint(given, hole, **fields)
    other = ce_jax.inpaint(given, hole, seed=1, **fields)
    assert api._inpainter.cache_info().misses == 1
    assert np.array_equal(first, again[:3])
    assert not np.array_equal(again, other)


def test_a_hole_that_is_drawn_in_alpha_is_refused():
    drawn = np.dstack([*3 * [np.full((40, 50), 255, np.uint8)], 255 * hole_of(40, 50)])
    picture = Image.fromarray(drawn.astype(np.uint8))
    with pytest.raises(HoleError, match=r"a hole .* drawn in the alpha channel; draw it white"):
        ce_jax.inpaint(photograph(0, 40, 50, 3), picture, method="laplace")


def test_a_collection_has_the_holes_of_its_network_and_of_the_seed(monkeypatch, tmp_path):
    asked = []

    def watched(*_, **options):
        asked.append((options["kinds"], options["seed"]))
        return laplace.propose

    monkeypatch.setattr(nearest, "feature_method", watched)
    trained = untrained.networks(tiny.context_encoder())
    model = tmp_path / "encoder.safetensors"
    model.write_bytes(releases.pack(trained))
    ce_jax.inpaint(
        photograph(0, 40, 50, 3),
        hole_of(40, 50),
        method="nearest",
        collection="bundled:digits[:8]",
        model=str(model),
        seed=3,
    )
    assert asked == [(training_holes(trained.config.model, 32), 3)]


def test_the_seed_reaches_a_library_that_draws_by_itself(monkeypatch):
    seeds = []
    monkeypatch.setitem(
        sys.modules,
        "patchmatch",
        SimpleNamespace(
            set_random_seed=seeds.append, inpaint=lambda image, hole, patch_size: image
        ),
    )
    for seed in (3, 4):
        ce_jax.inpaint(photograph(0, 64, 64, 3), hole_of(64, 64), method="patchmatch", seed=seed)
    assert sorted(set(seeds)) == [3, 4]


def test_importing_the_package_loads_nothing_and_names_what_there_is():
    told = python("import sys, ce_jax; print('inpaint' in dir(ce_jax), 'jax' in sys.modules)")
    assert told == "True False\n"


def test_sixteen_bits_are_as_fine_as_they_were():
    ramp = np.linspace(0, 65535, 900).astype(np.uint16).reshape(20, 45)
    completed = ce_jax.inpaint(ramp, hole_of(20, 45), method="laplace")
    assert len(np.unique(completed)) > 256
    assert photographs.whole(Image.fromarray(completed)).pixels.dtype == np.uint16
