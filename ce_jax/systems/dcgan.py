"""A generator of images and its critic (Radford et al. 2016): what latent search looks in."""

from functools import partial

import jax
import jax.numpy as jnp

from ce_jax.config import Dcgan, Training
from ce_jax.models import dcgan
from ce_jax.state import Game, Network, Scalars, Variables, apply, mean_over
from ce_jax.systems.system import System, adversarial, begin, judge, network, proceed

Array = jax.Array


def draw_latent(key: Array, *, dimensions: int) -> Array:
    """z uniform in [-1, 1], one for each key: [b] -> [b, dimensions]."""
    return jax.vmap(lambda k: jax.random.uniform(k, (dimensions,), minval=-1.0))(key)


def modules(
    model: Dcgan, *, size: int, axis: str | None = None
) -> tuple[dcgan.Generator, dcgan.Critic]:
    """The generator and the critic of a DCGAN for `size`-pixel images."""
    return dcgan.Generator(size, model.width, axis), dcgan.Critic(model.width, axis)


def step(
    game: Game,
    images: Array,
    key: Array,
    *,
    generator: Network,
    critic: Network,
    latent: int,
    average: float,
) -> tuple[Game, Scalars]:
    """The critic learns from a batch, then the generator from the critic (Radford et al. 2016)."""
    assert game.critic is not None
    z = draw_latent(key, dimensions=latent)
    # One forward pass of the generator serves both players: its pull-back waits for the critic.
    fakes, pull_back, batch_stats = jax.vjp(
        lambda params: generator.forward(params, game.generator.batch_stats, z),
        game.generator.params,
        has_aux=True,
    )
    next_critic, scalars = judge(critic, game.critic, images, fakes)
    loss, gradient = jax.value_and_grad(lambda f: adversarial(critic, next_critic, f))(fakes)
    next_generator = generator.learn(game.generator, pull_back(gradient)[0], batch_stats)
    scalars["loss/generator"] = loss
    return proceed(game, next_generator, next_critic, average), mean_over(generator.axis, scalars)


def build(config: Training, model: Dcgan, axis: str | None) -> System:
    """The system of a config with this model."""
    size = config.data.frame.size
    generator_module, critic_module = modules(model, size=size, axis=axis)
    generator = network(generator_module, config.generator, config, axis)
    critic = network(critic_module, config.critic, config, axis)
    update = partial(
        step,
        generator=generator,
        critic=critic,
        latent=model.latent,
        average=config.average,
    )

    def init(key: Array) -> Game:
        generator_key, critic_key = jax.random.split(key)
        player = generator.init(generator_key, jnp.zeros((1, model.latent)))
        return begin(player, critic.init(critic_key, jnp.zeros((1, size, size, 3))), config)

    def preview(variables: Variables, images: Array, key: Array) -> Array:
        z = draw_latent(key, dimensions=model.latent)
        return apply(generator_module, variables, z)[:, None]

    return System(init, update, preview)
