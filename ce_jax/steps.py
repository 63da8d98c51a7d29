"""One update of each system, as a pure function (state, images, key) -> (state, scalars).

Images are float32 [b, s, s, 3] in [-1, 1]; `key` holds one typed random key per image, [b], so
that noise and holes are split over the devices as the images are, and no number depends on how
many devices there are. What is static is keyword-only. Compiling is the business of `sharding`.
"""

import jax
import jax.numpy as jnp

from ce_jax import holes, losses
from ce_jax.config import ContextEncoder
from ce_jax.models.context_encoder import center, paint
from ce_jax.state import Game, Network, Player, Scalars, mean_over, update_average

Array = jax.Array


def draw_latent(key: Array, *, dimensions: int) -> Array:
    """z uniform in [-1, 1], one for each key: [b] -> [b, dimensions]."""
    return jax.vmap(lambda k: jax.random.uniform(k, (dimensions,), minval=-1.0))(key)


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


def dcgan_step(
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
    return _next(game, next_generator, next_critic, average), mean_over(generator.axis, scalars)


def context_encoder_step(
    game: Game,
    images: Array,
    key: Array,
    *,
    generator: Network,
    critic: Network | None,
    model: ContextEncoder,
    average: float,
) -> tuple[Game, Scalars]:
    """The joint loss of Pathak et al. 2016, eq. 3, after a step of the patch critic."""
    size = images.shape[1]
    hole = holes.draw_any(training_holes(model, size), key, size=size)
    weight = losses.overlap_weight(hole, overlap=model.overlap, weight=model.overlap_weight)
    published = model.predicts == "center"
    truth, missing, weight = (center(x) if published else x for x in (images, hole, weight))

    def shown(prediction):
        # The published critic judges the predicted patch; a whole image is judged as it is used.
        return prediction if published else jnp.where(missing, prediction, truth)

    def joint(prediction, player):
        reconstruction = jnp.mean(losses.reconstruction_loss(prediction, truth, weight))
        square = losses.reconstruction_loss(prediction, truth, missing.astype(truth.dtype))
        scalars = {
            "loss/reconstruction": reconstruction,
            "hole/psnr": jnp.mean(10 * jnp.log10(4 / square)),  # peak to peak is 2
        }
        loss = (1 - model.adversarial) * reconstruction
        if critic is not None:
            scalars["loss/adversarial"] = adversarial(critic, player, shown(prediction))
            loss += model.adversarial * scalars["loss/adversarial"]
        return loss, scalars

    prediction, pull_back, batch_stats = jax.vjp(
        lambda params: generator.forward(params, game.generator.batch_stats, paint(images, hole)),
        game.generator.params,
        has_aux=True,
    )
    next_critic, scalars = game.critic, {}
    if critic is not None and game.critic is not None:
        next_critic, scalars = judge(critic, game.critic, truth, shown(prediction))
    (loss, parts), gradient = jax.value_and_grad(joint, has_aux=True)(prediction, next_critic)
    next_generator = generator.learn(game.generator, pull_back(gradient)[0], batch_stats)
    scalars |= {"loss/generator": loss, **parts}
    return _next(game, next_generator, next_critic, average), mean_over(generator.axis, scalars)


def training_holes(model: ContextEncoder, size: int) -> tuple[holes.HoleKind, ...]:
    """The kinds of hole to train with; a predicted centre overlaps its hole on every side."""
    if model.predicts == "center":
        return (holes.HoleKind("center", size // 2 - 2 * model.overlap),)
    return tuple(map(holes.parse, model.holes))


def _next(game: Game, generator: Player, critic: Player | None, decay: float) -> Game:
    average = update_average(game.average, generator.variables, game.step, decay)
    return Game(generator, critic, average, game.step + 1)
