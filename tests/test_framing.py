"""What an image becomes before a network sees it: a square; and many of them, one sheet."""

import numpy as np
import pytest
from folders import noise
from PIL import Image

from ce_jax import images
from ce_jax.config import Frame


def test_a_picture_of_the_right_size_is_framed_untouched():
    picture = noise(0, 64, 64)
    assert images.frame(picture, Frame(size=64, shorter_side=80)) is picture


def test_the_usual_frame_of_celeba_is_a_pure_crop():
    picture = noise(0, 109, 89)
    framed = images.frame(picture, Frame(size=64, box=(12, 25, 76, 89)))
    np.testing.assert_array_equal(framed, picture[25:89, 12:76])


def test_the_crop_is_central():
    picture = noise(0, 32, 37)
    np.testing.assert_array_equal(images.frame(picture, Frame(size=32)), picture[:, 2:34])
    tall = picture.swapaxes(0, 1)
    np.testing.assert_array_equal(images.frame(tall, Frame(size=32)), tall[2:34])


@pytest.mark.parametrize("height, width", [(80, 60), (60, 82), (18, 22), (32, 32), (1, 200)])
@pytest.mark.parametrize("size, shorter_side", [(32, None), (32, 46), (64, None)])
def test_any_photograph_and_its_hole_become_squares(height, width, size, shorter_side):
    frame = Frame(size=size, shorter_side=shorter_side)
    assert images.frame(noise(0, height, width), frame).shape == (size, size, 3)
    hole = np.random.default_rng(1).random((height, width, 1)) < 0.5
    framed = images.frame(hole, frame)
    assert framed.shape == (size, size, 1)
    assert framed.dtype == bool


def test_resizing_is_pillows_antialiased_bicubic():
    picture = noise(0, 60, 48)
    resized = Image.fromarray(picture).resize((32, 40), Image.Resampling.BICUBIC)
    expected = np.asarray(resized)[4:36]
    np.testing.assert_array_equal(images.frame(picture, Frame(size=32)), expected)
    checkers = np.indices((128, 128)).sum(axis=0) % 2 * np.uint8(255)
    framed = images.frame(np.stack([checkers] * 3, axis=-1).astype(np.uint8), Frame(size=32))
    np.testing.assert_allclose(framed, 127.5, atol=8)


def test_a_hole_follows_its_photograph_through_the_frame():
    hole = np.zeros((80, 120, 1), bool)
    hole[24:56, 44:100] = True
    picture = np.where(hole, np.uint8(255), np.uint8(0)).repeat(3, axis=-1)
    frame = Frame(size=32, box=(12, 8, 112, 72), shorter_side=40)
    framed = images.frame(hole, frame)
    assert 0 < framed.sum() < framed.size
    np.testing.assert_array_equal(framed, images.frame(picture, frame)[..., :1] >= 128)


@pytest.mark.parametrize("box", [(0, 0, 11, 8), (0, 0, 10, 9), (4, 4, 12, 12), (10, 0, 14, 8)])
def test_a_box_outside_the_picture_is_refused(box):
    with pytest.raises(ValueError, match=r"not inside the picture of 10 x 8 pixels"):
        images.frame(noise(0, 8, 10), Frame(box=box))


def test_what_cannot_be_framed_is_refused():
    with pytest.raises(images.UnreadableImage, match="too elongated"):
        images.frame(noise(0, 1, 300), Frame())


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
