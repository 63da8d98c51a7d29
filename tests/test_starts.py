"""A pool is the same for everybody, and what is chosen of it agrees best with the known pixels."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained

from ce_jax import images
from ce_jax.completion.objective import Problem
from ce_jax.completion.space import Networks, space_of
from ce_jax.completion.starts import draw_pool, screen, starts
from ce_jax.config import POOL_PART, LatentSearch

RUN = tiny.dcgan()


@pytest.fixture(scope="module")
def space():
    trained = untrained.networks(RUN)
    return space_of(RUN.model, Networks(trained.generator, trained.critic), LatentSearch())


def drawn(space, count):
    draw = partial(draw_pool, jax.random.key(0), space, count)
    return tiny.jit(draw)()


@pytest.fixture(scope="module")
def pool(space):
    return drawn(space, POOL_PART + 1)


def test_a_pool_holds_z_and_its_images_in_whole_parts(space, pool):
    assert pool.z.shape == (2 * POOL_PART, 8)
    assert np.abs(pool.z).max() <= 1
    assert len(np.unique(pool.z, axis=0)) == 2 * POOL_PART
    some = slice(POOL_PART - 2, POOL_PART + 2)
    generate = tiny.jit(space.generate)
    expected = images.to_uint8(generate(pool.z[some])).astype(int)
    assert np.abs(pool.images[some].astype(int) - expected).max() <= 1  # a batch of another size


def test_the_first_of_a_pool_are_the_same_however_many_there_are(space, pool):
    smaller = drawn(space, POOL_PART)
    assert len(smaller.z) == POOL_PART
    assert np.array_equal(smaller.z, pool.z[:POOL_PART])


def test_the_chosen_are_those_of_an_exhaustive_comparison(pool):
    random = np.random.default_rng(0)
    wanted = random.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    weight = random.uniform(0, 1, (4, 32, 32, 1)) * (random.random((4, 32, 32, 1)) < 0.3)
    known = images.to_float(np.asarray(pool.images)).astype(np.float64)
    miss = [(w * (known - y) ** 2).sum((1, 2, 3)) for w, y in zip(weight, wanted, strict=True)]
    places = screen(wanted, weight.astype(np.float32), pool.images, count=5)
    assert np.array_equal(places, np.argsort(miss, axis=1)[:, :5])


def test_what_has_no_weight_is_not_read(pool):
    weight = np.zeros((2, 32, 32, 1), np.float32)
    weight[:, :, :16] = 1
    wanted = images.to_float(np.asarray(pool.images[jnp.array([700, 3])]))
    hidden = np.where(weight > 0, wanted, np.float32(np.nan))
    for seen in (wanted, hidden):
        assert np.array_equal(screen(seen, weight, pool.images, count=1)[:, 0], [700, 3])


def test_where_nothing_is_known_every_image_begins_somewhere_else(space, pool):
    settings = LatentSearch(start="pool", pool=POOL_PART, weighting="uniform")
    keys = jax.random.split(jax.random.key(1), 3)
    hole = jnp.ones((3, 32, 32, 1), bool).at[2].set(False)
    problem = Problem(jnp.zeros((3, 32, 32, 3)), hole, keys)
    begun = starts(space._replace(settings=settings), problem, pool)
    assert len(np.unique(begun[:, 0], axis=0)) == 3
    in_pool = [(np.asarray(pool.z) == z).all(axis=1).any() for z in np.asarray(begun[:, 0])]
    assert in_pool == [False, False, True]
