"""What every system has, and what those share in which a generator plays against a critic.

A step is a pure function (state, images, key) -> (state, scalars). Images are float32 [b, s, s, 3]
in [-1, 1]; `key` holds one typed random key per image, [b], so that noise and holes are split over
the devices as the images are, and no number depends on how many devices there are. What is static
is keyword-only. Compiling is the business of `sharding`.

What learns computes in the precision of the config. What looks at it, for a picture or a
validation, are networks of their own with the same variables, in float32 and of one device.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from ce_jax import losses
from ce_jax.config import Adam, Training
from ce_jax.state import (
    Game,
    Network,
    Player,
    Scalars,
    Variables,
    mean_over,
    optimizer,
    update_average,
)


class System(NamedTuple):
    """A network that learns.

    Attributes:
        init: key -> the state of a run at step 0.
        step: (state, images [b, s, s, 3], key [b]) -> (state, scalars), pure.
        preview: (variables of the generator, images [b, s, s, 3], key [b]) -> pictures, one row
            of [s, s] pictures for each image: [b, columns, s, s, 3].
        validate: (state, validation images [n, s, s, 3], key [n]) -> the state that begins the
            next epoch, in which it says what it found; None for systems that do not look.
    """

    init: Callable[[Array], Game]
    step: Callable[[Game, Array, Array], tuple[Game, Scalars]]
    preview: Callable[[Variables, Array, Array], Array]
    validate: Callable[[Game, Array, Array], Game] | None = None


def network(
    config: Training, module: nn.Module, adam: Adam, axis: str | None, *, steps: int | None = None
) -> Network:
    """A module with its optimiser, `steps` of it in a run; None: as many as the run has."""
    rule = optimizer(adam, steps=config.steps if steps is None else steps)
    return Network(module, rule, axis, config.microbatches)


def begin(generator: Player, critic: Player | None, config: Training) -> Game:
    """Step 0 of a game; the average is a copy, since a step gives its state's memory away."""
    average = jax.tree.map(jnp.copy, generator.variables) if config.average else None
    return Game(generator, critic, average, jnp.zeros((), jnp.int32))


def proceed(game: Game, generator: Player, critic: Player | None, decay: float) -> Game:
    """The game after a step in which both have learned; `decay` is that of the running average."""
    average = update_average(game.average, generator.variables, game.step, decay)
    return replace(game, generator=generator, critic=critic, average=average, step=game.step + 1)


def descend(
    game: Game, learner: Network, loss: Callable[[Any], tuple[Array, Any]], decay: float
) -> tuple[Game, Scalars]:
    """The game after one step of its only player, and the scalars of all devices.

    `loss` takes parameters and gives, beside itself, BatchNorm statistics and scalars.
    """
    gradient, (batch_stats, scalars) = jax.grad(loss, has_aux=True)(game.generator.params)
    player = learner.learn(game.generator, gradient, batch_stats)
    return proceed(game, player, None, decay), mean_over(learner.axis, scalars)


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


def play_jointly(
    game: Game,
    inputs: Array,
    truth: Array,
    *,
    generator: Network,
    critic: Network | None,
    weight: float,
    reconstruct: Callable[[Array], Scalars],
    judged: Callable[[Array], Array] = lambda prediction: prediction,
) -> tuple[Player, Player | None, Scalars]:
    """Both players after a step of the joint loss (Pathak et al. 2016, eq. 3; Salem et al., eq. 6).

    The critic learns first. One forward pass of the generator serves both.

    Args:
        game: where they stand.
        inputs: what the generator is shown, [b, h, w, c].
        truth: what the critic takes for real, [b, h, w, 3] in [-1, 1].
        generator: predicts.
        critic: None without an adversarial loss.
        weight: of the adversarial loss; the reconstruction gets the rest.
        reconstruct: prediction -> scalars, with `loss/reconstruction` among them.
        judged: prediction -> what of it the critic sees.

    Returns:
        Both players, and the scalars of `reconstruct`, with all losses among them.
    """

    def joint(prediction: Array, player: Player | None) -> tuple[Array, Scalars]:
        scalars = reconstruct(prediction)
        loss = (1 - weight) * scalars["loss/reconstruction"]
        if critic is not None and player is not None:
            scalars["loss/adversarial"] = adversarial(critic, player, judged(prediction))
            loss += weight * scalars["loss/adversarial"]
        return loss, scalars

    prediction, pull_back, batch_stats = jax.vjp(
        lambda params: generator.forward(params, game.generator.batch_stats, inputs),
        game.generator.params,
        has_aux=True,
    )
    next_critic, scalars = game.critic, {}
    if critic is not None and game.critic is not None:
        next_critic, scalars = judge(critic, game.critic, truth, judged(prediction))
    (loss, parts), gradient = jax.value_and_grad(joint, has_aux=True)(prediction, next_critic)
    next_generator = generator.learn(game.generator, pull_back(gradient)[0], batch_stats)
    return next_generator, next_critic, scalars | {"loss/generator": loss, **parts}
