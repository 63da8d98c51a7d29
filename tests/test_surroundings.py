"""A photograph of any size comes back whole: known pixels bit-equal, its hole never read."""

import numpy as np
import pytest
from folders import noise

from ce_jax import blending, photographs
from ce_jax.config import Frame
from ce_jax.images import UnreadableImage
from ce_jax.inpainting import surroundings
from ce_jax.inpainting.surroundings import Square


def box_hole(height, width, top, left, bottom, right):
    hole = np.zeros((height, width, 1), bool)
    hole[top:bottom, left:right] = True
    return hole


@pytest.mark.parametrize(
    ("shape", "box", "frame", "square"),
    [
        ((108, 192), (40, 90, 60, 100), None, (30, 75, 40)),  # twice the hole
        ((108, 192), (40, 90, 44, 94), None, (26, 76, 32)),  # what the network sees
        ((108, 192), (0, 180, 20, 192), None, (0, 152, 40)),  # not beyond the photograph
        ((108, 192), (20, 30, 100, 70), None, (0, 0, 108)),  # not larger than it
        ((37, 501), (10, 100, 20, 400), None, (-132, 100, 300)),  # unless the hole is
        ((9, 7), (2, 2, 4, 5), None, (0, 0, 7)),  # smaller than what the network sees
        ((108, 192), (40, 90, 60, 100), Frame(size=32), (0, 42, 108)),
        ((108, 192), (40, 0, 60, 9), Frame(size=32), (30, 0, 40)),  # outside of the frame
        ((218, 178), (90, 60, 120, 90), Frame(size=64, box=(25, 45, 153, 173)), (45, 25, 128)),
        ((50, 50), (20, 20, 24, 24), Frame(size=64, box=(25, 45, 153, 173)), (6, 6, 32)),
    ],
)
def test_the_square_lies_around_the_hole(shape, box, frame, square):
    place = surroundings.place_of(box_hole(*shape, *box), 32, frame)
    assert place.square == Square(*square)
    assert place.missing == (box[2] - box[0]) * (box[3] - box[1]) / (shape[0] * shape[1])
    assert place.hole.sum() == (box[2] - box[0]) * (box[3] - box[1])


def test_a_thread_that_would_need_a_gigantic_square_is_refused():
    with pytest.raises(UnreadableImage, match="the hole is 9000 pixels long, in a photograph of 1"):
        surroundings.place_of(box_hole(9000, 10, 0, 4, 9000, 5), 32, None)


@pytest.mark.parametrize("size", [16, 40, 96])
@pytest.mark.parametrize("box", [(30, 40, 70, 80), (0, 0, 37, 90), (50, 50, 51, 51)])
def test_what_is_seen_does_not_depend_on_what_stands_in_the_hole(size, box):
    hole, photograph = box_hole(100, 120, *box), noise(0, 100, 120)
    place = surroundings.place_of(hole, size, None)
    small, missing = surroundings.seen(photograph, hole, place.square, size)
    assert small.shape == (size, size, 3)
    assert missing.shape == (size, size, 1)
    tampered = np.where(hole, 255 - photograph, photograph)
    other, _ = surroundings.seen(tampered, hole, place.square, size)
    assert np.array_equal(small, other)
    share = hole.sum() / place.square.side**2
    assert missing.mean() == pytest.approx(min(share, 1), abs=0.06)


def test_a_square_of_the_right_size_is_seen_as_it_is():
    hole, photograph = box_hole(80, 70, 30, 30, 46, 46), noise(0, 80, 70)
    square = surroundings.place_of(hole, 32, None).square
    small, missing = surroundings.seen(photograph, hole, square, 32)
    cut = np.s_[square.top : square.top + 32, square.left : square.left + 32]
    assert np.array_equal(missing, hole[cut])
    assert np.array_equal(small, np.where(hole, 0, photograph)[cut])


@pytest.mark.parametrize("blend", ["poisson", "overlay"])
@pytest.mark.parametrize("box", [(30, 40, 70, 80), (0, 0, 40, 120), (5, 118, 9, 120)])
def test_what_is_smooth_comes_back_and_known_pixels_do_not_change(blend, box):
    y, x = np.mgrid[:100, :120] / 60 - 1
    photograph = np.stack([y, x, (x + y) / 2], axis=-1) * 0.8
    hole = box_hole(100, 120, *box)
    place = surroundings.place_of(hole, 32, None)
    square = place.square
    pixels = np.rint((photograph + 1) * 127.5).astype(np.uint8)
    small, beyond = surroundings.seen(pixels, np.zeros_like(hole), square, 32)
    small = blending.harmonic((small / 127.5 - 1)[None], beyond[None])[0]
    rows, columns = place.hole.shape[:2]
    inside = photograph[place.top : place.top + rows, place.left : place.left + columns]
    tampered = np.where(place.hole, 9.0, inside)
    pasted = surroundings.paste(tampered, small, place, blend=blend)
    known = ~place.hole[..., 0]
    assert np.array_equal(pasted[known], inside[known])
    outside = square.top < 0 or square.side > 100
    np.testing.assert_allclose(pasted, inside, atol=0.07 if outside else 0.01)


def test_a_large_hole_is_solved_as_exactly_as_a_small_one(monkeypatch):
    hole = np.random.default_rng(1).random((150, 131, 1)) < 0.3
    hole[20:140, :100] = True
    values = np.random.default_rng(0).normal(size=(150, 131, 3)).cumsum(axis=0) / 20
    exact = blending.harmonic(values[None], hole[None])[0]
    monkeypatch.setattr(surroundings, "_SOLVED_DIRECTLY", 500)
    found = surroundings._membrane(np.where(hole, 0, values), hole)
    np.testing.assert_allclose(found, exact, atol=0.5 / 127.5)  # half a grey level
    assert np.array_equal(found[~hole[..., 0]], values[~hole[..., 0]])


# What a photograph is, besides its colours


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_known_pixels_and_alpha_are_kept_in_every_kind(channels, kind):
    random = np.random.default_rng(channels)
    pixels = random.integers(0, np.iinfo(kind).max, (6, 7, channels), kind, endpoint=True)
    hole = random.random((6, 7, 1)) < 0.5
    colours = photographs.colours(pixels)
    assert np.array_equal(photographs.filled(pixels, colours, hole | True), pixels)
    filled = photographs.filled(pixels, np.full((6, 7, 3), 2.0), hole)
    assert filled.dtype == kind
    alpha = channels in (2, 4)
    colour = filled[..., : channels - alpha]
    assert np.all(colour[hole[..., 0]] == np.iinfo(kind).max)
    assert np.array_equal(filled[~hole[..., 0]], pixels[~hole[..., 0]])
    if alpha:
        assert np.array_equal(filled[..., -1], pixels[..., -1])
