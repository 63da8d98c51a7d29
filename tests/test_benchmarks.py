"""The opponent does the same work: from the same weights and inputs it gives the same numbers."""

import gc
import json
import os
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from processes import ARITHMETIC_ALONE

from ce_jax.completion.space import Networks
from ce_jax.config import LatentSearch
from ce_jax.systems.dcgan import draw_latent

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e .[benchmark]")

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import figures, ours, searching, theirs, timing, training  # noqa: E402
from benchmarks.pytorch.networks import frozen  # noqa: E402
from benchmarks.pytorch.running import EAGER, Mode, why_not_compiled  # noqa: E402
from benchmarks.setting import Setting  # noqa: E402
from benchmarks.weights import from_pytorch  # noqa: E402

SETTING = Setting(size=32, width=4, batch_size=8, steps=2)
ROOT = Path(__file__).parent.parent

compiles = pytest.mark.skipif(bool(why_not_compiled()), reason=str(why_not_compiled()))
# torch.compile warns of its own parts, and of a gradient that it itself looks at.
of_inductor = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore:The .grad attribute of a Tensor:UserWarning"
)
both_modes = pytest.mark.parametrize(
    "mode",
    [
        pytest.param(EAGER, id="eager"),
        pytest.param(
            Mode(compiled=True), id="compiled", marks=[pytest.mark.slow, compiles, of_inductor]
        ),
    ],
)
pytestmark = pytest.mark.usefixtures("quickly")


def stepped(run):
    """The game after two of our steps, and the losses of both players in each."""
    batch = training.noise(run.batch_size, run.data.frame.size)
    update = ours.training(run)
    game, scalars = update(ours.start(run), [jnp.asarray(batch)] * SETTING.steps, jax.random.key(1))
    losses = zip(scalars["loss/critic"], scalars["loss/generator"], strict=True)
    return game, [tuple(map(float, pair)) for pair in losses]


@pytest.fixture(scope="module")
def dcgan():
    return stepped(SETTING.dcgan)


@pytest.fixture(scope="module")
def context_encoder():
    return stepped(SETTING.context_encoder)


def assert_close(ours, theirs, **tolerance):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), ours, theirs)


def assert_learned_alike(ours, theirs, *, rate):
    """But for gradients that are nothing but rounding, which Adam makes whole steps of."""
    for a, b in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        difference = np.abs(np.asarray(a) - b)
        assert np.mean(difference > rate / 100) < 1e-3
        assert np.max(difference) < 2 * SETTING.steps * rate


@pytest.mark.slow
def test_weights_survive_the_way_to_pytorch_and_back(dcgan, context_encoder):
    game, _ = dcgan
    generator = theirs.generator_twin(game.generator.variables, SETTING)
    assert_close(game.generator.variables, from_pytorch(generator), rtol=0)
    critic = theirs.critic_twin(game.critic.variables, size=SETTING.size, width=SETTING.width)
    assert_close(game.critic.variables, from_pytorch(critic), rtol=0)
    game, _ = context_encoder
    encoder = theirs.context_encoder_twin(game.generator.variables, SETTING.context_encoder)
    assert_close(game.generator.variables, from_pytorch(encoder), rtol=0)


@pytest.mark.slow
@both_modes
def test_training_steps_of_a_dcgan_are_the_same_on_both_sides(dcgan, mode):
    game, losses = dcgan
    trainer = training.dcgan_trainer(SETTING, mode=mode)
    batch = theirs.tensor(training.noise(SETTING.batch_size, SETTING.size))
    for step, pair in enumerate(losses):
        key = jax.random.split(jax.random.fold_in(jax.random.key(1), step), SETTING.batch_size)
        z = draw_latent(key, dimensions=SETTING.model.latent)
        np.testing.assert_allclose(pair, trainer.step(batch, theirs.tensor(z)), atol=1e-5)
    learned = from_pytorch(trainer.generator)
    assert_learned_alike(game.generator.params, learned["params"], rate=2e-4)
    assert_learned_alike(game.critic.params, from_pytorch(trainer.critic)["params"], rate=2e-4)
    # PyTorch stores the unbiased variance: n / (n - 1) times ours, with n from 128 upwards.
    assert_close(game.generator.batch_stats, learned["batch_stats"], rtol=1e-2, atol=1e-6)


@pytest.mark.slow
@both_modes
def test_training_steps_of_a_context_encoder_are_the_same_on_both_sides(context_encoder, mode):
    game, losses = context_encoder
    run = SETTING.context_encoder
    trainer = training.context_encoder_trainer(SETTING, mode=mode)
    batch = theirs.tensor(training.noise(SETTING.batch_size, run.data.frame.size))
    for pair in losses:
        np.testing.assert_allclose(pair, trainer.step(batch), atol=1e-5)
    for player, twin, adam in (
        (game.generator, trainer.encoder, run.generator),
        (game.critic, trainer.critic, run.critic),
    ):
        assert_learned_alike(player.params, from_pytorch(twin)["params"], rate=adam.rate)


@both_modes
def test_completions_of_a_context_encoder_are_the_same_on_both_sides(mode):
    run = SETTING.context_encoder
    images, hole = training.holed(SETTING.batch_size, run.data.frame.size)
    filled = ours.filling(run)(ours.start(run).generator.variables, images, hole)
    fill = training.their_filling(SETTING, mode=mode)
    np.testing.assert_allclose(filled, fill(*map(theirs.tensor, (images, hole))), atol=1e-5)
    known = ~np.broadcast_to(hole, images.shape)
    np.testing.assert_array_equal(np.asarray(filled)[known], images[known])


@pytest.fixture(scope="module")
def searched(dcgan):
    """Networks that have learned a little, and where our search has arrived in them."""
    game, _ = dcgan
    networks = Networks(game.generator.variables, game.critic.variables)
    search, _ = ours.search(SETTING, LatentSearch(steps=SETTING.steps, prior=1.0))
    return networks, search(networks, *searching.problem(SETTING))


@pytest.mark.slow
@both_modes
def test_searches_reach_the_same_z_and_objective_however_often(searched, mode):
    networks, (z, objective) = searched
    *_, start = searching.problem(SETTING)
    search = searching.their_search(SETTING, networks, mode=mode, prior=1.0)
    for _ in range(2):
        their_z, their_objective = search(SETTING.steps)
        np.testing.assert_allclose(z, their_z, atol=1e-4)
        np.testing.assert_allclose(objective, their_objective, rtol=1e-5)
    assert np.abs(z - start).max() > searching.PUBLISHED.rate  # it has moved


@pytest.mark.slow
@both_modes
def test_searches_from_the_same_guess_end_at_the_same_images(searched, mode):
    # Whoever has hardly learned paints and sees grey everywhere; so much louder it is not.
    louder = [
        {**variables, "params": jax.tree.map(lambda weight: 3 * weight, variables["params"])}
        for variables in searched[0][:2]
    ]
    guided = ours.guided(Networks(*louder), SETTING)
    settings = replace(searching.fast(SETTING), steps=4, prior_every=2, prior=1.0)
    images, hole, _ = searching.problem(SETTING)
    keys = jax.random.split(jax.random.key(0), SETTING.batch_size)
    proposal, *_ = ours.guided_search(SETTING.guesser, settings)(guided, images, hole, keys)
    search = searching.their_guided_search(SETTING, guided, settings, mode=mode)
    for _ in range(2):
        np.testing.assert_allclose(proposal, search().permute(0, 2, 3, 1), atol=1e-4)
    assert np.abs(proposal).max() > 0.1
    asked_more = replace(settings, prior_every=1)
    search = searching.their_guided_search(SETTING, guided, asked_more)
    assert np.abs(proposal - search().permute(0, 2, 3, 1).numpy()).max() > 1e-3


def test_a_captured_step_keeps_alive_what_its_graph_reads_and_writes(monkeypatch):
    monkeypatch.setattr(torch, "cuda", mock.MagicMock())
    inputs, outputs = [], []

    def built():
        read = torch.zeros(2)
        inputs.append(weakref.ref(read))

        def step():
            outputs.append(weakref.ref(output := read + 1))
            return output

        return Mode(compiled=True).step(step)

    replay = built()
    gc.collect()
    assert inputs[0]() is not None
    assert replay() is outputs[-1]() is not None
    torch.cuda.CUDAGraph().replay.assert_called_once_with()


def test_a_side_of_ours_that_fails_is_missing_like_one_of_theirs():
    def fails(setting):
        raise MemoryError("too large")

    found = theirs.sides(SETTING, ours=fails, theirs=lambda mode: int, keep=theirs.fastest)
    assert list(found.sides) == ["PyTorch"]
    assert found.missing == {"JAX": "MemoryError: too large"}


@pytest.mark.slow
def test_what_is_frozen_says_what_the_network_said(dcgan, context_encoder):
    game, _ = dcgan
    generator = theirs.generator_twin(game.generator.variables, SETTING)
    encoder = theirs.context_encoder_twin(
        context_encoder[0].generator.variables, SETTING.context_encoder
    )
    drawn = torch.Generator().manual_seed(0)
    z = torch.randn(3, SETTING.model.latent, generator=drawn)
    side = SETTING.context_encoder.data.frame.size
    pictures = torch.randn(3, 3, side, side, generator=drawn)
    with torch.inference_mode():
        for network, shown in ((generator, z), (encoder, pictures)):
            alone = frozen(network)
            assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in alone.modules())
            torch.testing.assert_close(alone(shown), network.eval()(shown))


def test_the_sides_take_turns():
    calls = []
    sides = (lambda: calls.append("ours"), lambda: calls.append("theirs"))
    first, second = timing.alternate(sides, repetitions=2, steps=1)
    assert calls == ["ours", "theirs", "theirs", "ours"]
    assert len(first.samples) == len(second.samples) == 2
    assert first.minimum == min(first.samples) <= first.quartiles[0] <= first.median
    assert first.scaled(3).minimum == 3 * first.minimum


@of_inductor
@pytest.mark.slow
def test_the_command_writes_the_figures_of_the_work_that_is_asked_for(tmp_path, capsys):
    flags = ["--repetitions=2", "--steps=2", "--size=32", "--width=4", "--batch-sizes", "8"]
    command.main(["--out", str(tmp_path), "--only", "training", "--minutes=30", *flags])
    report = json.loads((tmp_path / "benchmark.json").read_text())
    page = (tmp_path / "benchmark.md").read_text()
    assert capsys.readouterr().out == page
    names = [work["name"] for work in report["works"]]
    trained = ["DCGAN training step", "context encoder training step"]
    assert names == [figures.CEILING, *trained]
    for work in report["works"]:
        assert work["name"] in page
        for name, side in work["sides"].items():
            rate = work["flops"] / side["seconds"]["median"]
            assert 0 < side["flops_per_second"] == rate
            assert ("times_ours" in side) == name.startswith("PyTorch")
    assert {path.name for path in tmp_path.iterdir()} == {
        *("benchmark.json", "benchmark.md", "ratios.svg", "cost.svg")
    }


@pytest.mark.slow
def test_networks_are_timed_where_nothing_but_arithmetic_is_installed():
    code = f"""{ARITHMETIC_ALONE}
from benchmarks import __main__, searching, training
from benchmarks.setting import Setting
setting = Setting(size=32, width=4, batch_size=4, steps=1)
works = (training.dcgan_step, training.context_encoder_step, training.inference,
         searching.search_step, searching.whole_search, searching.guided_search,
         searching.fast_search)
for build in works:
    work = build(setting)
    assert {{"JAX", "PyTorch"}} <= work.sides.keys(), work
"""
    # Compiling for PyTorch is not the point: as if there were no compiler.
    environment = os.environ | {"PATH": "", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
