"""The nearest photograph is the one that brute force finds, wherever in the collection it is."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained
from flax import linen as nn
from folders import FRAME, hole_file, manifest, nearest, noise, numbered, photographs, truncated

from ce_jax import images, sharding, sources
from ce_jax.batch import inpaint
from ce_jax.completion import methods
from ce_jax.completion import nearest as retrieval
from ce_jax.config import ConfigError, Inpainting
from ce_jax.holes import hole_files
from ce_jax.holes.hole_sets import HoleSet
from ce_jax.systems.context_encoder import module_of, paint

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
    return np.stack([images.frame(opened[i], FRAME) for i in range(len(opened))])


def queries(seed=0):
    random = np.random.default_rng(seed)
    blurred = random.integers(0, 256, (BATCH, 4, 4, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    return images.to_float(blurred), random.random((BATCH, 32, 32, 1)) < 0.6


def test_the_nearest_is_what_brute_force_finds(propose, collection):
    image, hole = queries()
    proposal, score, steps, *_ = propose(None, jnp.asarray(image), jnp.asarray(hole), None)
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
    for one, same in zip(found[:3], propose(None, other, jnp.asarray(hole), None), strict=False):
        np.testing.assert_array_equal(one, same)


def test_where_nothing_is_known_the_first_is_as_good_as_any(propose, collection):
    image, hole = queries()
    proposal, score, *_ = propose(None, jnp.asarray(image), jnp.ones_like(hole), None)
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
    assert np.max(np.abs(completion.astype(int) - images.frame(noise(0), FRAME))) <= 1


def test_retrieval_without_a_collection_is_refused():
    with pytest.raises(ConfigError, match=r"collection must be a source .* for method nearest"):
        Inpainting(method="nearest")


# In the features of a context encoder

ENCODERS = {"units": tiny.context_encoder(), "channel-wise": tiny.self_tuned()}


@pytest.fixture(scope="module", params=ENCODERS)
def trained(request):
    return untrained.networks(ENCODERS[request.param])


def by_features(collection, trained, *, devices=8, batch_size=BATCH, **changes):
    config = nearest(collection, "-", collection, model="a run", batch_size=batch_size)
    mesh = sharding.make_mesh(jax.devices()[:devices])
    with tiny.quickly():
        config = replace(config, **changes)
        drawn = hole_files.resolve(config.holes, seed=config.seed)
        return methods.build(
            config, trained, mesh, holes=drawn if isinstance(drawn, HoleSet) else None
        )


@pytest.fixture(scope="module")
def complete(collection, trained):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "_AT_A_TIME", 8)
        yield by_features(collection, trained)


def filled(complete, image, hole):
    return jax.tree.map(np.asarray, complete(jnp.asarray(image), jnp.asarray(hole), None)[:3])


def center():
    hole = np.zeros((BATCH, 32, 32, 1), bool)
    hole[:, 8:24, 8:24] = True
    return hole


def directions(trained, image, hole):
    """What the bottleneck makes of them, found by the layer that comes behind it."""
    model, behind = trained.config.model, {}

    def catch(next_layer, arguments, options, context):
        layer = type(context.module).__name__
        if context.module.name == "Dense_1" or layer == "Upsample":
            behind.setdefault(layer, arguments[0])
        return next_layer(*arguments, **options)

    def watched(painted):
        with nn.intercept_methods(catch):
            module_of(model, size=32).apply(trained.generator, painted, train=False)
        return dict(behind)

    with tiny.quickly():
        behind = jax.jit(watched)(paint(model, image, hole))
    found = behind["Upsample"] if model.bottleneck == "channel-wise" else behind["Dense"]
    found = np.asarray(found).reshape(len(image), -1).astype(np.float64)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_the_nearest_in_features_has_the_surroundings_that_are_most_alike(
    complete, collection, trained
):
    image, hole = queries()[0], center()
    _, proposal, score = filled(complete, image, hole)
    everything = images.to_float(squares(f"{collection}"))
    whole = np.broadcast_to(hole[:1], (len(everything), 32, 32, 1))
    cosine = directions(trained, image, hole) @ directions(trained, everything, whole).T
    np.testing.assert_array_equal(proposal, everything[np.argmax(cosine, axis=1)])
    np.testing.assert_allclose(score, 1 - cosine.max(axis=1), atol=1e-4)
    assert len({one.tobytes() for one in proposal}) > 2


def test_a_photograph_with_the_same_hole_finds_itself_whatever_stands_in_it(complete, collection):
    image, hole = images.to_float(squares(collection)[-BATCH:]), center()
    found = filled(complete, image, hole)
    np.testing.assert_array_equal(found[1], image)
    assert np.max(np.abs(found[2])) < 1e-5
    tampered = np.where(hole, np.float32(9), image)
    for one, same in zip(found, filled(complete, tampered, hole), strict=True):
        np.testing.assert_array_equal(one, same)


def test_neighbours_in_features_follow_from_their_image_alone(complete, collection, trained):
    image, hole = queries()[0], center()
    found = filled(complete, image, hole)
    turned = filled(complete, image[::-1], hole)
    alone = by_features(collection, trained, devices=1, batch_size=4)
    few = filled(alone, image[:4], hole[:4])
    for one, back, four in zip(found, turned, few, strict=True):
        np.testing.assert_allclose(back[::-1], one, atol=1e-6)
        np.testing.assert_allclose(four, one[:4], atol=1e-6)


@pytest.mark.parametrize(
    ("holes", "kinds"), [("set:yeh2017-pattern", ["pattern:0.25"]), ("hole.png", ["center:8"])]
)
def test_the_collection_has_holes_of_the_kind_of_the_images_or_of_the_training(
    collection, tmp_path, monkeypatch, holes, kinds
):
    given = {}
    monkeypatch.setattr(
        retrieval, "feature_method", lambda *_, **options: given.update(options) or 1
    )
    monkeypatch.chdir(tmp_path)
    hole_file(tmp_path / "hole.png", (5, 5, 9, 9))
    by_features(collection, untrained.networks(tiny.context_encoder()), holes=holes)
    assert list(map(str, given["kinds"])) == kinds


def test_features_of_what_is_no_context_encoder_are_refused(collection):
    with pytest.raises(ConfigError, match=r"nearest does not run on a run, which is a Dcgan"):
        by_features(collection, untrained.networks(tiny.dcgan()))
