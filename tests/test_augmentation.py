"""What a critic is shown: every image varied by its own key, and nothing but what is said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from ce_jax.systems.augmentation import augment

SIZE = 16

varied = tiny.jit(augment, static_argnums=2)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(-1, 1, (12, SIZE, SIZE, 3)).astype(np.float32)


def keys(seed=0):
    return jax.random.split(jax.random.key(seed), 12)


def test_translation_moves_an_image_by_at_most_an_eighth_and_lets_zeros_in(images):
    found, shifts = np.asarray(varied(images, keys(), ("translation",))), set()
    room = SIZE // 8
    padded = np.pad(images, ((0, 0), (room, room), (room, room), (0, 0)))
    for image, moved in zip(padded, found, strict=True):
        places = [
            (i, j)
            for i in range(2 * room + 1)
            for j in range(2 * room + 1)
            if np.array_equal(image[i : i + SIZE, j : j + SIZE], moved)
        ]
        assert len(places) == 1
        shifts.update(places)
    assert {i for i, _ in shifts} == {j for _, j in shifts} == set(range(2 * room + 1))


def test_a_cutout_is_part_of_one_square_of_half_the_side(images):
    found = np.asarray(varied(images, keys(), ("cutout",)))
    gone = (found != images).any(-1)
    np.testing.assert_array_equal(found[gone], 0)
    for one in gone:
        rows, columns = one.any(1), one.any(0)
        np.testing.assert_array_equal(one, rows[:, None] & columns)
        for line in (rows, columns):
            (places,) = np.nonzero(line)
            assert SIZE // 4 - 1 <= len(places) <= SIZE // 2
            assert np.ptp(places) == len(places) - 1
    assert len({one.tobytes() for one in gone}) > 6


def test_colour_is_affine_in_a_pixel_and_its_grey(images):
    found = np.asarray(varied(images, keys(), ("colour",)), np.float64)
    factors = []
    for image, other in zip(images.astype(np.float64), found, strict=True):
        grey = np.broadcast_to(image.mean(-1, keepdims=True), image.shape)
        causes = np.stack([(image - grey).ravel(), grey.ravel(), np.ones(image.size)], axis=1)
        fit, miss, *_ = np.linalg.lstsq(causes, other.ravel(), rcond=None)
        assert miss < 1e-9
        contrast = fit[1]
        brightness = other.mean() - image.mean()  # which contrast leaves alone
        factors.append((fit[0] / contrast, contrast, brightness))
    low, high = np.min(factors, axis=0), np.max(factors, axis=0)
    assert (low >= np.array([0, 0.5, -0.5]) - 1e-6).all()
    assert (high <= np.array([2, 1.5, 0.5]) + 1e-6).all()
    assert (high - low > np.array([1, 0.5, 0.5])).all()


def test_an_image_is_varied_by_its_own_key_alone(images):
    kinds = ("colour", "translation", "cutout")
    together = varied(images, keys(), kinds)
    alone = varied(images[3:5], keys()[3:5], kinds)
    np.testing.assert_allclose(alone, together[3:5], atol=1e-6)
    assert (np.asarray(varied(images, keys(1), kinds)) != together).any()


def test_a_generator_learns_through_what_is_still_seen(images):
    kinds = ("translation", "cutout")
    slope = jax.grad(lambda images: jnp.sum(augment(images, keys(), kinds)))
    towards = tiny.jit(slope)(images)
    seen = np.asarray(varied(np.ones_like(images), keys(), kinds))
    assert set(np.unique(towards)) == {0, 1}
    np.testing.assert_array_equal(np.sum(towards, (1, 2, 3)), seen.sum((1, 2, 3)))


def test_nothing_is_varied_unless_it_is_asked_for(images):
    assert augment(images, keys(), ()) is images
