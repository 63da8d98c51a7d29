"""The L2-GAN of Salem et al. (section IV.B): a square recovered by L2, then refined by a GAN.

A run has two phases. First an encoder-decoder learns alone; then it stays as it is, with its stored
BatchNorm statistics, and a refiner that starts from what it recovers plays against a critic.
"""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from ce_jax import holes, losses
from ce_jax.config import L2Gan, Training
from ce_jax.models import context_encoder, dcgan, l2_gan
from ce_jax.state import (
    Game,
    Network,
    RefinedGame,
    Scalars,
    Variables,
    apply,
    mean_over,
)
from ce_jax.systems.system import System, begin, network, play_jointly, proceed

_AT_A_TIME = 16
_OF_THE_BLOCK = ("loss/generator", "loss/recovery", "loss/reconstruction")
_OF_THE_CRITIC = ("loss/critic", "critic/real", "critic/fake", "loss/adversarial")


def modules(
    model: L2Gan, *, size: int, axis: str | None = None, dtype: DTypeLike = jnp.float32
) -> tuple[context_encoder.ContextEncoder, l2_gan.Refiner]:
    """The encoder-decoder and the refiner for `size`-pixel images."""
    _, _, side = holes.quarter(model.corner, size=size)
    recovery = context_encoder.ContextEncoder(
        side, model.width, model.bottleneck, axis=axis, dtype=dtype
    )
    return recovery, l2_gan.Refiner(model.width, axis, dtype)


def place(model: L2Gan, *, size: int, margin: int = 0) -> tuple[slice, slice, slice]:
    """Where in [b, s, s, c] the square lies that is predicted, with so many pixels around it."""
    *corner, side = holes.quarter(model.corner, size=size)
    rows, columns = (slice(start - margin, start + side + margin) for start in corner)
    return slice(None), rows, columns


def cut(model: L2Gan, images: Array, *, margin: int = 0) -> Array:
    """The square that is predicted, and so many pixels around it, of images [b, s, s, c]."""
    return images[place(model, size=images.shape[1], margin=margin)]


def paste(model: L2Gan, images: Array, block: Array) -> Array:
    """The inverse of `cut`: images with their square replaced, and what the block has beside it.

    images [b, s, s, c], block [b, n, n, c] with n the side of the square and twice the margin.
    """
    size = images.shape[1]
    _, _, side = holes.quarter(model.corner, size=size)
    return images.at[place(model, size=size, margin=(block.shape[1] - side) // 2)].set(block)


def paint(model: L2Gan, images: Array, *, hole: Array | None = None) -> Array:
    """What may be seen of images [b, s, s, 3]: nothing of the square, nor of another hole."""
    missing = jnp.zeros((*images.shape[:-1], 1), bool) if hole is None else hole
    missing = missing.at[place(model, size=images.shape[1])].set(True)
    return context_encoder.paint(images, missing, colour=model.fill, hole_channel=False)


def padded(model: L2Gan, painted: Array) -> Array:
    """With a border of zeros up to three times the block, which halves down to 6x6: 384 for 350.

    [b, s, s, 3] -> [b, 3 n, 3 n, 3] with n the side of the block.
    """
    size = painted.shape[1]
    _, _, side = holes.quarter(model.corner, size=size)
    before = (3 * side - size) // 2
    around = (before, 3 * side - size - before)
    return jnp.pad(painted, ((0, 0), around, around, (0, 0)))


def window(model: L2Gan, painted: Array, block: Array) -> Array:
    """The recovered block among its neighbours, an eighth of its side on every side of it.

    painted [b, s, s, 3], block [b, n, n, 3] -> [b, n + 2 (n // 8), ..., 3].
    """
    return cut(model, paste(model, painted, block), margin=block.shape[1] // 8)


def fill(model: L2Gan, networks: Variables, painted: Array) -> tuple[Array, Array]:
    """The recovered and the refined block of painted images, each image's own.

    Args:
        model: whose square it is.
        networks: variables of `recovery` and `refiner`.
        painted: [b, s, s, 3].
    """
    recovery, refiner = modules(model, size=painted.shape[1])
    recovered = apply(recovery, networks["recovery"], padded(model, painted))
    refined = apply(refiner, networks["refiner"], window(model, painted, recovered))
    return recovered, refined


def step(
    game: Game,
    images: Array,
    key: Array,
    *,
    recovery: Network,
    refiner: Network,
    critic: Network,
    model: L2Gan,
    average: float,
) -> tuple[Game, Scalars]:
    """The L2 of Salem et al., eq. 1, for the first steps of a run, the joint loss, eq. 6, after.

    images [b, s, s, 3] in [-1, 1], key [b]; the key is not used.
    """
    assert isinstance(game, RefinedGame)
    painted, truth = paint(model, images), cut(model, images)
    inputs = padded(model, painted)

    def recover(game: RefinedGame) -> tuple[RefinedGame, Scalars]:
        def loss(params):
            block, batch_stats = recovery.forward(params, game.recovery.batch_stats, inputs)
            return jnp.mean(square(block, truth)), batch_stats

        params = game.recovery.params
        (value, batch_stats), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        player = recovery.learn(game.recovery, gradient, batch_stats)
        # A refiner that has learned nothing hands on what it is shown.
        scalars: Scalars = {name: jnp.zeros(()) for name in _OF_THE_CRITIC}
        return replace(game, recovery=player), scalars | {name: value for name in _OF_THE_BLOCK}

    def refine(game: RefinedGame) -> tuple[RefinedGame, Scalars]:
        variables = game.recovery.variables
        recovered = apply(recovery.module, variables, inputs, parts=recovery.parts)
        player, critic_player, scalars = play_jointly(
            game,
            window(model, painted, recovered),
            truth,
            generator=refiner,
            critic=critic,
            weight=model.adversarial,
            reconstruct=lambda block: {"loss/reconstruction": jnp.mean(square(block, truth))},
        )
        scalars["loss/recovery"] = jnp.mean(square(recovered, truth))
        return replace(game, generator=player, critic=critic_player), scalars

    validated = {f"validation/{name}": value for name, value in game.validation.items()}
    game, scalars = jax.lax.cond(game.step < model.recovery_steps, recover, refine, game)
    scalars = mean_over(refiner.axis, validated | scalars)
    return proceed(game, game.generator, game.critic, average), scalars


def square(block: Array, truth: Array) -> Array:
    """L2 of Salem et al., eq. 1: the mean square of a block [b, h, w, c] for each image, [b]."""
    return losses.reconstruction_loss(block, truth, jnp.ones_like(truth[..., :1]))


def build(config: Training, model: L2Gan, axis: str | None) -> System:
    """The system of a config with this model."""
    size = config.data.frame.size
    learning = modules(model, size=size, axis=axis, dtype=config.precision)
    judging = dcgan.Critic(model.width, axis, dtype=config.precision)
    first, second = model.recovery_steps, config.steps - model.recovery_steps
    recovery = network(config, learning[0], config.generator, axis, steps=first)
    refiner = network(config, learning[1], config.generator, axis, steps=second)
    critic = network(config, judging, config.critic, axis, steps=second)
    update = partial(
        step, recovery=recovery, refiner=refiner, critic=critic, model=model, average=config.average
    )

    def init(key: Array) -> RefinedGame:
        recovery_key, refiner_key, critic_key = jax.random.split(key, 3)
        painted = paint(model, jnp.zeros((1, size, size, 3)))
        block = cut(model, painted)
        player = refiner.init(refiner_key, window(model, painted, block))
        return RefinedGame(
            **vars(begin(player, critic.init(critic_key, block), config)),
            recovery=recovery.init(recovery_key, padded(model, painted)),
            validation={name: jnp.zeros(()) for name in ("critic", "l2", "recovery")},
        )

    def preview(variables: Variables, images: Array, key: Array) -> Array:
        painted = paint(model, images)
        blocks = fill(model, variables, painted)
        completed = (paste(model, images, block) for block in blocks)
        return jnp.stack([painted, *completed, images], axis=1)

    return System(init, update, preview, partial(validate, model))


def validate(model: L2Gan, game: Game, images: Array, key: Array) -> Game:
    """The game that says how well it does on validation images [n, s, s, 3]; it draws nothing."""
    assert game.critic is not None
    judge = partial(apply, dcgan.Critic(model.width), game.critic.variables)

    def look(image: Array) -> Scalars:
        truth = cut(model, image[None])
        recovered, refined = fill(model, game.inference_variables, paint(model, image[None]))
        of_critic = losses.critic_loss(judge(truth), judge(refined))
        # A square of differences in [-2, 2] is at most 4.
        per_cent = 100 / 4
        return {
            "recovery": per_cent * square(recovered, truth),
            "l2": per_cent * square(refined, truth),
            "critic": of_critic,
        }

    found = jax.lax.map(look, images, batch_size=_AT_A_TIME)
    return replace(game, validation=jax.tree.map(jnp.mean, found))
