"""A latent encoder learns to guess z from the known pixels, of a DCGAN that stays as it is."""

import shutil
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained

from ce_jax import sharding, systems
from ce_jax.completion import methods
from ce_jax.completion.objective import pose
from ce_jax.completion.space import Networks, space_of
from ce_jax.config import Inpainting, LatentEncoder, LatentSearch
from ce_jax.runs import checkpointing
from ce_jax.runs.workdirs import CheckpointError
from ce_jax.state import apply
from ce_jax.systems.dcgan import modules
from ce_jax.training import train

RUN = tiny.latent_encoder()
MAPS = replace(RUN, model=replace(RUN.model, maps=True))
HOLE = jnp.zeros((8, 32, 32, 1), bool).at[:, 8:24, 8:24].set(True)


def keys(count):
    return jax.random.split(jax.random.key(3), count)


def begun(run):
    """A game at step 0, about a DCGAN that draws something."""
    return tiny.start(run).replace(searched=untrained.game(run).searched)


@pytest.fixture(scope="module")
def update():
    return tiny.jit(systems.build(RUN).step)


@pytest.mark.parametrize("run", [RUN, MAPS], ids=["z", "maps"])
def test_every_weight_learns_and_the_dcgan_stays_as_it_is(run):
    update = tiny.jit(systems.build(run).step)
    before = begun(run)
    after, scalars = update(before, tiny.batch(0) / 127.5 - 1, keys(16))
    learned, fixed = (
        jax.tree.map(lambda a, b: (a != b).any(), getattr(before, part), getattr(after, part))
        for part in ("generator", "searched")
    )
    assert all(jax.tree.leaves(learned.params))
    assert all(jax.tree.leaves(learned.batch_stats))
    assert not any(jax.tree.leaves(fixed))
    assert all(np.isfinite(value) for value in scalars.values())


def test_what_it_learns_from_the_generator_it_can_tell(update):
    """On pictures that the generator draws, all losses go down; the encoder alone has changed."""
    game, first = begun(RUN), None
    for number in range(30):
        batch = np.random.default_rng(number).uniform(-1, 1, (16, 32, 32, 3))
        game, scalars = update(game, batch.astype(np.float32), keys(16))
        first = first or scalars
    assert scalars["loss/latent"] < 0.9 * first["loss/latent"]
    assert scalars["loss/encoder"] < 0.9 * first["loss/encoder"]


def test_the_losses_are_those_of_the_config_by_hand():
    """Photographs alone, one kind of hole: the reconstruction, in which the hole counts thrice."""
    model = replace(RUN.model, photographs=1.0, holes=("center",), hole_weight=3.0)
    run = replace(RUN, model=model)
    game, images = untrained.game(run), tiny.batch(0)[:8] / np.float32(127.5) - 1
    step = tiny.jit(systems.build(run).step)
    _, scalars = step(game, images, keys(8))
    assert scalars["loss/latent"] == 0
    assert scalars["loss/encoder"] == pytest.approx(float(scalars["loss/reconstruction"]))
    # With the statistics of the batch, as in training.
    module = systems.latent_encoder.module_of(model, size=32)
    variables = {"params": game.generator.params, "batch_stats": game.generator.batch_stats}
    generator, _ = modules(model.dcgan, size=32)

    @tiny.jit
    def reconstructed(images):
        seen = systems.latent_encoder.see(images, HOLE)
        guess, _ = module.apply(variables, seen, train=True, mutable=["batch_stats"])
        return apply(generator, game.searched.generator, guess.z)

    error = np.asarray(reconstructed(images) - images) ** 2
    expected = (np.where(HOLE, 3.0, 1.0) * error).mean()
    assert scalars["loss/reconstruction"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("run", [RUN, MAPS], ids=["z", "maps"])
def test_a_search_begins_where_the_encoder_says(run):
    trained = untrained.networks(run)
    settings = LatentSearch(start="encoder", steps=1, rate=1e-7)
    mesh = sharding.make_mesh(jax.devices()[:1])
    with tiny.quickly():
        complete = methods.build(Inpainting(model="a run", latent=settings), trained, mesh)
    images = tiny.batch(0)[:8] / np.float32(127.5) - 1

    @tiny.jit
    def guessed(images):
        space = space_of(run.model, Networks(trained.generator, None), settings)
        guess = space.guess(jnp.where(HOLE, 0.0, images), HOLE)
        generator, _ = modules(run.model.dcgan, size=32)
        return guess.z, apply(generator, trained.generator["searched"].generator, *guess)

    z, expected = guessed(images)
    assert np.abs(z).max() <= 1
    assert z.std() > 0.05
    np.testing.assert_allclose(complete(images, HOLE, keys(8)).proposal, expected, atol=1e-4)


def test_of_an_image_of_which_nothing_is_known_no_map_is_guessed():
    trained, images = untrained.networks(MAPS), tiny.batch(0)[:2] / np.float32(127.5) - 1
    settings = LatentSearch(start="encoder")
    everything = jnp.stack([HOLE[0], jnp.ones_like(HOLE[0])])
    space = space_of(MAPS.model, Networks(trained.generator, None), settings)
    known, unknown = pose(space, jnp.asarray(images), everything, keys(2)).guess.maps
    assert np.abs(known).max() > 0.1
    assert not np.any(unknown)


def test_that_start_needs_a_run_with_an_encoder():
    config = Inpainting(model="runs/plain", latent=LatentSearch(start="encoder"))
    with pytest.raises(ValueError, match=r"latent.start encoder needs .* runs/plain is a Dcgan"):
        methods.build(config, untrained.networks(tiny.dcgan()), sharding.make_mesh())


@pytest.mark.slow
def test_a_run_takes_the_dcgan_along_and_resumes_without_the_other_run(tmp_path):
    run = untrained.workdir(tmp_path / "dcgan", tiny.dcgan())
    config = replace(RUN, model=replace(RUN.model, run=run), steps=3, batch_size=8)
    with tiny.built_once():
        assert train(config, tmp_path / "encoder", stopped=tiny.after(2)) == 2
        theirs = checkpointing.load(tmp_path / "dcgan")
        shutil.rmtree(run)
        assert train(config, tmp_path / "encoder") == 3
    ours = checkpointing.load(tmp_path / "encoder").generator["searched"]
    jax.tree.map(np.testing.assert_array_equal, ours.generator, theirs.generator)
    jax.tree.map(np.testing.assert_array_equal, ours.critic, theirs.critic)


@pytest.mark.parametrize("other", [tiny.dcgan_otherwise(), tiny.vae()])
def test_a_run_of_something_else_is_refused_by_name(tmp_path, other):
    run = untrained.workdir(tmp_path / "other", other)
    config = replace(RUN, model=LatentEncoder(run=run, dcgan=tiny.dcgan().model, width=4))
    with pytest.raises(CheckpointError, match=r"trained (Dcgan|Vae)\(.* model.dcgan = Dcgan"):
        train(config, tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()
