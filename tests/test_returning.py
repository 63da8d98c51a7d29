"""With hole files, photographs come back whole, as they came: size, kind, alpha, EXIF, profile."""

import time

import numpy as np
import pytest
from folders import contents, hole_file, laplace, manifest, noise, photographs, pictures
from PIL import Image, ImageCms

from ce_jax import images
from ce_jax.batch import inpaint
from ce_jax.config import ConfigError, Frame, Inpainting
from ce_jax.holes import HoleError
from ce_jax.inpainting import returning

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def whole(source, output, holes, **changes):
    return laplace(source, output, **({"holes": str(holes), "frame": None} | changes))


def smooth(height, width, *, channels=3):
    y, x = np.mgrid[:height, :width]
    values = [y * 2, x * 2, y + x, np.where((x + y) % 7, 200, 90)]
    return (np.stack(values[:channels], axis=-1) % 256).astype(np.uint8)


def as_stored(path):
    """Pixels with alpha, and what else a viewer needs."""
    with Image.open(path) as picture:
        picture.load()
        return np.array(picture), picture.mode, picture.info.get("icc_profile"), picture.getexif()


BOX = (70, 20, 95, 50)  # in photographs of 60x120


@pytest.fixture(scope="module")
def returned(tmp_path_factory):
    """Photographs of every kind with the same hole, and what came back."""
    root = tmp_path_factory.mktemp("returned")
    folder, drawn = root / "in", root / "holes"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a walk"
    colour = Image.fromarray(smooth(60, 120))
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(smooth(60, 120))))
    turned.save(folder / "turned.jpg", exif=exif, icc_profile=PROFILE, quality=95)
    Image.fromarray(smooth(60, 120, channels=4)).save(folder / "rgba.png", icc_profile=PROFILE)
    Image.fromarray(smooth(60, 120)[..., 0]).save(folder / "grey.png")
    Image.fromarray(smooth(60, 120)[..., :2]).save(folder / "la.png")
    sixteen = smooth(60, 120)[..., 2].astype(np.uint16) * 257 + 31
    Image.fromarray(sixteen).save(folder / "sixteen.png")
    colour.quantize(64).save(folder / "palette.png", transparency=3)
    colour.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    Image.fromarray(smooth(60, 120)[..., 0] > 99).save(folder / "bits.png")
    images.write_png(folder / "same.png", smooth(60, 120))
    colour.save(folder / "same.jpg", quality=95)
    exif[0x0112] = 1
    colour.save(folder / "empty.png", exif=exif, compress_level=1)
    colour.save(folder / "empty-too.webp", lossless=True)
    images.write_png(folder / "long.png", smooth(37, 501))
    images.write_png(folder / "dot.png", smooth(90, 80))
    names = {path.stem for path in folder.iterdir()} - {"same"}
    for name in (*names, "same.jpg", "same.png"):
        hole_file(drawn / f"{name}.png", BOX, height=60, width=120)
    hole_file(drawn / "long.png", (50, 10, 400, 30), height=37, width=501)
    hole_file(drawn / "dot.png", (40, 41, 41, 42), height=90, width=80)
    for name in ("empty", "empty-too"):
        hole_file(drawn / f"{name}.png", (0, 0, 0, 0), height=60, width=120)
    assert inpaint(whole(f"folder:{folder}", root / "out", drawn)) == (14, 0, 14, False)
    return root


KINDS = {
    "turned.jpg": "RGB",
    "rgba.png": "RGBA",
    "grey.png": "L",
    "la.png": "LA",
    "sixteen.png": "I;16",
    "palette.png": "RGBA",
    "cmyk.jpg": "RGB",
    "bits.png": "L",
    "same.jpg": "RGB",
    "same.png": "RGB",
    "long.png": "RGB",
    "dot.png": "RGB",
}


@pytest.mark.parametrize("file", KINDS)
def test_a_photograph_of_any_kind_comes_back_in_it_with_its_known_pixels(returned, file):
    name = file if file.startswith("same") else file.partition(".")[0]
    found, mode, profile, exif = as_stored(returned / "out" / "images" / f"{name}.png")
    assert mode == KINDS[file]
    with Image.open(returned / "in" / file) as picture:
        upright = picture if file != "turned.jpg" else picture.transpose(Image.Transpose.ROTATE_270)
        as_it_was = upright if "16" in mode else upright.convert(mode)
        expected = np.asarray(as_it_was).reshape(found.shape)
    hole = images.read(returned / "holes" / f"{name}.png")[..., 0] >= 128
    changed = (found != expected).reshape(*hole.shape, -1)
    assert not changed[~hole].any()
    if mode.endswith("A"):
        assert not changed[..., -1].any()
    if file in ("turned.jpg", "rgba.png"):
        assert profile == PROFILE
    assert dict(exif) == ({0x010E: "a walk"} if file == "turned.jpg" else {})
    # What is smooth around the hole is smooth within.
    if file in ("grey.png", "sixteen.png", "rgba.png", "turned.jpg", "long.png", "dot.png"):
        top = 65535 if "16" in mode else 255
        error = np.abs(found.astype(float) - expected)[hole]
        assert error.mean() < (0.25 if file == "long.png" else 0.08) * top


def test_without_a_hole_a_png_comes_back_byte_for_byte_and_others_pixel_for_pixel(returned):
    records = manifest(returned / "out")
    for name, file in (("empty", "empty.png"), ("empty-too", "empty-too.webp")):
        assert records[name]["note"] == "nothing to do: the hole is empty"
        came = returned / "out" / "images" / f"{name}.png"
        assert np.array_equal(images.read(came), images.read(returned / "in" / file))
    originals = (returned / "in" / "empty.png", returned / "out" / "images" / "empty.png")
    assert originals[0].read_bytes() == originals[1].read_bytes()


def test_the_manifest_says_which_square_was_completed(returned):
    records = manifest(returned / "out")
    assert records["grey"]["square"] == {"top": 0, "left": 52, "side": 60}
    assert records["grey"]["missing"] == round(25 * 30 / (60 * 120), 4)
    assert records["dot"]["missing"] == round(1 / (90 * 80), 4)
    assert records["dot"]["note"] == ""
    assert records["turned"]["figures"] == {}


def test_neither_the_hole_nor_the_company_has_an_influence(tmp_path, returned):
    hole = returned / "holes" / "grey.png"
    for name in ("grey", "la"):
        with Image.open(returned / "in" / f"{name}.png") as picture:
            tampered = np.array(picture)
        left, top, right, bottom = BOX
        tampered[top:bottom, left:right] ^= 255
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(tampered).save(tmp_path / "in" / f"{name}.png")
    inpaint(whole(f"folder:{tmp_path / 'in'}[:1]", tmp_path / "out", hole))
    found = as_stored(tmp_path / "out" / "images" / "grey.png")
    assert np.array_equal(found[0], as_stored(returned / "out" / "images" / "grey.png")[0])


def test_a_photograph_that_changes_meanwhile_is_named_and_done_the_next_time(tmp_path, monkeypatch):
    source = photographs(tmp_path / "in", "a", "b")
    hole = hole_file(tmp_path / "hole.png", (9, 9, 20, 20))
    paste = returning.paste

    def change(*arguments, **more):
        images.write_png(tmp_path / "in" / "b.png", noise(7))
        return paste(*arguments, **more)

    monkeypatch.setattr(returning, "paste", change)
    monkeypatch.setattr("ce_jax.inpainting.results._WRITERS", 1)
    config = whole(source, tmp_path / "out", hole)
    assert inpaint(config) == (1, 1, 2, False)
    told = "b.png: changed while it was being completed"
    assert told in manifest(tmp_path / "out")["b"]["reason"]
    monkeypatch.undo()
    assert inpaint(config) == (2, 0, 2, False)
    completed = images.read(tmp_path / "out" / "images" / "b.png")
    assert np.array_equal(completed[20:], noise(7)[20:])


def test_a_photograph_that_vanishes_meanwhile_fails_alone(tmp_path, monkeypatch):
    source = photographs(tmp_path / "in", "a", "b")
    hole = hole_file(tmp_path / "hole.png", (9, 9, 20, 20))
    paste = returning.paste

    def remove(*arguments, **more):
        (tmp_path / "in" / "b.png").unlink(missing_ok=True)
        return paste(*arguments, **more)

    monkeypatch.setattr(returning, "paste", remove)
    monkeypatch.setattr("ce_jax.inpainting.results._WRITERS", 1)
    assert inpaint(whole(source, tmp_path / "out", hole)) == (1, 1, 2, False)
    assert "b.png: changed" in manifest(tmp_path / "out")["b"]["reason"]


def test_arrays_come_back_at_their_own_size(tmp_path):
    stack = np.stack([smooth(50, 40)[..., 0]] * 2)
    np.savez(tmp_path / "in.npz", images=stack)
    hole = hole_file(tmp_path / "hole.png", (9, 9, 20, 20), height=50, width=40)
    inpaint(whole(f"npz:{tmp_path / 'in.npz'}", tmp_path / "out", hole))
    completed = images.read(tmp_path / "out" / "images" / "000000.png")
    known = images.read(hole)[..., 0] < 128
    assert np.array_equal(completed[known], np.stack([stack[0]] * 3, axis=-1)[known])


def test_squares_come_back_where_they_are_asked_for_and_a_change_of_mind_is_told(tmp_path):
    source = photographs(tmp_path / "in", "a")
    hole = hole_file(tmp_path / "hole.png", (9, 9, 20, 20))
    for changes in ({"returns": "square"}, {"frame": Frame(size=64)}, {"truth": source}):
        output = tmp_path / "-".join(changes)
        inpaint(whole(source, output, hole, **changes))
        assert images.read(output / "images" / "a.png").shape == (64, 64, 3)
    inpaint(whole(source, tmp_path / "own", hole, frame=Frame(size=64), returns="photograph"))
    assert images.read(tmp_path / "own" / "images" / "a.png").shape == (40, 50, 3)
    before = contents(tmp_path / "returns")
    with pytest.raises(ValueError, match="results with another returns"):
        inpaint(whole(source, tmp_path / "returns", hole))
    assert pictures(tmp_path / "returns") == {k: v[0] for k, v in before.items() if "png" in k}


def test_photographs_need_holes_of_their_size_from_files_and_no_truth(tmp_path):
    source = photographs(tmp_path / "in", "a")
    with pytest.raises(ConfigError, match="returns is photograph, but holes are center"):
        inpaint(whole(source, tmp_path / "out", "center", returns="photograph"))
    with pytest.raises(ConfigError, match="square where there is a truth"):
        Inpainting(method="laplace", returns="photograph", truth=source)
    hole = hole_file(tmp_path / "hole.png", (9, 9, 20, 20), height=64, width=64)
    assert inpaint(whole(source, tmp_path / "out", hole)).failed == 1
    assert "is 64x64, but image a is 50x40" in manifest(tmp_path / "out")["a"]["reason"]
    assert inpaint(whole(source, tmp_path / "resized", hole, resize_holes=True)).done == 1
    with pytest.raises(HoleError, match="neither a file"):
        inpaint(whole(source, tmp_path / "out", tmp_path / "nowhere.png"))


def test_a_scratch_too_thin_for_the_network_is_filled_from_around_and_the_note_says_so(tmp_path):
    images.write_png(tmp_path / "in" / "a.png", smooth(200, 200))
    hole = hole_file(tmp_path / "hole.png", (5, 100, 195, 101), height=200, width=200)
    assert inpaint(whole(f"folder:{tmp_path / 'in'}", tmp_path / "out", hole)).done == 1
    record = manifest(tmp_path / "out")["a"]
    assert record["missing"] == round(190 / 200**2, 4)
    assert record["note"] == "too thin to be seen at 64 pixels: filled from around it alone"


def test_of_large_holes_one_is_filled_at_a_time(tmp_path, monkeypatch):
    source = photographs(tmp_path / "in", *"abcdefgh")
    hole = hole_file(tmp_path / "hole.png", (9, 9, 20, 20))
    paste, filling, most = returning.paste, [], []

    def watched(*arguments, **options):
        filling.append(None)
        most.append(len(filling))
        time.sleep(0.05)
        try:
            return paste(*arguments, **options)
        finally:
            filling.pop()

    monkeypatch.setattr(returning, "paste", watched)
    inpaint(whole(source, tmp_path / "small", hole))
    assert max(most) > 1
    most.clear()
    monkeypatch.setattr(returning, "_LARGE", 0)
    inpaint(whole(source, tmp_path / "large", hole))
    assert max(most) == 1
    assert pictures(tmp_path / "small") == pictures(tmp_path / "large")
