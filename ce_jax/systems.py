"""From a config to what a training loop needs: how to start, one update, and what to look at."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ce_jax import holes, steps
from ce_jax.config import Adam, ContextEncoder, Dcgan, Training
from ce_jax.models import context_encoder, dcgan
from ce_jax.state import Game, Network, Player, Scalars, Variables, apply, optimizer

Array = jax.Array


class System(NamedTuple):
    """A network that learns.

    Attributes:
        init: key -> the state of a run at step 0.
        step: (state, images [b, s, s, 3], key [b]) -> (state, scalars), pure.
        preview: (variables of the generator, images [b, s, s, 3], key [b]) -> pictures, one row
            of [s, s] pictures for each image: [b, columns, s, s, 3].
    """

    init: Callable[[Array], Game]
    step: Callable[[Game, Array, Array], tuple[Game, Scalars]]
    preview: Callable[[Variables, Array, Array], Array]


def build(config: Training, *, axis: str | None = None) -> System:
    """The system of a config; `axis` names the device axis if it is to run under `jax.pmap`.

    Raises:
        HoleError: a kind of hole to train with is unknown or does not fit.
    """
    match config.model:
        case Dcgan():
            return _dcgan(config, config.model, axis)
        case ContextEncoder():
            return _context_encoder(config, config.model, axis)


def dcgan_modules(
    model: Dcgan, *, size: int, axis: str | None = None
) -> tuple[dcgan.Generator, dcgan.Critic]:
    """The generator and the critic of a DCGAN for `size`-pixel images."""
    return dcgan.Generator(size, model.width, axis), dcgan.Critic(model.width, axis)


def context_encoder_module(
    model: ContextEncoder, *, size: int, axis: str | None = None
) -> context_encoder.ContextEncoder:
    """The encoder-decoder for `size`-pixel images."""
    output = predicted_size(model, size=size)
    return context_encoder.ContextEncoder(output, model.width, model.bottleneck, axis)


def predicted_size(model: ContextEncoder, *, size: int) -> int:
    """Side of what the context encoder predicts of a `size`-pixel image."""
    return size // 2 if model.predicts == "center" else size


def _dcgan(config: Training, model: Dcgan, axis: str | None) -> System:
    size = config.data.frame.size
    generator_module, critic_module = dcgan_modules(model, size=size, axis=axis)
    generator = _network(generator_module, config.generator, config, axis)
    critic = _network(critic_module, config.critic, config, axis)
    step = partial(
        steps.dcgan_step,
        generator=generator,
        critic=critic,
        latent=model.latent,
        average=config.average,
    )

    def init(key: Array) -> Game:
        generator_key, critic_key = jax.random.split(key)
        player = generator.init(generator_key, jnp.zeros((1, model.latent)))
        return _start(player, critic.init(critic_key, _image(size)), config)

    def preview(variables: Variables, images: Array, key: Array) -> Array:
        z = steps.draw_latent(key, dimensions=model.latent)
        return apply(generator_module, variables, z)[:, None]

    return System(init, step, preview)


def _context_encoder(config: Training, model: ContextEncoder, axis: str | None) -> System:
    size = config.data.frame.size
    for kind in steps.training_holes(model, size):
        holes.check(kind, size=size)
    module = context_encoder_module(model, size=size, axis=axis)
    generator = _network(module, config.generator, config, axis)
    critic = None
    if model.adversarial > 0:
        critic = _network(dcgan.Critic(model.width, axis), config.critic, config, axis)
    step = partial(
        steps.context_encoder_step,
        generator=generator,
        critic=critic,
        model=model,
        average=config.average,
    )

    def init(key: Array) -> Game:
        generator_key, critic_key = jax.random.split(key)
        player = generator.init(generator_key, _image(size))
        if critic is None:
            return _start(player, None, config)
        judged = _image(predicted_size(model, size=size))
        return _start(player, critic.init(critic_key, judged), config)

    def preview(variables: Variables, images: Array, key: Array) -> Array:
        hole = holes.draw_any(steps.training_holes(model, size), key, size=size)
        painted = context_encoder.paint(images, hole)
        prediction = apply(module, variables, painted)
        if model.predicts == "center":
            prediction = context_encoder.paste_center(images, prediction)
        return jnp.stack([painted, jnp.where(hole, prediction, images), images], axis=1)

    return System(init, step, preview)


def _network(module: nn.Module, adam: Adam, config: Training, axis: str | None) -> Network:
    return Network(module, optimizer(adam, steps=config.steps), axis)


def _image(size: int) -> Array:
    return jnp.zeros((1, size, size, 3))


def _start(generator: Player, critic: Player | None, config: Training) -> Game:
    average = jax.tree.map(jnp.copy, generator.variables) if config.average else None
    return Game(generator, critic, average, jnp.zeros((), jnp.int32))
