"""From a config to what a training loop needs: how to start, one update, and what to look at."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ce_jax import holes, steps
from ce_jax.config import ContextEncoder, Dcgan, Training
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
    """The system of a config; `axis` names the device axis if it is to run under `jax.pmap`."""
    match config.model:
        case Dcgan():
            return _dcgan(config, config.model, axis)
        case ContextEncoder():
            return _context_encoder(config, config.model, axis)


def dcgan_modules(config: Training, *, axis: str | None = None) -> tuple[nn.Module, nn.Module]:
    """The generator and the critic of a DCGAN run."""
    width, size = config.model.width, config.data.frame.size
    return dcgan.Generator(size, width, axis), dcgan.Critic(width, axis)


def context_encoder_module(config: Training, *, axis: str | None = None) -> nn.Module:
    """The encoder-decoder of a context encoder run."""
    model, size = config.model, config.data.frame.size
    assert isinstance(model, ContextEncoder)
    output = size // 2 if model.predicts == "center" else size
    return context_encoder.ContextEncoder(output, model.width, model.bottleneck, axis)


def _dcgan(config: Training, model: Dcgan, axis: str | None) -> System:
    size = config.data.frame.size
    modules = dcgan_modules(config, axis=axis)
    generator, critic = (
        Network(module, optimizer(adam, steps=config.steps), axis)
        for module, adam in zip(modules, (config.generator, config.critic), strict=True)
    )
    examples = jax.ShapeDtypeStruct((1, model.latent), jnp.float32), _images(size)
    step = partial(
        steps.dcgan_step, generator=generator, critic=critic, latent=model.latent, average=config.average
    )

    def preview(variables: Variables, images: Array, key: Array) -> Array:
        z = steps.draw_latent(key, dimensions=model.latent)
        return apply(generator.module, variables, z)[:, None]

    return System(partial(_start, (generator, critic), examples, config.average), step, preview)


def _context_encoder(config: Training, model: ContextEncoder, axis: str | None) -> System:
    size = config.data.frame.size
    module = context_encoder_module(config, axis=axis)
    generator = Network(module, optimizer(config.generator, steps=config.steps), axis)
    critic = None
    if model.adversarial > 0:
        judge = dcgan.Critic(model.width, axis)
        critic = Network(judge, optimizer(config.critic, steps=config.steps), axis)
    examples = _images(size), _images(size // 2 if model.predicts == "center" else size)
    step = partial(
        steps.context_encoder_step, generator=generator, critic=critic, model=model, average=config.average
    )

    def preview(variables: Variables, images: Array, key: Array) -> Array:
        hole = holes.draw_any(steps.training_holes(model, size), key, size=size)
        painted = context_encoder.paint(images, hole)
        prediction = apply(module, variables, painted)
        if model.predicts == "center":
            prediction = context_encoder.paste_center(images, prediction)
        return jnp.stack([painted, jnp.where(hole, prediction, images), images], axis=1)

    return System(partial(_start, (generator, critic), examples, config.average), step, preview)


def _images(size: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)


def _start(networks: tuple[Network, Network | None], examples: tuple, decay: float, key: Array) -> Game:
    generator, critic = networks
    generator_key, critic_key = jax.random.split(key)
    players: list[Player | None] = [
        generator.init(generator_key, examples[0]),
        None if critic is None else critic.init(critic_key, examples[1]),
    ]
    average = jax.tree.map(jnp.copy, players[0].variables) if decay else None
    return Game(players[0], players[1], average, jnp.zeros((), jnp.int32))
