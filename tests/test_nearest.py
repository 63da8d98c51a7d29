"""The nearest photograph is the one that brute force finds, wherever in the collection it is."""

import jax.numpy as jnp
import numpy as np
import pytest
from folders import FRAME, manifest, nearest, noise, numbered, photographs, truncated

from ce_jax import images, sharding, sources
from ce_jax.batch import inpaint
from ce_jax.completion import nearest as retrieval
from ce_jax.config import ConfigError, Inpainting
from ce_jax.data import framed

BATCH = 8


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return numbered(tmp_path_factory.mktemp("collection"), 21)


@pytest.fixture(scope="module")
def propose(collection):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "_AT_A_TIME", 8)  # two whole chunks and a part of one
        yield retrieval.method(collection, FRAME, sharding.make_mesh())


def squares(source):
    opened = sources.open_source(source)
    return np.stack([framed(opened[i], FRAME) for i in range(len(opened))])


def queries(seed=0):
    random = np.random.default_rng(seed)
    blurred = random.integers(0, 256, (BATCH, 4, 4, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    return images.to_float(blurred), random.random((BATCH, 32, 32, 1)) < 0.6


def test_the_nearest_is_what_brute_force_finds(propose, collection):
    image, hole = queries()
    proposal, score, steps = propose(None, jnp.asarray(image), jnp.asarray(hole), None)
    everything = images.to_float(squares(collection)).astype(np.float64)
    for i in range(BATCH):
        known = np.broadcast_to(~hole[i], image[i].shape)
        misses = [np.mean((image[i][known] - one[known]) ** 2) ** 0.5 for one in everything]
        np.testing.assert_array_equal(proposal[i], everything[np.argmin(misses)])
        assert score[i] == pytest.approx(min(misses), rel=1e-4)
    assert len({np.asarray(one).tobytes() for one in proposal}) > 2
    assert not steps.any()


def test_a_photograph_of_the_collection_finds_itself_and_the_hole_is_not_read(propose, collection):
    image = images.to_float(squares(collection)[-BATCH:])
    _, hole = queries()
    found = propose(None, jnp.asarray(image), jnp.asarray(hole), None)
    np.testing.assert_array_equal(found[0], image)
    assert np.max(found[1]) < 2e-3
    other = jnp.asarray(np.where(hole, np.float32(9), image))
    for one, same in zip(found, propose(None, other, jnp.asarray(hole), None), strict=True):
        np.testing.assert_array_equal(one, same)


def test_where_nothing_is_known_the_first_is_as_good_as_any(propose, collection):
    image, hole = queries()
    proposal, score, _ = propose(None, jnp.asarray(image), jnp.ones_like(hole), None)
    np.testing.assert_array_equal(proposal, [images.to_float(squares(collection)[0])] * BATCH)
    assert not score.any()


def test_a_folder_is_completed_from_a_collection_whose_broken_files_are_left_out(tmp_path):
    numbered(tmp_path / "collection", 9)
    truncated(tmp_path / "collection" / "00a.jpg")
    source = photographs(tmp_path / "in", "a", "b")  # which are 00 and 01 there
    inpaint(nearest(source, tmp_path / "out", f"folder:{tmp_path / 'collection'}"))
    for name, record in manifest(tmp_path / "out").items():
        assert record["status"] == "done", name
        assert record["score"] == pytest.approx(0, abs=2e-3)
    completion = images.read(tmp_path / "out" / "images" / "a.png")
    assert np.max(np.abs(completion.astype(int) - framed(noise(0), FRAME))) <= 1


def test_retrieval_without_a_collection_is_refused():
    with pytest.raises(ConfigError, match=r"collection must be a source .* for method nearest"):
        Inpainting(method="nearest")
