"""The opponent does the same work: from the same weights and inputs it gives the same numbers."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from ce_jax.completion.space import Networks
from ce_jax.config import LatentSearch
from ce_jax.images import to_float
from ce_jax.systems.dcgan import draw_latent

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e .[benchmark]")

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import pytorch, suite, timing  # noqa: E402
from benchmarks.weights import from_pytorch  # noqa: E402

SETTING = suite.Setting(size=32, width=4, batch_size=8, steps=2)


@pytest.fixture(scope="module", autouse=True)
def quickly():
    with tiny.quickly():
        yield


@pytest.fixture(scope="module")
def batch():
    shape = (SETTING.batch_size, SETTING.size, SETTING.size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def trained(batch):
    """Two training steps on both sides: our game, their trainer, and the losses of each step."""
    game, update = suite.start(SETTING), suite.our_training(SETTING)
    trainer = pytorch.Trainer(*suite.twins(game, SETTING))
    losses = []
    game, scalars = update(game, [jnp.asarray(batch)] * SETTING.steps, jax.random.key(1))
    ours = zip(scalars["loss/critic"], scalars["loss/generator"], strict=True)
    for step, pair in enumerate(ours):
        key = jax.random.fold_in(jax.random.key(1), step)
        z = draw_latent(jax.random.split(key, SETTING.batch_size), dimensions=SETTING.model.latent)
        theirs = trainer.step(torch.from_numpy(batch), torch.from_numpy(np.array(z)))
        losses.append((pair, theirs))
    return game, trainer, losses


def assert_close(ours, theirs, **tolerance):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), ours, theirs)


def test_weights_survive_the_way_to_pytorch_and_back(trained):
    game, _, _ = trained
    generator, critic = suite.twins(game, SETTING)
    assert_close(game.generator.variables, from_pytorch(generator), rtol=0)
    assert_close(game.critic.variables, from_pytorch(critic), rtol=0)


def test_both_sides_have_the_same_losses_in_every_training_step(trained):
    _, _, losses = trained
    for ours, theirs in losses:
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_both_sides_have_the_same_weights_after_two_training_steps(trained):
    game, trainer, _ = trained
    generator, critic = from_pytorch(trainer.generator), from_pytorch(trainer.critic)
    # A step moves a weight by up to the learning rate, 2e-4.
    assert_close(game.generator.params, generator["params"], rtol=0, atol=2e-6)
    assert_close(game.critic.params, critic["params"], rtol=0, atol=2e-6)
    # PyTorch stores the unbiased variance: n / (n - 1) times ours, with n from 128 upwards.
    assert_close(game.generator.batch_stats, generator["batch_stats"], rtol=1e-2, atol=1e-6)


def test_both_sides_reach_the_same_z_and_objective(trained, batch):
    game, _, _ = trained
    images = to_float(batch)
    hole = np.random.default_rng(1).random((*images.shape[:3], 1)) < 0.5
    start = np.random.default_rng(2).uniform(-1, 1, (len(images), SETTING.model.latent))
    start = start.astype(np.float32)
    settings = LatentSearch(steps=SETTING.steps, prior=1.0)
    search, _ = suite.our_search(SETTING, settings)
    networks = Networks(game.generator.variables, game.critic.variables)
    z, objective = search(networks, images, hole, start)

    generator, critic = suite.twins(game, SETTING)
    their_z, their_objective = pytorch.search(
        pytorch.frozen(generator),
        pytorch.frozen(critic),
        *map(torch.from_numpy, (images, hole, start)),
        steps=settings.steps,
        rate=settings.rate,
        window=settings.window,
        prior=settings.prior,
    )
    assert np.abs(z - start).max() > settings.rate  # it has moved
    np.testing.assert_allclose(z, their_z, atol=1e-4)
    np.testing.assert_allclose(objective, their_objective, rtol=1e-5)


def test_the_sides_take_turns_and_the_warm_up_does_not_count():
    calls = []
    sides = (lambda: calls.append("ours"), lambda: calls.append("theirs"))
    ours, theirs = timing.alternate(sides, repetitions=2, steps=1, warm_up=1)
    assert calls == ["ours", "theirs"] * 2 + ["theirs", "ours"]
    assert len(ours.samples) == len(theirs.samples) == 2
    assert ours.minimum == min(ours.samples) <= ours.quartiles[0] <= ours.median


def test_the_command_writes_the_figures_of_all_work(tmp_path, capsys):
    flags = ["--repetitions=1", "--steps=2", "--size=32", "--width=4", "--batch-size=8"]
    command.main(["--out", str(tmp_path), *flags])
    report = json.loads((tmp_path / "benchmark.json").read_text())
    page = (tmp_path / "benchmark.md").read_text()
    assert capsys.readouterr().out == page
    assert len(report["works"]) == 3
    for work in report["works"]:
        assert work["name"] in page
        for side in command.SIDES:
            rate = work["flops"] / work[side]["seconds"]["median"]
            assert 0 < work[side]["flops_per_second"] == rate


def test_the_command_refuses_work_of_no_size(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(["--out", str(tmp_path), "--repetitions", "0"])
    assert "--repetitions: must be at least 1, got 0" in capsys.readouterr().err
