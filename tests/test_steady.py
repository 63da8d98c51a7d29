"""The loop in its steady state: nothing is compiled any more, and nothing moves by accident.

That nothing moves between host and device unasked is seen to by the guard in the loop itself.
"""

import logging
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from processes import scalars

from ce_jax import data, systems
from ce_jax.config import Sharding
from ce_jax.runs import checkpointing
from ce_jax.state import Network
from ce_jax.systems import System
from ce_jax.systems.system import begin, proceed
from ce_jax.training import train

# Four epochs of four steps; each ends with a validation, a picture and a checkpoint.
RUN = tiny.self_tuned(steps=16, steps_per_call=2, picture_every=4, checkpoint_every=4)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_after_the_first_epoch_nothing_is_compiled(mode, tmp_path, caplog):
    seen = []

    def watch(update):
        def watched(game, batches):
            seen.append(compiled())
            return update(game, batches)

        return watched

    def compiled():
        return [r.getMessage() for r in caplog.records if r.getMessage().startswith("Compiling")]

    with jax.log_compiles(), caplog.at_level(logging.WARNING), tiny.quickly():
        train(replace(RUN, sharding=Sharding(mode=mode)), tmp_path / "run", watch=watch)
    assert len(seen) == 8
    # The picture and the checkpoint of the first epoch end before its second call is followed.
    assert compiled() == seen[3], compiled()[len(seen[3]) :]
    assert len(seen[3]) > 3  # the log says what it is asked for


@pytest.mark.slow
def test_what_moves_by_accident_stops_the_run(tmp_path, monkeypatch):
    """Batches that were left on the host are such an accident."""
    batches = data.training_batches

    class OnHost:
        def __init__(self, *arguments, **options):
            self._batches = batches(*arguments, **options)

        def __next__(self):
            return np.asarray(next(self._batches))

        def __getattr__(self, name):
            return getattr(self._batches, name)

    monkeypatch.setattr(data, "training_batches", OnHost)
    with pytest.raises(Exception, match="Disallowed host-to-device transfer"), tiny.quickly():
        train(tiny.context_encoder_alone(), tmp_path / "run")


@pytest.mark.slow
def test_a_run_begun_with_pmap_goes_on_with_jit(tmp_path):
    whole, half = tmp_path / "whole", tmp_path / "half"
    with tiny.quickly():
        train(tiny.dcgan(), whole)
        begun = tiny.dcgan(sharding=Sharding(mode="pmap"))
        assert train(begun, half, stopped=tiny.after(2)) == 2
        assert train(tiny.dcgan(), half) == 4
    ours, theirs = map(scalars, (half, whole))
    for line, expected in zip(ours, theirs, strict=True):
        assert line == pytest.approx(expected, rel=2e-3)


def guessing(config, **_):
    """The smallest system: it learns to tell from a photograph what is drawn by its key."""
    judge = Network(tiny.Judge(), optax.sgd(0.01))

    def step(game, images, key):
        def loss(params):
            guessed, batch_stats = judge.forward(params, game.generator.batch_stats, images)
            return jnp.mean((guessed - jax.vmap(jax.random.normal)(key)) ** 2), batch_stats

        (value, batch_stats), slope = jax.value_and_grad(loss, has_aux=True)(game.generator.params)
        player = judge.learn(game.generator, slope, batch_stats)
        return proceed(game, player, None, config.average), {"loss/generator": value}

    def init(key):
        return begin(judge.init(key, jnp.zeros((1, 32, 32, 3))), None, config)

    return System(init, step, lambda variables, images, key: images[:, None])


def test_steps_of_one_call_are_those_of_several_and_end_where_the_host_has_work(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(systems, "build", guessing)
    calls = []

    def watch(update):
        return lambda game, batches: calls.append(len(batches)) or update(game, batches)

    def trained(**changes):
        run = tiny.dcgan(steps=9, picture_every=5, checkpoint_every=4, **changes)
        workdir = tmp_path / str(run.steps_per_call)
        with tiny.quickly(tiny.EXACTLY):
            train(run, workdir, watch=watch)
        return scalars(workdir), checkpointing.load(workdir).generator

    (alone, state), (together, other) = trained(), trained(steps_per_call=3)
    assert calls == [1] * 9 + [3, 1, 1, 3, 1]
    assert len({line["loss/generator"] for line in alone}) == 9
    for line, expected in zip(together, alone, strict=True):
        assert line == pytest.approx(expected, rel=1e-6)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), other, state)
