"""What an image becomes before a network sees it: a square; and many of them, one sheet."""

import numpy as np
import pytest
from folders import noise
from PIL import Image

from ce_jax import images


def test_a_picture_of_the_right_size_is_framed_untouched():
    picture = noise(0, 64, 64)
    assert images.frame(picture, size=64, shorter_side=80) is picture


def test_the_usual_frame_of_celeba_is_a_pure_crop():
    picture = noise(0, 109, 89)
    framed = images.frame(picture, box=(12, 25, 76, 89), size=64)
    np.testing.assert_array_equal(framed, picture[25:89, 12:76])


def test_the_crop_is_central():
    picture = noise(0, 8, 13)
    np.testing.assert_array_equal(images.frame(picture, size=8), picture[:, 2:10])
    tall = picture.swapaxes(0, 1)
    np.testing.assert_array_equal(images.frame(tall, size=8), tall[2:10])


@pytest.mark.parametrize("height, width", [(40, 30), (30, 41), (9, 11), (16, 16), (1, 200)])
@pytest.mark.parametrize("size, shorter_side", [(16, None), (16, 23), (32, None)])
def test_any_photograph_and_its_hole_become_squares(height, width, size, shorter_side):
    options = {"size": size, "shorter_side": shorter_side}
    assert images.frame(noise(0, height, width), **options).shape == (size, size, 3)
    hole = np.random.default_rng(1).random((height, width, 1)) < 0.5
    framed = images.frame(hole, nearest=True, **options)
    assert framed.shape == (size, size, 1)
    assert framed.dtype == bool


def test_resizing_is_pillows_antialiased_bicubic():
    picture = noise(0, 60, 45)
    resized = Image.fromarray(picture).resize((30, 40), Image.Resampling.BICUBIC)
    expected = np.asarray(resized)[5:35]
    np.testing.assert_array_equal(images.frame(picture, size=30), expected)
    checkers = np.indices((64, 64)).sum(axis=0) % 2 * np.uint8(255)
    framed = images.frame(np.stack([checkers] * 3, axis=-1).astype(np.uint8), size=16)
    np.testing.assert_allclose(framed, 127.5, atol=8)


def test_a_hole_follows_its_photograph_through_the_frame():
    hole = np.zeros((40, 60, 1), bool)
    hole[10:30, 20:50] = True
    picture = np.where(hole, np.uint8(255), np.uint8(0)).repeat(3, axis=-1)
    options = {"size": 16, "box": (6, 4, 56, 36), "shorter_side": 20}
    framed = images.frame(hole, nearest=True, **options)
    assert 0 < framed.sum() < framed.size
    np.testing.assert_array_equal(framed, images.frame(picture, **options)[..., :1] >= 128)


@pytest.mark.parametrize(
    "box", [(-1, 0, 8, 8), (0, 0, 11, 8), (0, 0, 10, 9), (4, 4, 4, 8), (0, 8, 8, 4)]
)
def test_a_box_outside_the_picture_is_refused(box):
    with pytest.raises(ValueError, match=r"not inside the picture of 10 x 8 pixels"):
        images.frame(noise(0, 8, 10), size=4, box=box)


def test_a_frame_that_cannot_be_is_refused():
    picture = noise(0, 8, 10)
    with pytest.raises(ValueError, match="shorter_side is 3; it must be at least size, 4"):
        images.frame(picture, size=4, shorter_side=3)
    with pytest.raises(ValueError, match="nearest=True"):
        images.frame(picture[..., :1] > 9, size=4)
    with pytest.raises(images.UnreadableImage, match="too elongated"):
        images.frame(noise(0, 1, 300), size=4)


def test_a_grid_shows_every_picture_once_on_white():
    pictures = np.stack([np.full((4, 6, 3), 10 * index, np.uint8) for index in range(5)])
    picture = images.grid(pictures, columns=3)
    assert picture.shape == (2 * 4 + 2, 3 * 6 + 2 * 2, 3)
    for index in range(5):
        assert (picture == 10 * index).all(axis=-1).sum() == 4 * 6
    np.testing.assert_array_equal(picture[6:, 8:14], pictures[4])
    assert (picture[6:, 16:] == 255).all()
    assert (picture[4:6] == 255).all()


def test_a_grid_keeps_to_its_columns_and_gap():
    pictures = np.zeros((5, 4, 6, 3), np.uint8)
    assert images.grid(pictures, columns=5, gap=0).shape == (4, 30, 3)
    assert images.grid(pictures, columns=1, gap=1).shape == (24, 6, 3)
