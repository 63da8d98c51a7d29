"""Who learns how fast for how long, and what of it is remembered."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from ce_jax import systems
from ce_jax.config import Adam
from ce_jax.runs.arithmetic import abstract_step
from ce_jax.state import Network, optimizer
from ce_jax.systems import system

KINDS = tiny.EVERY_KIND | {"latent_encoder": tiny.latent_encoder(), "l2_gan": tiny.l2_gan()}
GENERATOR, CRITIC = (Adam(rate=rate, schedule="cosine") for rate in (0.5, 0.25))


@pytest.mark.parametrize(
    ("kind", "updates"),
    [
        ("dcgan", {"generator": 5, "critic": 5}),
        ("dcgan_otherwise", {"generator": 2 * 5, "critic": 5}),  # its generator learns twice
        ("vae", {"autoencoder": 5}),
        ("context_encoder", {"generator": 5, "critic": 5}),
        ("latent_encoder", {"encoder": 5}),
        ("l2_gan", {"recovery": 2, "refiner": 3, "critic": 3}),
    ],
)
def test_each_player_learns_at_its_own_rate_until_the_run_ends(kind, updates):
    """Where the gradient is always the same, Adam's steps are as long as its rate."""
    critic = Adam() if kind in ("vae", "latent_encoder") else CRITIC
    run = replace(KINDS[kind], steps=5, generator=GENERATOR, critic=critic)
    networks = systems.build(run).step.keywords
    for player, times in updates.items():
        adam, found = networks[player].optimizer, []
        state = adam.init(jnp.zeros(()))
        for _ in range(times + 1):
            update, state = adam.update(jnp.ones(()), state, jnp.zeros(()))
            found.append(float(update))
        rate = (CRITIC if player == "critic" else GENERATOR).rate
        expected = -rate * (1 + np.cos(np.pi * np.arange(times + 1) / times)) / 2
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6, err_msg=player)


def test_both_moments_of_adam_decay_as_the_config_says():
    adam, rate = Adam(rate=0.1, beta1=0.5, beta2=0.9), 0.1
    chosen = optimizer(adam, steps=9)
    state, mean, square = chosen.init(jnp.zeros(())), 0.0, 0.0
    for step, gradient in enumerate([1.0, -3.0, 0.5], start=1):
        mean = 0.5 * mean + 0.5 * gradient
        square = 0.9 * square + 0.1 * gradient**2
        expected = -rate * (mean / (1 - 0.5**step)) / np.sqrt(square / (1 - 0.9**step))
        update, state = chosen.update(jnp.asarray(gradient), state)
        assert float(update) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["vae", "context_encoder", "latent_encoder", "l2_gan"])
def test_every_kind_averages_by_the_decay_of_its_config(kind, monkeypatch):
    decays = []
    monkeypatch.setattr(system, "update_average", lambda *given: decays.append(given[-1]))
    step, arguments = abstract_step(replace(KINDS[kind], average=0.37))
    jax.eval_shape(step, *arguments)
    assert decays == [0.37]


def test_what_a_critic_remembers_is_of_photographs_and_then_of_drawn_images():
    """Torch's decay of 0.9, twice: BatchNorm sees two batches, one after the other."""
    random = np.random.default_rng(0)
    real, fake = (random.normal(m, 0.5, (8, 2, 2, 3)).astype(np.float32) for m in (0.3, -0.4))
    critic = Network(tiny.Judge(), optax.sgd(0.1))

    @tiny.jit
    def judged():
        player = critic.init(jax.random.key(2), real)
        return player, system.judge(critic, player, real, fake)[0]

    before, after = jax.device_get(judged())
    dense = before.params["Dense_0"]
    mean, variance = 0.0, 1.0
    for images in (real, fake):
        seen = images.reshape(8, -1) @ dense["kernel"] + dense["bias"]
        mean, variance = 0.9 * mean + 0.1 * seen.mean(0), 0.9 * variance + 0.1 * seen.var(0)
    (kept,) = after.batch_stats["BatchNorm_0"].values()
    np.testing.assert_allclose(kept["mean"], mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(kept["var"], variance, rtol=1e-4)
