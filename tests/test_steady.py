"""The loop in its steady state: nothing is compiled any more, and nothing moves by accident.

That nothing moves between host and device unasked is seen to by the guard in the loop itself.
"""

import logging
from dataclasses import replace

import jax
import numpy as np
import pytest
import tiny
from processes import scalars

from ce_jax import data
from ce_jax.config import Sharding
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
