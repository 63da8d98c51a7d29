"""Holes have the promised size, depend on their own key alone, and are read as users drew them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.interpolate import CubicHermiteSpline

from ce_jax import holes

PIXELS_OF_37X37 = {
    "center": 18 * 18,
    "center:5": 5 * 5,
    "block": 18 * 18,
    "block:7": 7 * 7,
    "random": 1095,
    "random:0.3": 411,
    "pattern": 342,
    "pattern:0.4": 548,
    "half": 18 * 37,
    "half:left": 18 * 37,
    "half:right": 18 * 37,
    "half:top": 18 * 37,
    "half:bottom": 18 * 37,
}


def keys_of(*seeds):
    return jax.vmap(jax.random.key)(jnp.array(seeds))


compiled = jax.jit(holes.draw, static_argnums=0, static_argnames="size")


def drawn(spec, *seeds, size=37):
    return np.asarray(compiled(holes.parse(spec), keys_of(*seeds), size=size))


def saved(path, values, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values))
    (image.convert(mode) if mode else image).save(path)
    return path


@pytest.fixture
def disc():
    """A hole in the shape of a disc that touches a border, as uint8 [9, 12]."""
    y, x = np.mgrid[:9, :12]
    return np.where((y - 4) ** 2 + (x - 9) ** 2 < 12, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("spec", PIXELS_OF_37X37)
def test_a_kind_is_hashable_and_written_as_it_is_read(spec):
    kind = holes.parse(spec)
    assert holes.parse(str(kind)) == kind
    assert {kind: 1}[holes.parse(spec)] == 1


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("centre", "'centre' is unknown; did you mean center\\? kinds are center, block, random"),
        ("xyz:3", "'xyz:3' is unknown; kinds are"),
        ("random:1.5", "'random:1.5': 1.5 is not a share above 0 and below 1, as in random:0.8"),
        ("random:0", "0 is not a share"),
        ("pattern:nan", "nan is not a share"),
        ("pattern:lots", "'lots' is not a share"),
        ("center:0", "0 is not a side"),
        ("block:2.5", "2.5 is not a side in whole pixels, as in block:24"),
        ("half:middle", "'middle' is not left, right, top or bottom"),
        ("half:", "'' is not left, right, top or bottom"),
    ],
)
def test_a_kind_that_cannot_be_drawn_is_refused_with_its_value_and_a_remedy(spec, complaint):
    with pytest.raises(holes.HoleError, match=complaint):
        holes.parse(spec)


@pytest.mark.parametrize("spec", ["center:37", "block:40", "random:0.0001", "pattern:0.9999"])
def test_a_hole_that_leaves_nothing_to_do_or_nothing_to_do_it_from_is_refused(spec):
    with pytest.raises(holes.HoleError, match=f"'{spec}' .*; use "):
        drawn(spec, 0)


@pytest.mark.parametrize(("spec", "pixels"), PIXELS_OF_37X37.items())
def test_every_hole_has_exactly_the_pixels_its_kind_promises(spec, pixels):
    hole = drawn(spec, 3, 7, 5)
    assert hole.shape == (3, 37, 37, 1)
    assert hole.dtype == bool
    np.testing.assert_array_equal(hole.sum((1, 2, 3)), pixels)


@pytest.mark.parametrize("spec", ["center", "block", "random", "pattern", "half"])
def test_a_hole_depends_on_its_own_key_alone_and_is_the_same_without_jit(spec):
    alone, batch = drawn(spec, 7), drawn(spec, 3, 7, 5)
    uncompiled = holes.draw(holes.parse(spec), keys_of(7, 5), size=37)
    np.testing.assert_array_equal(batch[1], alone[0])
    np.testing.assert_array_equal(batch[1:], uncompiled)


@pytest.mark.parametrize("spec", ["block", "random", "pattern", "half"])
def test_other_keys_give_other_holes(spec):
    assert len({hole.tobytes() for hole in drawn(spec, 3, 7, 5)}) > 1


def test_each_key_chooses_among_kinds_by_itself():
    kinds = tuple(map(holes.parse, ("center:3", "random", "block:20")))
    draw_any = jax.jit(holes.draw_any, static_argnums=0, static_argnames="size")
    batch = np.asarray(draw_any(kinds, keys_of(*range(16)), size=37))
    assert set(batch.sum((1, 2, 3))) == {3 * 3, 1095, 20 * 20}
    np.testing.assert_array_equal(draw_any(kinds, keys_of(9), size=37)[0], batch[9])


def test_center_is_the_middle_square():
    expected = np.zeros((8, 8), bool)
    expected[2:6, 2:6] = True
    np.testing.assert_array_equal(drawn("center", 0, size=8)[0, ..., 0], expected)


def test_blocks_reach_every_corner():
    hole = drawn("block:6", *range(60), size=8)[..., 0]
    assert hole[:, [0, 0, -1, -1], [0, -1, 0, -1]].any(0).all()


@pytest.mark.parametrize(
    ("edge", "border"), [("left", (..., 0)), ("right", (..., -1)), ("top", 0), ("bottom", -1)]
)
def test_a_half_lies_at_its_edge(edge, border):
    hole = drawn(f"half:{edge}", 0, size=9)[0, ..., 0]
    assert hole[border].all()
    assert not hole[::-1, ::-1][border].any()


def test_random_pixels_are_spread_evenly():
    share = drawn("random:0.5", *range(400), size=8).mean(0)
    assert abs(share - 0.5).max() < 0.15  # six standard deviations


def test_pattern_is_smooth_and_favours_no_place():
    hole = drawn("pattern", *range(400), size=64)[..., 0]
    assert np.diff(hole, axis=1).mean() < 0.06  # of independent pixels, 0.375 differ
    assert abs(hole.mean(0) - 0.25).max() < 0.15


def test_noise_is_enlarged_bicubically():
    cells, at = np.random.default_rng(0).random(8), np.arange(16, 96)
    weights = np.asarray(holes._bicubic_weights(jnp.asarray(at), 8)) / (2 * 16**3)
    catmull_rom = CubicHermiteSpline(np.arange(8), cells, np.gradient(cells))
    np.testing.assert_allclose(weights @ cells, catmull_rom(at / 16), atol=1e-12)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_white_is_missing_whatever_the_kind_of_picture(tmp_path, disc, mode):
    path = saved(tmp_path / ("hole.tif" if mode == "CMYK" else "hole.png"), disc, mode)
    np.testing.assert_array_equal(holes.read(path), disc[..., None] == 255)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path):
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert holes.read(saved(tmp_path / "ramp.png", ramp)).mean() == 0.5


def test_from_128_on_grey_counts_as_white(tmp_path):
    path = saved(tmp_path / "grey.png", np.array([[0, 127, 128, 255]], np.uint8))
    np.testing.assert_array_equal(holes.read(path)[0, :, 0], [False, False, True, True])


@pytest.mark.parametrize("luma", [0, 255])
def test_a_hole_drawn_in_the_alpha_channel_is_refused(tmp_path, disc, luma):
    picture = np.dstack([np.full((9, 12, 3), luma, np.uint8), disc])
    with pytest.raises(holes.HoleError, match=r"hole\.png is drawn in the alpha channel; draw it"):
        holes.read(saved(tmp_path / "hole.png", picture))


def test_a_hole_without_a_missing_pixel_is_a_hole(tmp_path):
    assert not holes.read(saved(tmp_path / "none.png", np.zeros((4, 4), np.uint8))).any()


@pytest.mark.parametrize("cut", [0, 3, 40])
def test_a_damaged_file_gives_one_clear_line(tmp_path, disc, cut):
    path = saved(tmp_path / "hole.png", disc)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(holes.HoleError, match=r"hole .*hole\.png") as error:
        holes.read(path)
    assert "\n" not in str(error.value)


def test_the_soft_share_counts_what_is_neither_black_nor_white(tmp_path):
    path = saved(tmp_path / "soft.png", np.array([[0, 16, 17, 100, 238, 239, 255, 255]], np.uint8))
    assert holes.soft_share(path) == 3 / 8


def test_one_file_serves_all_images(tmp_path, disc):
    files = holes.open_files(saved(tmp_path / "hole.png", disc))
    np.testing.assert_array_equal(files.for_image("a/b.jpg"), files.for_image("c.png"))


@pytest.mark.parametrize(
    ("image", "hole"),
    [
        ("a.jpg", "a.png"),
        ("a.png", "a.PNG"),
        ("a.v1.jpg", "a.v1.png"),
        ("a.v1", "a.v1.bmp"),
        ("sub/ü b.jpeg", "sub/ü b.png"),
    ],
)
def test_an_image_finds_the_hole_of_the_same_stem(tmp_path, disc, image, hole):
    for name in ("other.png", hole):
        saved(tmp_path / name, disc)
    assert holes.open_files(tmp_path).path_for(image) == tmp_path / hole


def test_of_two_holes_the_one_of_the_very_same_name_is_taken(tmp_path, disc):
    for name in ("a.png", "a.bmp"):
        saved(tmp_path / name, disc)
    files = holes.open_files(tmp_path)
    assert files.path_for("a.png") == tmp_path / "a.png"
    with pytest.raises(holes.HoleError, match=r"a\.jpg has several holes, .*a\.bmp, .*a\.png"):
        files.path_for("a.jpg")


def test_an_image_without_a_hole_is_named_with_the_folder_and_what_was_expected(tmp_path, disc):
    saved(tmp_path / "a.png", disc)
    files = holes.open_files(tmp_path)
    with pytest.raises(holes.HoleError, match=rf"sub/a\.jpg has no .* {tmp_path}.* sub/a\.png"):
        files.for_image("sub/a.jpg")


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "readme.txt").write_text("no hole here")
    (tmp_path / "._a.png").write_bytes(b"left behind by a file manager")
    with pytest.raises(holes.HoleError, match=r"the folder holds no pictures \(\.png"):
        holes.open_files(tmp_path)


def test_holes_on_the_command_line_are_a_kind_or_a_path(tmp_path, disc, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "center" / "a.png", disc)
    assert holes.resolve("center") == holes.HoleKind("center")
    assert isinstance(holes.resolve("./center"), holes.HoleFiles)
    assert isinstance(holes.resolve("center/a.png"), holes.HoleFiles)
    with pytest.raises(holes.HoleError, match=r"'centr' are neither a file .* did you mean center"):
        holes.resolve("centr")
    with pytest.raises(holes.HoleError, match="is not a share"):
        holes.resolve("random:80")
    with pytest.raises(holes.HoleError, match="no such file"):
        holes.open_files("nowhere")
