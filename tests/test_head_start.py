"""A run can begin with networks that have learned elsewhere, and train them further."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import tiny
import untrained

from ce_jax.config import Adam
from ce_jax.runs import checkpointing, loading, releases
from ce_jax.runs.workdirs import CheckpointError
from ce_jax.state import Trained
from ce_jax.training import train

KINDS = tiny.EVERY_KIND | {"latent_encoder": tiny.latent_encoder(), "l2_gan": tiny.l2_gan()}
STILL = Adam(rate=1e-9)


def same(mine, theirs, **how):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **how), mine, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_game_knows_what_another_shows(kind):
    fresh, other = (untrained.game(KINDS[kind], seed=seed) for seed in (1, 2))
    critic = other.critic and other.critic.variables
    game = fresh.with_variables(other.inference_variables, critic)
    same(game.inference_variables, other.inference_variables)
    assert game.critic is None or game.critic.variables == critic
    assert game.generator.moments is fresh.generator.moments
    with pytest.raises(AssertionError):
        same(game.inference_variables, fresh.inference_variables)


def test_a_critic_of_which_nothing_is_known_stays_as_it_is():
    fresh = untrained.game(tiny.dcgan())
    assert fresh.with_variables(fresh.inference_variables, None).critic is fresh.critic


def test_a_run_begins_there_and_goes_on_without_it(tmp_path):
    known = untrained.networks(tiny.context_encoder())
    (path := tmp_path / "known.safetensors").write_bytes(releases.pack(known))
    config = tiny.context_encoder(
        start_from=str(path), average=0.9, generator=STILL, critic=STILL, steps=3
    )
    with tiny.built_once():
        assert train(config, tmp_path / "run", stopped=tiny.after(2)) == 2
        path.unlink()
        assert train(config, tmp_path / "run") == 3
    trained = checkpointing.load(tmp_path / "run")
    for mine, theirs in ((trained.generator, known.generator), (trained.critic, known.critic)):
        same(mine["params"], theirs["params"], atol=1e-6)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (tiny.vae(), "known.safetensors is a ContextEncoder, but this config trains a Vae"),
        (
            replace(tiny.self_tuned(), average=0.9),
            r"known.safetensors: \S+ holds .+; in the network of this config it holds .+; choose",
        ),
    ],
)
def test_what_is_not_of_this_config_is_refused_by_its_first_key(tmp_path, config, message):
    known = untrained.networks(tiny.context_encoder())
    (path := tmp_path / "known.safetensors").write_bytes(releases.pack(known))
    with pytest.raises(CheckpointError, match=message):
        train(replace(config, start_from=str(path)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_encoder_for_another_dcgan_is_refused(tmp_path):
    known = untrained.networks(tiny.latent_encoder())
    (path := tmp_path / "known.safetensors").write_bytes(releases.pack(known))
    config = tiny.latent_encoder(start_from=str(path))
    dcgan = replace(config.model.dcgan, prior="normal")
    with pytest.raises(CheckpointError, match=r"known.safetensors guesses for Dcgan"):
        train(replace(config, model=replace(config.model, dcgan=dcgan)), tmp_path / "run")


def test_the_networks_that_hosts_begin_with_can_be_compared(tmp_path):
    paths = [tmp_path / f"{seed}.safetensors" for seed in range(2)]
    for seed, path in enumerate(paths):
        known = Trained.of(tiny.dcgan(), untrained.game(tiny.dcgan(), seed=seed), 7)
        path.write_bytes(releases.pack(known))

    def packed(path):
        known = loading.head_start(tiny.dcgan(start_from=path and str(path)), tmp_path / "run")
        return known and releases.pack(known)

    assert packed(None) is None
    assert packed(paths[0]) == packed(paths[0]) != packed(paths[1])


def test_an_encoder_learns_beside_the_dcgan_of_another(tmp_path):
    known = untrained.networks(tiny.latent_encoder())
    (path := tmp_path / "known.safetensors").write_bytes(releases.pack(known))
    config = tiny.latent_encoder()
    config = replace(config, model=replace(config.model, run=str(path)))
    dcgan = loading.head_start(config, tmp_path / "run")
    game = untrained.game(config, seed=1).with_variables(dcgan.generator, dcgan.critic)
    same(game.searched, known.generator["searched"])
    with pytest.raises(AssertionError):
        same(game.inference_variables["encoder"], known.generator["encoder"])
