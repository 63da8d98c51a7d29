"""What every system has, and what those share in which a generator plays against a critic.

A step is a pure function (state, images, key) -> (state, scalars). Images are float32 [b, s, s, 3]
in [-1, 1]; `key` holds one typed random key per image, [b], so that noise and holes are split over
the devices as the images are, and no number depends on how many devices there are. What is static
is keyword-only. Compiling is the business of `sharding`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ce_jax import losses
from ce_jax.config import Adam, Training
from ce_jax.state import Game, Network, Player, Scalars, Variables, optimizer, update_average

Array = jax.Array


class System(NamedTuple):
    """A network that learns.

    Attributes:
        init: key -> the state of a run at step 0.
        step: (state, images [b, s, s, 3], key [b]) -> (state, scalars), pure.
        preview: (variables of the generator, images [b, s, s, 3], key [b]) -> pictures, one row
            of [s, s] pictures for each image: [b, columns, s, s, 3].
        tune: (state, validation images [n, s, s, 3], key [n]) -> the state that begins the next
            epoch; None for systems to which epochs mean nothing.
    """

    init: Callable[[Array], Game]
    step: Callable[[Game, Array, Array], tuple[Game, Scalars]]
    preview: Callable[[Variables, Array, Array], Array]
    tune: Callable[[Game, Array, Array], Game] | None = None


def network(
    module: nn.Module, adam: Adam, config: Training, axis: str | None, *, times: int = 1
) -> Network:
    """A module and the optimiser that a run of this config trains it with, so often in a step."""
    return Network(module, optimizer(adam, steps=times * config.steps), axis)


def begin(generator: Player, critic: Player | None, config: Training) -> Game:
    """Step 0 of a game."""
    average = jax.tree.map(jnp.copy, generator.variables) if config.average else None
    return Game(generator, critic, average, jnp.zeros((), jnp.int32))


def proceed(game: Game, generator: Player, critic: Player | None, decay: float) -> Game:
    """The game after a step in which both have learned; `decay` is that of the running average."""
    average = update_average(game.average, generator.variables, game.step, decay)
    return replace(game, generator=generator, critic=critic, average=average, step=game.step + 1)


def judge(critic: Network, player: Player, real: Array, fake: Array) -> tuple[Player, Scalars]:
    """One step of the critic on real and on generated images, each in its own BatchNorm batch."""

    def loss(params):
        on_real, batch_stats = critic.forward(params, player.batch_stats, real)
        on_fake, batch_stats = critic.forward(params, batch_stats, fake)
        return jnp.mean(losses.critic_loss(on_real, on_fake)), (batch_stats, on_real, on_fake)

    (value, aux), gradient = jax.value_and_grad(loss, has_aux=True)(player.params)
    batch_stats, on_real, on_fake = aux
    scalars = {
        "loss/critic": value,
        "critic/real": jnp.mean(jax.nn.sigmoid(on_real)),
        "critic/fake": jnp.mean(jax.nn.sigmoid(on_fake)),
    }
    return critic.learn(player, gradient, batch_stats), scalars


def adversarial(critic: Network, player: Player, fake: Array) -> Array:
    """How little the critic is fooled by generated images, averaged over them."""
    logits, _ = critic.forward(player.params, player.batch_stats, fake)
    return jnp.mean(losses.adversarial_loss(logits))
