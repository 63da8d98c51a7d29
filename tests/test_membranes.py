"""A hole is factored once, whoever asks for it, and whichever thread."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ce_jax.blending import harmonic, membranes, poisson

SIZE = (12, 9)


@pytest.fixture
def random():
    membranes.forget()
    return np.random.default_rng(0)


def test_results_do_not_depend_on_the_cache_or_on_threads(random):
    images, proposal = random.uniform(-1, 1, (2, 11, *SIZE, 3)).astype(np.float32)
    hole = random.random((11, *SIZE, 1)) < np.linspace(0, 1, 11).reshape(-1, 1, 1, 1)

    def blend(_):
        return poisson(images, proposal, hole)

    with ThreadPoolExecutor(8) as pool:
        for blended in pool.map(blend, range(32)):
            np.testing.assert_array_equal(blended, blend(None))


def test_a_hole_shared_by_64_images_is_factored_once(random):
    images, proposal = random.uniform(-1, 1, (2, 64, *SIZE, 3)).astype(np.float32)
    poisson(images, proposal, np.broadcast_to(random.random((*SIZE, 1)) < 0.5, (64, *SIZE, 1)))
    assert membranes._membrane.cache_info().misses == 1


def test_every_hole_of_a_batch_is_factored_once_even_beyond_the_cache(random):
    capacity = membranes._membrane.cache_info().maxsize
    distinct = random.random((capacity + 20, *SIZE, 1)) < 0.5
    holes = np.concatenate([distinct, distinct])
    harmonic(np.zeros((len(holes), *SIZE, 1)), holes)
    assert membranes._membrane.cache_info().misses == len(distinct)
    assert membranes._membrane.cache_info().currsize == capacity


def test_holes_of_equal_bits_but_another_shape_are_kept_apart(random):
    flat = random.random(24) < 0.5
    values = random.uniform(-1, 1, 24)
    wide = harmonic(values.reshape(1, 4, 6, 1), flat.reshape(1, 4, 6, 1))
    tall = harmonic(values.reshape(1, 6, 4, 1), flat.reshape(1, 6, 4, 1))
    turned = harmonic(
        values.reshape(1, 6, 4, 1).swapaxes(1, 2), flat.reshape(1, 6, 4, 1).swapaxes(1, 2)
    ).swapaxes(1, 2)
    assert not np.array_equal(wide.ravel(), tall.ravel())
    np.testing.assert_allclose(tall, turned, atol=1e-14)
