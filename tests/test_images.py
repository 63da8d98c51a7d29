"""Files of every kind become pixels, or one clear line; pixels become files."""

import io
import os
import struct
import zlib
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from folders import noise
from PIL import Image

from ce_jax import images


def _encoded(picture, format="PNG", **options):
    file = io.BytesIO()
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    picture.save(file, format, **options)
    return file.getvalue()


def test_a_written_png_reads_back_equal_and_leaves_nothing_else(tmp_path):
    picture = noise(0, 5, 7)
    path = tmp_path / "new" / "folder" / "picture.png"
    images.write_png(path, noise(0, 3, 3))
    images.write_png(path, picture)
    np.testing.assert_array_equal(images.read(path), picture)
    assert os.listdir(path.parent) == ["picture.png"]


def test_a_failed_write_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    images.write_png(path, noise(0, 4, 4))

    def disk_full(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        images.write_png(path, noise(0, 8, 8))
    assert images.read(path).shape == (4, 4, 3)
    assert os.listdir(tmp_path) == ["picture.png"]


@pytest.mark.parametrize("picture", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8)])
def test_only_uint8_rgb_is_written(tmp_path, picture):
    with pytest.raises(ValueError, match="expected uint8"):
        images.write_png(tmp_path / "picture.png", picture)


def test_alpha_is_dropped_and_hidden_colours_stay():
    rgb = noise(0, 4, 6)
    alpha = np.arange(24, dtype=np.uint8).reshape(4, 6, 1)
    for format in ("PNG", "TIFF"):
        file = _encoded(np.concatenate([rgb, alpha], axis=-1), format)
        np.testing.assert_array_equal(images.read(file), rgb)


def test_grey_becomes_three_equal_channels():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = np.repeat(grey[..., None], 3, axis=-1)
    for file in (
        _encoded(grey),
        _encoded(grey, transparency=7),
        _encoded(np.stack([grey, grey.T], axis=-1)),
        _encoded(grey, "PPM"),
    ):
        np.testing.assert_array_equal(images.read(file), expected)


@pytest.mark.parametrize("transparency", [None, 3, bytes([0, 128, 255])])
def test_a_palette_becomes_its_colours(transparency):
    picture = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
    picture = Image.frombytes("P", picture.size, picture.tobytes())
    palette = noise(0, 16, 1)[:, 0]
    picture.putpalette(palette.tobytes())
    options = {} if transparency is None else {"transparency": transparency}
    read = images.read(_encoded(picture, **options))
    np.testing.assert_array_equal(read, palette.reshape(4, 4, 3))


def test_black_and_white_becomes_0_and_255():
    bits = np.eye(8, dtype=bool)
    read = images.read(_encoded(Image.fromarray(bits.astype(np.uint8) * 255).convert("1")))
    np.testing.assert_array_equal(read[..., 1], bits * 255)


def test_cmyk_becomes_rgb():
    solid = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    read = images.read(_encoded(solid, "JPEG", quality=100))
    np.testing.assert_allclose(read[4, 4], [255, 0, 0], atol=3)


def test_16_bits_are_scaled_to_8_and_not_saturated():
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(ramp / 257).astype(np.uint8)
    pgm = b"P5 256 256 65535\n" + ramp.astype(">u2").tobytes()
    for file in (_encoded(ramp), _encoded(ramp, "TIFF"), pgm):
        for channel in np.moveaxis(images.read(file), -1, 0):
            np.testing.assert_array_equal(channel, expected)


def test_floating_point_from_0_to_1_is_scaled_and_anything_else_refused():
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    read = images.read(_encoded(ramp, "TIFF"))
    np.testing.assert_array_equal(read[..., 0].ravel(), np.arange(256))
    for bad in (ramp * 255, ramp - 0.1, ramp * np.float32(np.nan)):
        with pytest.raises(images.UnreadableImage, match="expected 0 to 1"):
            images.read(_encoded(bad, "TIFF"))
    with pytest.raises(images.UnreadableImage, match="expected 0 to 65535"):
        images.read(_encoded(np.full((2, 2), 70_000, np.int32), "TIFF"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    upright = noise(0, 4, 6)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = _encoded(np.ascontiguousarray(stored), exif=exif)
    np.testing.assert_array_equal(images.read(file), upright)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01"])
def test_damaged_exif_does_not_cost_the_picture(exif):
    picture = noise(0, 4, 6)
    np.testing.assert_array_equal(images.read(_encoded(picture, exif=exif)), picture)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_truncated_file_is_refused_by_name(tmp_path, format, share):
    whole = _encoded(noise(0, 64, 64), format)
    path = tmp_path / "half a picture"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(images.UnreadableImage, match=r"^.*half a picture: [^\n]+$"):
        images.read(path)


def test_what_is_no_image_is_refused_in_one_line(tmp_path):
    for content in (b"", b"not an image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"):
        path = tmp_path / "page.jpg"
        path.write_bytes(content)
        with pytest.raises(images.UnreadableImage, match=r"page\.jpg: not an image [^\n]+$"):
            images.read(path)
    with pytest.raises(images.UnreadableImage, match=r"absent\.jpg: No such file"):
        images.read(tmp_path / "absent.jpg")
    with pytest.raises(images.UnreadableImage, match="image of 3 bytes: not an image"):
        images.read(b"abc")


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_several_frames_are_refused(format):
    frames = [Image.fromarray(noise(seed, 8, 8)) for seed in range(3)]
    file = _encoded(frames[0], format, save_all=True, append_images=frames[1:])
    with pytest.raises(images.UnreadableImage, match="several frames"):
        images.read(file)


def test_the_main_picture_of_a_phone_is_read():
    main, preview = Image.new("RGB", (16, 8), "red"), Image.new("RGB", (4, 2), "blue")
    file = _encoded(main, "MPO", save_all=True, append_images=[preview])
    assert images.read(file).shape == (8, 16, 3)


def test_a_bomb_is_refused_from_its_header(monkeypatch):
    def png(width, height):
        header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        checksum = struct.pack(">I", zlib.crc32(header))
        start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + checksum
        return start + struct.pack(">I", 0) + b"IDAT"

    with pytest.raises(images.UnreadableImage, match=r"8001 x 8000 pixels, more than"):
        images.read(png(8001, 8000))
    with pytest.raises(images.UnreadableImage, match="decompression bomb"):
        images.read(png(20_000, 20_000))
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    with pytest.raises(images.UnreadableImage, match="12 x 10 pixels, more than the limit of 100"):
        images.read(_encoded(noise(0, 10, 12)))


@pytest.mark.parametrize("xp", [np, jnp])
def test_all_256_levels_come_back(xp):
    levels = xp.arange(256, dtype=np.uint8)
    floats = images.to_float(levels)
    assert floats.dtype == np.float32
    assert (float(floats.min()), float(floats.max())) == (-1, 1)
    back = images.to_uint8(floats)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, levels)


@pytest.mark.parametrize("xp", [np, jnp])
def test_bytes_are_rounded_and_clipped(xp):
    values = xp.asarray([-7.0, -1.0, 0.4 / 127.5 - 1, 0.6 / 127.5 - 1, 0.0, 1.0, 7.0], np.float32)
    np.testing.assert_array_equal(images.to_uint8(values), [0, 0, 0, 1, 128, 255, 255])


jpeg = partial(_encoded, format="JPEG")


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {}),
        ("RGB", {"quality": 100, "subsampling": "4:4:4"}),
        ("RGB", {"quality": 20, "subsampling": "4:2:2", "progressive": True}),
        ("L", {"quality": 90, "optimize": True}),
        ("RGB", {"icc_profile": b"a profile", "comment": b"a comment"}),
    ],
)
def test_a_plain_jpeg_has_the_pixels_of_pillow_without_asking_it(monkeypatch, mode, options):
    data = jpeg(Image.fromarray(noise(0, 37, 51)).convert(mode), **options)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    monkeypatch.setattr(images, "decode", lambda *_, **__: pytest.fail("Pillow was asked"))
    np.testing.assert_array_equal(images.read(data), expected)


def test_a_jpeg_that_is_not_plain_or_not_whole_is_left_to_pillow(monkeypatch):
    image, asked = Image.new("RGB", (40, 30)), []
    exif = image.getexif()
    exif[0x0112] = 6
    monkeypatch.setattr(images, "decode", lambda data, *_, **__: asked.append(data))
    monkeypatch.setattr(images, "MAX_PIXELS", 40 * 30)
    others = (
        jpeg(image, exif=exif),
        jpeg(image, xmp=b"<x/>"),
        jpeg(image.convert("CMYK")),
        jpeg(image)[:-100],
        jpeg(Image.new("RGB", (400, 300))),
    )
    for data in others:
        images.read(data)
    assert asked == list(others)
