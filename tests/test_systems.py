"""One update of each system: the papers' losses, reproducible numbers, and nothing peeked at.

After a change of `tests/golden/steps_*.json` that is meant: UPDATE_GOLDEN=1 pytest this file, and
say in the commit why the first steps of a training come out differently.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
import tiny
import untrained

from ce_jax import systems
from ce_jax.config import Adam, Dcgan
from ce_jax.state import Game, Network, optimizer, update_average
from ce_jax.systems import dcgan
from ce_jax.systems.system import adversarial

HOLE = slice(12, 20)
"""Where the tiny published context encoder has its hole: 16 pixels of centre less 4 of band."""


SLOW = {"dcgan_otherwise", "self_tuned"}
"""Kinds that have a twin, which is tested always."""

every_kind = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.slow] * (kind in SLOW)) for kind in tiny.EVERY_KIND],
)


@every_kind
def test_the_first_steps_have_the_committed_scalars(kind, assert_committed_steps):
    _, found = tiny.play(tiny.EVERY_KIND[kind], *map(tiny.batch, range(3)))
    assert_committed_steps(kind, found)


@every_kind
def test_a_step_gives_the_same_bits_again(kind):
    first, second = (tiny.play(tiny.EVERY_KIND[kind], tiny.batch(0)) for _ in range(2))
    assert first[1] == second[1]
    jax.tree.map(np.testing.assert_array_equal, first[0], second[0])


@every_kind
def test_every_weight_learns_and_every_statistic_moves(kind):
    experiment = tiny.EVERY_KIND[kind]
    before, (after, _) = tiny.start(experiment), tiny.play(experiment, tiny.batch(0))
    assert (before.step, after.step) == (0, 1)
    for player in ("generator", "critic"):
        old, new = getattr(before, player), getattr(after, player)
        for learned in ("params", "batch_stats"):
            pairs = jax.tree.map(
                lambda a, b: np.isfinite(b).all() and (a != b).any(),
                getattr(old, learned, {}),
                getattr(new, learned, {}),
            )
            assert all(jax.tree.leaves(pairs)), pairs


def test_the_joint_loss_weighs_reconstruction_and_adversary_as_published():
    _, (scalars,) = tiny.play(tiny.context_encoder(), tiny.batch(0))
    joint = 0.999 * scalars["loss/reconstruction"] + 0.001 * scalars["loss/adversarial"]
    assert scalars["loss/generator"] == pytest.approx(joint, rel=1e-5)
    assert scalars["loss/adversarial"] > 0.1


def test_without_an_adversarial_loss_there_is_no_critic():
    game, (scalars,) = tiny.play(tiny.context_encoder_alone(), tiny.batch(0))
    assert game.critic is None
    assert scalars.keys() == {"loss/generator", "loss/reconstruction", "hole/psnr"}
    assert scalars["loss/generator"] == pytest.approx(scalars["loss/reconstruction"], rel=1e-6)


def test_a_context_encoder_does_not_see_what_it_has_to_predict():
    images = tiny.batch(0)
    other_hole, other_band = images.copy(), images.copy()
    other_hole[:, HOLE, HOLE] = tiny.batch(1)[:, HOLE, HOLE]
    other_band[:, HOLE.start - 1] = tiny.batch(1)[:, HOLE.start - 1]
    (seen, report), (same, other_report), (different, _) = (
        tiny.play(tiny.context_encoder(), images) for images in (images, other_hole, other_band)
    )
    statistics, unchanged, changed = (
        jax.tree.leaves(game.generator.batch_stats) for game in (seen, same, different)
    )
    for a, b in zip(statistics, unchanged, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(statistics, changed, strict=True))
    assert report[0]["loss/reconstruction"] != other_report[0]["loss/reconstruction"]


def keys_of(count):
    return jax.random.split(jax.random.key(2), count)


def test_the_running_average_follows_faster_at_the_start():
    average, decays = {"w": jnp.array([8.0])}, []
    for step, new in enumerate([0.0, 2.0, -1.0]):
        decays.append(min(0.15, (1 + step) / (10 + step)))
        expected = decays[-1] * average["w"] + (1 - decays[-1]) * new
        average = update_average(average, {"w": jnp.array([new])}, jnp.array(step), 0.15)
        np.testing.assert_allclose(average["w"], expected, rtol=1e-6)
    assert decays == [1 / 10, 0.15, 0.15]


@pytest.mark.parametrize(("step", "decay"), [(0, 1 / 10), (7, 8 / 17), (500, 0.9)])
def test_the_running_average_is_what_infers(step, decay):
    """At the last it decays as the config says."""
    experiment = tiny.dcgan()
    assert experiment.average == 0.9
    begun = tiny.start(experiment)
    begun = begun.replace(step=np.int32(step), average=jax.tree.map(np.ones_like, begun.average))
    after, _ = tiny.play(experiment, tiny.batch(0), begun=begun)
    assert after.inference_variables is after.average
    jax.tree.map(
        lambda new, average: np.testing.assert_allclose(
            average, decay + (1 - decay) * new, rtol=1e-5, atol=1e-6
        ),
        after.generator.variables,
        after.average,
    )


def test_without_an_average_the_generator_itself_infers():
    game, _ = tiny.play(tiny.context_encoder(), tiny.batch(0))
    assert game.average is None
    assert game.inference_variables["params"] is game.generator.params
    assert update_average(None, game.generator.variables, game.step, 0.0) is None


def test_the_l2_penalty_is_part_of_the_gradient_that_adam_sees():
    """As in Theano and Torch; not the decay of AdamW, which Adam's division does not touch."""
    weights, gradient = jnp.array([2.0, -1.0, 0.5]), jnp.array([0.1, 0.0, -0.3])
    penalised, plain = (optimizer(Adam(rate=0.1, l2=l2), steps=1) for l2 in (0.25, 0.0))
    found, _ = penalised.update(gradient, penalised.init(weights), weights)
    expected, _ = plain.update(gradient + 0.25 * weights, plain.init(weights), weights)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert jax.tree.structure(plain.init(weights)) == jax.tree.structure(
        optax.adam(0.1).init(weights)
    )


def test_a_generator_that_learns_twice_sees_the_same_critic_and_the_same_z():
    """The second time is one more step of its own, against the critic that the first time saw."""
    images = jax.random.uniform(jax.random.key(0), (8, 2, 2, 3), minval=-1.0)
    z = dcgan.draw_latent(keys_of(8), dimensions=5)
    generator, critic = (
        Network(module, optax.sgd(0.1)) for module in (tiny.Painter(), tiny.Judge())
    )
    with tiny.quickly():
        painter = jax.jit(generator.init)(jax.random.key(1), z)
        judge = jax.jit(critic.init)(jax.random.key(2), images)

    @functools.partial(tiny.jit, static_argnums=0)
    def after(times):
        return dcgan.step(
            Game(painter, judge, None, jnp.zeros((), jnp.int32)),
            images,
            keys_of(8),
            generator=generator,
            critic=critic,
            model=Dcgan(latent=5, generator_steps=times),
            average=0.0,
        )

    (once, _), (twice, scalars) = after(1), after(2)
    jax.tree.map(np.testing.assert_array_equal, once.critic, twice.critic)

    def loss(params):
        fakes, batch_stats = generator.forward(params, once.generator.batch_stats, z)
        return adversarial(critic, once.critic, fakes), batch_stats

    slope = tiny.jit(jax.value_and_grad(loss, has_aux=True))
    (value, batch_stats), gradient = slope(once.generator.params)
    expected = jax.tree.map(lambda w, g: w - 0.1 * g, once.generator.params, gradient)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
    close(scalars["loss/generator"], value)
    jax.tree.map(close, twice.generator.params, expected)
    jax.tree.map(close, twice.generator.batch_stats, batch_stats)
    moved = jax.tree.map(lambda a, b: (a != b).any(), once.generator.params, expected)
    assert moved["BatchNorm_0"]["BatchNorm_0"]["scale"]


def test_the_loss_of_a_vae_is_the_bound_with_its_divergence_weighed():
    _, (scalars,) = tiny.play(tiny.vae(), tiny.batch(0))
    bound = scalars["loss/reconstruction"] + 2 * scalars["loss/divergence"]
    assert scalars["loss/generator"] == pytest.approx(bound, rel=1e-5)
    assert scalars["loss/divergence"] > 0
    assert scalars["scale"] == pytest.approx(0.25)


def test_a_vae_shows_photographs_reconstructions_and_samples():
    experiment = tiny.vae()
    images = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3), minval=-1.0)
    preview = tiny.jit(systems.build(experiment).preview)
    variables = untrained.networks(experiment).generator
    seen, other = (np.asarray(preview(variables, x, keys_of(2))) for x in (images, -images))
    truth, reconstruction, sample = np.moveaxis(seen, 1, 0)
    np.testing.assert_array_equal(truth, images)
    assert np.any(reconstruction != other[:, 1])
    np.testing.assert_array_equal(sample, other[:, 2])
    assert np.any(sample[0] != sample[1])


def test_normal_latents_are_normal():
    drawn = np.asarray(dcgan.draw_latent(keys_of(500), dimensions=20, prior="normal"))
    assert scipy.stats.kstest(drawn.ravel(), "norm").pvalue > 0.01
    assert (dcgan.latent_bound("uniform"), dcgan.latent_bound("normal")) == (1, np.inf)


def test_latents_are_uniform_and_depend_on_their_own_key():
    drawn = np.asarray(dcgan.draw_latent(keys_of(500), dimensions=20))
    assert drawn.shape == (500, 20)
    assert -1 <= drawn.min() < -0.99 < 0.99 < drawn.max() <= 1
    assert abs(drawn.mean()) < 0.03
    assert drawn.std() == pytest.approx(3**-0.5, rel=0.02)
    alone = dcgan.draw_latent(keys_of(500)[7:8], dimensions=20)
    np.testing.assert_array_equal(alone[0], drawn[7])
