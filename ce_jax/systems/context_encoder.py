"""A network that fills holes in one pass, with or without a critic (Pathak et al. 2016)."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike

from ce_jax import holes, losses
from ce_jax.config import ConfigError, ContextEncoder, Training
from ce_jax.models import alexnet, context_encoder, dcgan
from ce_jax.models.context_encoder import center, paste_center
from ce_jax.state import (
    Curriculum,
    Game,
    Network,
    Scalars,
    TaughtGame,
    Trained,
    Variables,
    apply,
    mean_over,
)
from ce_jax.systems.curriculum import counts_of, levels_of, on_demand
from ce_jax.systems.system import System, begin, network, play_jointly, proceed

_AT_A_TIME = 64


def module_of(
    model: ContextEncoder,
    *,
    size: int,
    axis: str | None = None,
    dtype: DTypeLike = jnp.float32,
) -> nn.Module:
    """The encoder-decoder for `size`-pixel images."""
    output = predicted_size(model, size=size)
    if model.alexnet:
        pooling = model.encoder == "alexnet"
        return alexnet.ContextEncoder(output, model.width, pooling, axis, dtype)
    return context_encoder.ContextEncoder(
        output,
        model.width,
        model.bottleneck,
        model.convolutions,
        model.skips,
        model.residual,
        axis,
        dtype,
    )


def predicted_size(model: ContextEncoder, *, size: int) -> int:
    """Side of what the context encoder predicts of a `size`-pixel image."""
    return size // 2 if model.predicts == "center" else size


def paint(model: ContextEncoder, images: Array, hole: Array) -> Array:
    """What the network is shown of images [b, s, s, 3] with a hole [b, s, s, 1]."""
    colour = None if model.residual else model.fill
    return context_encoder.paint(images, hole, colour=colour, hole_channel=model.hole_channel)


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
    """The joint loss of Pathak et al. 2016, eq. 3, after a step of the patch critic.

    images [b, s, s, 3] in [-1, 1], key [b].
    """
    curriculum = game.curriculum if isinstance(game, TaughtGame) else None
    hole = _holes_of_batch(model, curriculum, key, generator.axis, images.shape[1])
    weight = losses.overlap_weight(hole, overlap=model.overlap, weight=model.overlap_weight)
    if model.reconstructs == "image":
        weight = jnp.maximum(weight, 1)
    published = model.predicts == "center"
    truth, missing, weight = (center(x) if published else x for x in (images, hole, weight))

    def judged(prediction: Array) -> Array:
        # The published critics judge what the network says; ours a whole image as it is used.
        raw = published or model.reconstructs == "image"
        return prediction if raw else jnp.where(missing, prediction, truth)

    def reconstruct(prediction: Array) -> Scalars:
        reconstruction = losses.reconstruction_loss(prediction, truth, weight)
        if model.error == "logarithm":
            reconstruction = jnp.log(reconstruction + losses.EXACT)
        psnr = losses.hole_psnr(prediction, truth, missing)
        return {"loss/reconstruction": jnp.mean(reconstruction), "hole/psnr": jnp.mean(psnr)}

    next_generator, next_critic, scalars = play_jointly(
        game,
        paint(model, images, hole),
        truth,
        generator=generator,
        critic=critic,
        weight=model.adversarial,
        reconstruct=reconstruct,
        judged=judged,
    )
    scalars |= _report(curriculum)
    return proceed(game, next_generator, next_critic, average), mean_over(generator.axis, scalars)


def build(config: Training, model: ContextEncoder, axis: str | None) -> System:
    """The system of a config with this model.

    Raises:
        HoleError: a kind of hole to train with is unknown or does not fit.
    """
    size = config.data.frame.size
    kinds = training_holes(model, size)
    for kind in kinds:
        holes.check(kind, size=size)
    learning = module_of(model, size=size, axis=axis, dtype=config.precision)
    generator = network(config, learning, config.generator, axis)
    critic = None
    if model.adversarial > 0:
        judge = dcgan.Critic(model.width, axis, dtype=config.precision)
        critic = network(config, judge, config.critic, axis)
    module = module_of(model, size=size)
    update = partial(step, generator=generator, critic=critic, model=model, average=config.average)

    def init(key: Array) -> Game:
        generator_key, critic_key = jax.random.split(key)
        nothing = jnp.zeros((1, size, size, 1), bool)
        example = paint(model, jnp.zeros((1, size, size, 3)), nothing)
        player, critic_player = generator.init(generator_key, example), None
        if critic is not None:
            judged = predicted_size(model, size=size)
            critic_player = critic.init(critic_key, jnp.zeros((1, judged, judged, 3)))
        game = begin(player, critic_player, config)
        if model.sharing == "chance":
            return game
        equal = jnp.full(len(kinds), 1 / len(kinds))
        counts = counts_of(equal, batch_size=config.batch_size)
        return TaughtGame(**vars(game), curriculum=Curriculum(counts, jnp.zeros(len(kinds))))

    def preview(variables: Variables, images: Array, key: Array) -> Array:
        hole = holes.draw_any(kinds, key, size=size)
        painted = paint(model, images, hole)
        prediction = apply(module, variables, painted)
        if model.predicts == "center":
            prediction = paste_center(images, prediction)
        completed = jnp.where(hole, prediction, images)
        return jnp.stack([painted[..., :3], completed, images], axis=1)

    tune = partial(validate, model, config.batch_size) if model.sharing == "on-demand" else None
    return System(init, update, preview, tune)


def validate(model: ContextEncoder, batch_size: int, game: Game, images: Array, key: Array) -> Game:
    """The game whose kinds of hole share a batch by their mean PSNR on validation images.

    images [n, s, s, 3] in [-1, 1], key [n]; the same keys draw the same holes again.
    """
    size = images.shape[1]
    kinds, module = training_holes(model, size), module_of(model, size=size)

    def filled(image: Array, key: Array) -> Array:
        keys = jax.random.split(key, (len(kinds), 1))
        hole = jnp.concatenate(
            [holes.draw(kind, k, size=size) for kind, k in zip(kinds, keys, strict=True)]
        )
        truth = jnp.broadcast_to(image, (len(kinds), *image.shape))
        prediction = apply(module, game.inference_variables, paint(model, truth, hole))
        return losses.hole_psnr(prediction, truth, hole)

    of_each = jax.lax.map(lambda pair: filled(*pair), (images, key), batch_size=_AT_A_TIME)
    psnr = jnp.mean(of_each, axis=0)
    counts = on_demand(psnr, batch_size=batch_size)
    return replace(game, curriculum=Curriculum(counts, psnr))


def features(trained: Trained, images: Array) -> Array:
    """What the AlexNet of a run makes of images: its pool5 (Pathak et al. 2016, section 5.2).

    With the stored BatchNorm statistics, so that the features of an image are its own.

    Args:
        trained: a run as `ce_jax.load` returns it.
        images: [b, 227, 227, 3], whole; in [-1, 1].

    Returns:
        [b, 6, 6, 256], at least 0; fewer maps of a narrower network.

    Raises:
        ConfigError: the run trained a network without an AlexNet.
    """
    model = trained.config.model
    if not (isinstance(model, ContextEncoder) and model.alexnet):
        raise ConfigError(
            f"features come from a context encoder whose model.encoder is alexnet; "
            f"this run trained {model}."
        )
    nothing = jnp.zeros((*images.shape[:-1], 1), bool)
    encoder = alexnet.Encoder(model.width, pooling=model.encoder == "alexnet")
    variables = {kind: tree["encoder"] for kind, tree in trained.generator.items()}
    return apply(encoder, variables, paint(model, images, nothing))


def embedding(model: ContextEncoder, variables: Variables, images: Array, hole: Array) -> Array:
    """What the bottleneck makes of the known part of images [b, s, s, 3]: [b, d], each its own.

    Its units, the maps behind a channel-wise layer, or the pool5 of an AlexNet.
    """
    _, kept = module_of(model, size=images.shape[1]).apply(
        variables, paint(model, images, hole), train=False, mutable=["intermediates"]
    )
    (bottleneck,) = jax.tree.leaves(kept)
    return bottleneck.reshape(len(images), -1)


def _holes_of_batch(
    model: ContextEncoder, curriculum: Curriculum | None, key: Array, axis: str | None, size: int
) -> Array:
    kinds = training_holes(model, size)
    if curriculum is None:
        return holes.draw_any(kinds, key, size=size)
    position = jnp.arange(len(key))
    if axis is not None:
        position += len(key) * jax.lax.axis_index(axis)
    return holes.draw_chosen(kinds, levels_of(curriculum.counts, position), key, size=size)


def _report(curriculum: Curriculum | None) -> Scalars:
    if curriculum is None:
        return {}
    shares = curriculum.counts / jnp.sum(curriculum.counts)
    levels = range(1, len(shares) + 1)
    return {f"share/level-{i}": shares[i - 1] for i in levels} | {
        f"psnr/level-{i}": curriculum.psnr[i - 1] for i in levels
    }
