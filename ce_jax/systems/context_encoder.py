"""A network that fills holes in one pass, with or without a critic (Pathak et al. 2016)."""

from functools import partial

import jax
import jax.numpy as jnp

from ce_jax import holes, losses
from ce_jax.config import ContextEncoder, Training
from ce_jax.models import context_encoder, dcgan
from ce_jax.models.context_encoder import center, paint, paste_center
from ce_jax.state import Game, Network, Scalars, Variables, apply, mean_over
from ce_jax.systems.system import System, adversarial, begin, judge, network, proceed

Array = jax.Array


def module_of(
    model: ContextEncoder, *, size: int, axis: str | None = None
) -> context_encoder.ContextEncoder:
    """The encoder-decoder for `size`-pixel images."""
    output = predicted_size(model, size=size)
    return context_encoder.ContextEncoder(output, model.width, model.bottleneck, axis)


def predicted_size(model: ContextEncoder, *, size: int) -> int:
    """Side of what the context encoder predicts of a `size`-pixel image."""
    return size // 2 if model.predicts == "center" else size


def training_holes(model: ContextEncoder, size: int) -> tuple[holes.HoleKind, ...]:
    """The kinds of hole to train with; a predicted centre overlaps its hole on every side."""
    if model.predicts == "center":
        return (holes.HoleKind("center", size // 2 - 2 * model.overlap),)
    return tuple(map(holes.parse, model.holes))


def step(
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
    return proceed(game, next_generator, next_critic, average), mean_over(generator.axis, scalars)


def build(config: Training, model: ContextEncoder, axis: str | None) -> System:
    """The system of a config with this model.

    Raises:
        HoleError: a kind of hole to train with is unknown or does not fit.
    """
    size = config.data.frame.size
    for kind in training_holes(model, size):
        holes.check(kind, size=size)
    module = module_of(model, size=size, axis=axis)
    generator = network(module, config.generator, config, axis)
    critic = None
    if model.adversarial > 0:
        critic = network(dcgan.Critic(model.width, axis), config.critic, config, axis)
    update = partial(
        step,
        generator=generator,
        critic=critic,
        model=model,
        average=config.average,
    )

    def init(key: Array) -> Game:
        generator_key, critic_key = jax.random.split(key)
        player = generator.init(generator_key, jnp.zeros((1, size, size, 3)))
        if critic is None:
            return begin(player, None, config)
        judged = predicted_size(model, size=size)
        critic_player = critic.init(critic_key, jnp.zeros((1, judged, judged, 3)))
        return begin(player, critic_player, config)

    def preview(variables: Variables, images: Array, key: Array) -> Array:
        hole = holes.draw_any(training_holes(model, size), key, size=size)
        painted = paint(images, hole)
        prediction = apply(module, variables, painted)
        if model.predicts == "center":
            prediction = paste_center(images, prediction)
        return jnp.stack([painted, jnp.where(hole, prediction, images), images], axis=1)

    return System(init, update, preview)
