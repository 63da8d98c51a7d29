"""Holes are read as users drew them, and found where users put them."""

import numpy as np
import pytest
from folders import FRAME, laplace
from PIL import Image

from ce_jax import holes
from ce_jax.holes import hole_files
from ce_jax.holes.hole_sets import HoleSet
from ce_jax.inpainting.pairing import pair
from ce_jax.sources import open_source


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


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_white_is_missing_whatever_the_kind_of_picture(tmp_path, disc, mode):
    path = saved(tmp_path / ("hole.tif" if mode == "CMYK" else "hole.png"), disc, mode)
    np.testing.assert_array_equal(hole_files.read(path)[0], disc[..., None] == 255)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path):
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert hole_files.read(saved(tmp_path / "ramp.png", ramp))[0].mean() == 0.5


def test_from_128_on_grey_counts_as_white(tmp_path):
    path = saved(tmp_path / "grey.png", np.array([[0, 127, 128, 255]], np.uint8))
    np.testing.assert_array_equal(hole_files.read(path)[0][0, :, 0], [False, False, True, True])


FAINT = {
    "of 0 and 1": np.eye(4, dtype=np.uint8),
    "in pure red": np.eye(4, dtype=np.uint8)[..., None] * np.array([255, 0, 0], np.uint8),
    "of 16 bits, 0 and 255": np.eye(4, dtype=np.uint16) * np.uint16(255),
    "of 16 bits, 0 and 1": np.eye(4, dtype=np.uint16),
}


@pytest.mark.parametrize("drawn", FAINT.values(), ids=FAINT)
def test_a_hole_that_is_drawn_but_nowhere_white_is_refused(tmp_path, drawn):
    with pytest.raises(holes.HoleError, match=r"hole\.png: its brightest .* multiply 0 and 1 by"):
        hole_files.read(saved(tmp_path / "hole.png", drawn))


@pytest.mark.parametrize("luma", [0, 255])
def test_a_hole_drawn_in_the_alpha_channel_is_refused(tmp_path, disc, luma):
    picture = np.dstack([np.full((9, 12, 3), luma, np.uint8), disc])
    with pytest.raises(
        holes.HoleError, match=r"hole\.png: it is drawn in the alpha channel; draw it"
    ):
        hole_files.read(saved(tmp_path / "hole.png", picture))


def test_a_hole_without_a_missing_pixel_is_a_hole(tmp_path):
    assert not hole_files.read(saved(tmp_path / "none.png", np.zeros((4, 4), np.uint8)))[0].any()


@pytest.mark.parametrize("cut", [0, 3, 40])
def test_a_damaged_file_gives_one_clear_line(tmp_path, disc, cut):
    path = saved(tmp_path / "hole.png", disc)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(holes.HoleError, match=r"hole .*hole\.png") as error:
        hole_files.read(path)
    assert "\n" not in str(error.value)


def test_one_file_serves_all_images(tmp_path, disc):
    files = hole_files.open_files(saved(tmp_path / "hole.png", disc))
    assert files.path_for("a/b.jpg") == files.path_for("c.png") == tmp_path / "hole.png"


def test_one_file_is_decoded_once_until_it_changes(tmp_path, disc, monkeypatch):
    decoded = []
    read = hole_files.read
    path = saved(tmp_path / "hole.png", disc)
    for name in "abc":
        saved(tmp_path / "in" / f"{name}.png", np.dstack([disc] * 3))
    config = laplace(f"folder:{tmp_path / 'in'}", tmp_path / "out")
    pairing = pair(
        config, open_source(config.images), FRAME, hole_files.open_files(path), whole=True
    )
    monkeypatch.setattr(hole_files, "read", lambda file: decoded.append(file) or read(file))
    first = [pairing.load(index).hole for index in range(3)]
    assert decoded == [path]
    saved(path, 0 * disc)
    assert first[2].any() and not pairing.load(2).hole.any()


@pytest.mark.parametrize(
    ("image", "hole"),
    [
        ("a.jpg", "a.png"),
        ("a.png", "a.PNG"),
        ("a.v1.jpg", "a.v1.png"),
        ("a.v1", "a.v1.bmp"),
        ("a.jpg", "a.jpg.png"),
        ("sub/ü b.jpeg", "sub/ü b.png"),
    ],
)
def test_an_image_finds_the_hole_of_the_same_stem(tmp_path, disc, image, hole):
    for name in ("other.png", hole):
        saved(tmp_path / name, disc)
    assert hole_files.open_files(tmp_path).path_for(image) == tmp_path / hole


def test_of_two_holes_the_one_of_the_very_same_name_is_taken(tmp_path, disc):
    for name in ("a.png", "a.bmp"):
        saved(tmp_path / name, disc)
    files = hole_files.open_files(tmp_path)
    assert files.path_for("a.png") == tmp_path / "a.png"
    with pytest.raises(holes.HoleError, match=r"a\.jpg has several holes, .*a\.bmp, .*a\.png"):
        files.path_for("a.jpg")


def test_images_that_keep_their_endings_find_holes_of_their_own(tmp_path, disc):
    for name in ("a.jpg.png", "a.png.png", "a.png", "b.jpg", "b.png", "sub/c.png", "idle.png"):
        saved(tmp_path / name, disc)
    files = hole_files.open_files(tmp_path)
    images = ("a.jpg", "a.png", "b.jpg", "b.png", "sub/c.jpg", "sub/c.png")
    holes_ = ("a.jpg.png", "a.png.png", "b.jpg", "b.png", "sub/c.png", "sub/c.png")
    assert [files.path_for(name) for name in images] == [tmp_path / name for name in holes_]
    assert files.idle(images) == [tmp_path / "a.png", tmp_path / "idle.png"]
    assert files.path_for("d.jpg", optional=True) is None


@pytest.mark.parametrize(
    ("images", "files"),
    [
        (["Screenshot 10.00\u202fAM.png"], ["Screenshot 10.00\u202fAM.png"]),
        (["two\nlines/a.jpg", "b\udcff.jpg"], ["two\nlines/a.png", "b\udcff.png"]),
        (["c\t.jpg", "c\t.png"], ["c\t.jpg", "c\t.png"]),
    ],
)
def test_holes_are_found_whose_names_cannot_be_printed(tmp_path, disc, images, files):
    for name in images:
        saved(tmp_path / "images" / name, disc)
    for name in files:
        saved(tmp_path / "holes" / name, disc)
    found = hole_files.open_files(tmp_path / "holes")
    names = open_source(f"folder:{tmp_path}/images").names
    assert sorted(map(found.path_for, names)) == sorted(tmp_path / "holes" / name for name in files)
    assert not found.idle(names)


def test_holes_are_found_behind_links_as_images_are(tmp_path, disc):
    saved(tmp_path / "elsewhere" / "a.png", disc)
    (tmp_path / "holes").mkdir()
    (tmp_path / "holes" / "part").symlink_to(tmp_path / "elsewhere")
    files = hole_files.open_files(tmp_path / "holes")
    assert files.path_for("part/a") == tmp_path / "holes" / "part" / "a.png"


def test_soft_pixels_are_counted(tmp_path):
    grey = np.array([[0, 31, 32, 127], [128, 223, 224, 255]], np.uint8)
    hole, soft = hole_files.read(saved(tmp_path / "soft.png", grey))
    assert soft == 0.5
    assert hole.sum() == 4


def test_an_image_without_a_hole_is_named_with_the_folder_and_what_was_expected(tmp_path, disc):
    saved(tmp_path / "a.png", disc)
    files = hole_files.open_files(tmp_path)
    with pytest.raises(holes.HoleError, match=rf"sub/a\.jpg has no .* {tmp_path}.* sub/a\.png"):
        files.path_for("sub/a.jpg")


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "readme.txt").write_text("no hole here")
    (tmp_path / "._a.png").write_bytes(b"left behind by a file manager")
    with pytest.raises(holes.HoleError, match=r"the folder holds no pictures \(\.png"):
        hole_files.open_files(tmp_path)


def test_holes_on_the_command_line_are_a_kind_or_a_path(tmp_path, disc, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "center" / "a.png", disc)
    assert hole_files.resolve("center", seed=3) == HoleSet(holes.HoleKind("center"), 3)
    assert isinstance(hole_files.resolve("./center", seed=0), hole_files.HoleFiles)
    assert isinstance(hole_files.resolve("center/a.png", seed=0), hole_files.HoleFiles)
    with pytest.raises(holes.HoleError, match=r"'centr' are neither a file .* did you mean center"):
        hole_files.resolve("centr", seed=0)
    with pytest.raises(holes.HoleError, match="is not a share"):
        hole_files.resolve("random:80", seed=0)
    with pytest.raises(holes.HoleError, match="no such file"):
        hole_files.open_files("nowhere")
