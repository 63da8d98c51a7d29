"""A generator of images and its critic (Radford et al. 2016): what latent search looks in."""

import math
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from ce_jax.config import Dcgan, Training
from ce_jax.models import dcgan
from ce_jax.state import Game, Network, Player, Scalars, Variables, apply, mean_over
from ce_jax.systems.augmentation import augment
from ce_jax.systems.system import System, adversarial, begin, judge, network, proceed

Prior = Literal["uniform", "normal"]


def draw_latent(key: Array, *, dimensions: int, prior: Prior = "uniform") -> Array:
    """z uniform in [-1, 1] or standard normal, one for each key: [b] -> [b, dimensions]."""
    if prior == "normal":
        return jax.vmap(lambda k: jax.random.normal(k, (dimensions,)))(key)
    return jax.vmap(lambda k: jax.random.uniform(k, (dimensions,), minval=-1.0))(key)


def latent_bound(prior: Prior) -> float:
    """The largest magnitude in z that a generator of this prior was trained on."""
    return math.inf if prior == "normal" else 1.0


def modules(
    model: Dcgan, *, size: int, axis: str | None = None, dtype: DTypeLike = jnp.float32
) -> tuple[dcgan.Generator, dcgan.Critic]:
    """The generator and the critic of a DCGAN for `size`-pixel images."""
    generator = dcgan.Generator(size, model.width, axis, model.kernel, dtype)
    return generator, dcgan.Critic(model.width, axis, model.kernel, dtype, model.head)


def step(
    game: Game,
    images: Array,
    key: Array,
    *,
    generator: Network,
    critic: Network,
    model: Dcgan,
    average: float,
) -> tuple[Game, Scalars]:
    """The critic learns from a batch, then the generator from the critic (Radford et al. 2016).

    A generator that learns several times does so on the same z; its loss is that of the last time.

    Args:
        game: where both stand.
        images: photographs, [b, s, s, 3] in [-1, 1].
        key: [b]; the z of an image, and how it is varied, follow from its own.
        generator: z -> images.
        critic: images -> logits.
        model: how z is drawn, how images are varied, how often the generator learns.
        average: decay of the running average, if the game has one.

    Returns:
        The game after the step; both losses, and the mean of D on photographs and on drawn images.
    """
    assert game.critic is not None
    z = draw_latent(key, dimensions=model.latent, prior=model.prior)

    # Photographs are varied in turn 0, drawn images for the critic in 1, for the generator from 2.
    def shown(images: Array, turn: int) -> Array:
        if not model.augmentation:
            return images
        own = jax.vmap(jax.random.fold_in, (0, None))(key, turn)
        return augment(images, own, model.augmentation)

    def fool(fakes: Array, player: Player, turn: int) -> Array:
        return adversarial(critic, player, shown(fakes, turn))

    def generate(player: Player):
        return jax.vjp(
            lambda params: generator.forward(params, player.batch_stats, z),
            player.params,
            has_aux=True,
        )

    # One forward pass of the generator serves both players: its pull-back waits for the critic.
    next_generator = game.generator
    fakes, pull_back, batch_stats = generate(next_generator)
    next_critic, scalars = judge(critic, game.critic, shown(images, 0), shown(fakes, 1))
    for again in range(model.generator_steps):
        if again:
            fakes, pull_back, batch_stats = generate(next_generator)
        loss, gradient = jax.value_and_grad(fool)(fakes, next_critic, 2 + again)
        next_generator = generator.learn(next_generator, pull_back(gradient)[0], batch_stats)
        scalars["loss/generator"] = loss
    return proceed(game, next_generator, next_critic, average), mean_over(generator.axis, scalars)


def build(config: Training, model: Dcgan, axis: str | None) -> System:
    """The system of a config with this model."""
    size = config.data.frame.size
    learned = config.steps * model.generator_steps
    learning, judging = modules(model, size=size, axis=axis, dtype=config.precision)
    generator = network(config, learning, config.generator, axis, steps=learned)
    critic = network(config, judging, config.critic, axis)
    shown, _ = modules(model, size=size)
    update = partial(step, generator=generator, critic=critic, model=model, average=config.average)

    def init(key: Array) -> Game:
        generator_key, critic_key = jax.random.split(key)
        player = generator.init(generator_key, jnp.zeros((1, model.latent)))
        return begin(player, critic.init(critic_key, jnp.zeros((1, size, size, 3))), config)

    def preview(variables: Variables, images: Array, key: Array) -> Array:
        z = draw_latent(key, dimensions=model.latent, prior=model.prior)
        return apply(shown, variables, z)[:, None]

    return System(init, update, preview)
