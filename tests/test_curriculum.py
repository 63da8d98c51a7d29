"""Levels share a batch exactly, harder ones get more, and a resumed run shares as it would have."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained
from processes import scalars

from ce_jax import holes, systems, training
from ce_jax.sources import SourceError
from ce_jax.state import Curriculum
from ce_jax.systems import context_encoder
from ce_jax.systems.curriculum import counts_of, levels_of, on_demand

LEVELS = ("block:1-4", "block:5-8", "block:9-12")


@pytest.mark.parametrize("batch_size", [5, 16, 99, 100])
def test_shares_add_up_to_the_batch_and_are_rounded_by_less_than_one(batch_size):
    for seed in range(20):
        shares = np.random.default_rng(seed).dirichlet(np.ones(5))
        counts = np.asarray(counts_of(jnp.asarray(shares, jnp.float32), batch_size=batch_size))
        assert counts.sum() == batch_size
        assert (np.abs(counts - shares * batch_size) < 1 + 1e-4).all()


def test_harder_levels_get_more_in_proportion_to_one_over_their_psnr():
    psnr = np.array([40.0, 30.0, 20.0, 20.0, 15.0])
    counts = np.asarray(on_demand(jnp.asarray(psnr), batch_size=1000))
    np.testing.assert_allclose(counts, 1000 / psnr / np.sum(1 / psnr), atol=1)
    assert on_demand(jnp.array([-3.0, 12.0]), batch_size=13).tolist() == [12, 1]


def test_every_place_of_a_batch_belongs_to_one_level():
    levels = np.asarray(levels_of(jnp.array([3, 0, 4]), jnp.arange(7)))
    np.testing.assert_array_equal(levels, [0, 0, 0, 2, 2, 2, 2])


@pytest.fixture(scope="module", autouse=True)
def built_once():
    with tiny.built_once():
        yield


def test_a_batch_holds_as_many_holes_of_each_level_as_it_should():
    counts = jnp.array([2, 3, 11])
    state = Curriculum(counts, jnp.zeros(3))
    key = jax.random.split(jax.random.key(0), 16)
    model = tiny.self_tuned().model

    def draw(key, axis=None):
        return context_encoder._holes_of_batch(model, state, key, axis, 32)

    hole = jax.jit(draw)(jax.random.clone(key))
    sides = np.sqrt(np.asarray(hole).sum((1, 2, 3)))
    bounds = ((1, 4), (5, 8), (9, 12))
    found = [np.sum((first <= sides) & (sides <= last)) for first, last in bounds]
    assert found == counts.tolist()
    # Every device those of its own rows.
    shared = tiny.quick_pmap(partial(draw, axis="rows"), axis_name="rows")(key.reshape(8, 2))
    np.testing.assert_array_equal(np.reshape(shared, hole.shape), hole)


def test_equal_shares_stay_equal_and_say_so():
    experiment = tiny.self_tuned(sharing="equal")
    game, (scalars,) = tiny.play(experiment, tiny.batch(0))
    assert systems.build(experiment).validate is None
    assert game.curriculum.counts.sum() == 16
    assert np.ptp(game.curriculum.counts) == 1
    assert sum(scalars[f"share/level-{i}"] for i in (1, 2, 3)) == pytest.approx(1)


def test_validation_images_that_are_not_there_are_refused_before_anything(tmp_path):
    experiment = tiny.self_tuned()
    data = replace(experiment.data, validation="folder:nowhere")
    with pytest.raises(SourceError, match="'nowhere' is not a folder"):
        training.train(replace(experiment, data=data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_validation_is_the_mean_psnr_of_each_level_whatever_its_batches(monkeypatch):
    monkeypatch.setattr(context_encoder, "_AT_A_TIME", 4)
    experiment = tiny.self_tuned()
    system = systems.build(experiment)
    game = untrained.game(experiment)
    images = jax.random.uniform(jax.random.key(0), (6, 32, 32, 3), minval=-1.0)
    key = jax.random.split(jax.random.key(1), 6)
    tuned = jax.jit(system.validate)(game, images, jax.random.clone(key))

    module = context_encoder.module_of(experiment.model, size=32)

    @jax.jit
    def restated(variables, images, key):
        keys, expected = jax.vmap(lambda one: jax.random.split(one, 3))(key), []
        for level, spec in enumerate(LEVELS):
            hole = holes.draw(holes.parse(spec), keys[:, level], size=32)
            shown = context_encoder.paint(experiment.model, images, hole)
            prediction = module.apply(variables, shown, train=False)
            square = jnp.sum(jnp.where(hole, prediction - images, 0) ** 2, (1, 2, 3))
            square /= 3 * hole.sum((1, 2, 3))
            expected.append(jnp.mean(10 * jnp.log10(4 / square)))
        return jnp.stack(expected)

    expected = restated(game.inference_variables, images, key)
    np.testing.assert_allclose(tuned.curriculum.psnr, expected, rtol=1e-4)
    np.testing.assert_array_equal(tuned.curriculum.counts, on_demand(expected, batch_size=16))


@pytest.mark.slow
def test_a_run_is_tuned_after_every_epoch_and_resumes_as_it_was(tmp_path):
    """48 images make three steps an epoch; the run is stopped in the second one."""
    experiment = tiny.self_tuned(steps=7)
    data = replace(
        experiment.data, source="bundled:digits[:48]", validation="bundled:digits[48:58]"
    )
    experiment = replace(experiment, data=data, picture_every=7, checkpoint_every=7)
    training.train(experiment, tmp_path / "whole")
    training.train(experiment, tmp_path / "parts", stopped=tiny.after(4))
    training.train(experiment, tmp_path / "parts")

    whole, parts = (scalars(tmp_path / name) for name in ("whole", "parts"))
    told = [[line["psnr/level-1"], line["loss/reconstruction"]] for line in whole]
    assert told == [[line["psnr/level-1"], line["loss/reconstruction"]] for line in parts]
    psnr = [line["psnr/level-1"] for line in whole]
    assert psnr[:3] == [0, 0, 0]
    assert 0 < psnr[3] == psnr[4] == psnr[5] != psnr[6] > 0
