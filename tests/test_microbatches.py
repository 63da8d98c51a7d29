"""A batch in parts is one step of the whole batch, as far as no BatchNorm looks at it."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from flax import linen as nn

from ce_jax.config import Dcgan
from ce_jax.models.layers import BatchNorm
from ce_jax.state import Game, Network, apply
from ce_jax.systems import dcgan

# Without BatchNorm, which looks at a part alone.
PAINTER, JUDGE = tiny.Painter(normalised=False), tiny.Judge(normalised=False)


class Normal(nn.Module):
    """BatchNorm alone."""

    @nn.compact
    def __call__(self, x, *, train):
        return BatchNorm(train)(x)


def test_the_step_of_both_players_is_that_of_the_whole_batch():
    """The critic's, then twice the generator's against the critic that has learned."""
    images = jax.random.uniform(jax.random.key(0), (12, 2, 2, 3), minval=-1.0)
    keys = jax.random.split(jax.random.key(2), 12)

    def after(parts):
        generator = Network(PAINTER, optax.sgd(0.5), parts=parts)
        critic = Network(JUDGE, optax.sgd(0.5), parts=parts)

        @tiny.jit
        def step(images, keys):
            game = Game(
                generator.init(jax.random.key(1), jnp.zeros((1, 5))),
                critic.init(jax.random.key(3), images),
                None,
                jnp.zeros((), jnp.int32),
            )
            return dcgan.step(
                game,
                images,
                keys,
                generator=generator,
                critic=critic,
                model=Dcgan(latent=5, generator_steps=2),
                average=0.0,
            )

        return jax.device_get(step(images, jax.random.clone(keys)))

    whole, in_parts = after(1), after(3)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), in_parts, whole
    )


@pytest.mark.slow
def test_batch_norm_normalises_each_part_and_remembers_the_mean_of_them():
    x = np.random.default_rng(0).normal(2, 3, (12, 5)).astype(np.float32)
    network = Network(Normal(), optax.sgd(1.0), parts=3)
    player = network.init(jax.random.key(0), x)
    outputs, kept = tiny.jit(network.forward)(player.params, player.batch_stats, x)
    alone = replace(network, parts=1)
    forward = tiny.jit(alone.forward)
    parts = [forward(player.params, player.batch_stats, x[part::3]) for part in range(3)]
    for part, (expected, _) in enumerate(parts):
        np.testing.assert_allclose(outputs[part::3], expected, rtol=1e-5, atol=1e-5)
    mean = jax.tree.map(lambda *stats: np.mean(stats, axis=0), *(stats for _, stats in parts))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), kept, mean)


@pytest.mark.slow
def test_a_frozen_network_gives_every_image_what_is_its_own():
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    variables = PAINTER.init(jax.random.key(0), x, train=False)
    whole, parts = (apply(PAINTER, variables, x, parts=parts) for parts in (1, 2))
    np.testing.assert_allclose(whole, parts, rtol=1e-6)


SYSTEMS = {
    kind: replace(experiment, microbatches=2)
    for kind, experiment in (tiny.EVERY_KIND | {"latent_encoder": tiny.latent_encoder()}).items()
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SYSTEMS)
def test_every_kind_learns_in_parts_what_one_device_learns(kind):
    """A part is the same images on any number of devices."""
    (game, (scalars,)), (other, (others,)) = (
        tiny.play(SYSTEMS[kind], tiny.batch(0), devices=devices) for devices in (1, 8)
    )
    assert scalars == pytest.approx(others, rel=1e-5)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6),
        game.generator.batch_stats,
        other.generator.batch_stats,
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", SYSTEMS)
def test_half_of_a_batch_needs_little_more_than_half_of_the_memory(kind):
    def needed(experiment):
        images = jax.ShapeDtypeStruct((512, 32, 32, 3), np.uint8)
        lowered = tiny.compiled(experiment, devices=1).lower(
            tiny.start(experiment), [images], jax.random.key(1)
        )
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert needed(SYSTEMS[kind]) < 0.7 * needed(replace(SYSTEMS[kind], microbatches=1))
