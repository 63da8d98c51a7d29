"""A network that guesses z, and maps beyond it, from known pixels: where a latent search begins.

Its generator is that of a DCGAN that was trained before and stays as it is. Half of what it learns
from are pictures of this generator, whose z is known, half are photographs, which are what it will
be shown.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike

from ce_jax import holes, losses
from ce_jax.config import LatentEncoder, Training
from ce_jax.models import latent_encoder
from ce_jax.models.dcgan import innermost_channels
from ce_jax.models.latent_encoder import see
from ce_jax.state import Game, GuessingGame, Network, Scalars, Searched, Variables, apply
from ce_jax.systems.dcgan import draw_latent, modules
from ce_jax.systems.system import System, begin, descend, network


def module_of(
    model: LatentEncoder, *, size: int, axis: str | None = None, dtype: DTypeLike = jnp.float32
) -> latent_encoder.LatentEncoder:
    """The encoder for images of this side."""
    maps = innermost_channels(size=size, width=model.dcgan.width) if model.maps else None
    bounded = model.dcgan.prior == "uniform"
    return latent_encoder.LatentEncoder(
        model.width, axis, dtype=dtype, latent=model.dcgan.latent, bounded=bounded, maps=maps
    )


def step(
    game: Game,
    images: Array,
    key: Array,
    *,
    encoder: Network,
    generator: nn.Module,
    model: LatentEncoder,
    average: float,
) -> tuple[Game, Scalars]:
    """One step on pictures with holes: G(E(known pixels, hole)) shall be the whole picture.

    images [b, s, s, 3] in [-1, 1], key [b].
    """
    assert isinstance(game, GuessingGame)
    size = images.shape[1]
    z_key, hole_key, lot_key = (jax.vmap(jax.random.fold_in, (0, None))(key, i) for i in range(3))
    z = draw_latent(z_key, dimensions=model.dcgan.latent, prior=model.dcgan.prior)
    photographed = jax.vmap(jax.random.uniform)(lot_key) < model.photographs
    draw = partial(apply, generator, game.searched.generator, parts=encoder.parts)
    drawn = draw(z)
    truth = jnp.where(photographed[:, None, None, None], images, drawn)
    hole = holes.draw_any(tuple(map(holes.parse, model.holes)), hole_key, size=size)
    weight = jnp.where(hole, model.hole_weight, 1.0)

    def loss(params):
        guess, batch_stats = encoder.forward(params, game.generator.batch_stats, see(truth, hole))
        picture = draw(*guess)
        reconstruction = jnp.mean(losses.reconstruction_loss(picture, truth, weight))
        miss = jnp.mean((guess.z - z) ** 2, axis=1)
        latent = jnp.sum(jnp.where(photographed, 0.0, miss)) / len(miss)
        scalars = {
            "loss/encoder": reconstruction + model.latent_weight * latent,
            "loss/reconstruction": reconstruction,
            "loss/latent": latent,
            "hole/psnr": jnp.mean(losses.hole_psnr(picture, truth, hole)),
        }
        return scalars["loss/encoder"], (batch_stats, scalars)

    return descend(game, encoder, loss, average)


def build(config: Training, model: LatentEncoder, axis: str | None) -> System:
    """The system of a config with this model.

    Raises:
        HoleError: a kind of hole to train with is unknown or does not fit.
    """
    size = config.data.frame.size
    kinds = tuple(map(holes.parse, model.holes))
    for kind in kinds:
        holes.check(kind, size=size)
    learning = module_of(model, size=size, axis=axis, dtype=config.precision)
    encoder = network(config, learning, config.generator, axis)
    asked, _ = modules(model.dcgan, size=size, dtype=config.precision)
    update = partial(step, encoder=encoder, generator=asked, model=model, average=config.average)
    module, (generator, critic) = module_of(model, size=size), modules(model.dcgan, size=size)

    def init(key: Array) -> Game:
        game = begin(encoder.init(key, jnp.zeros((1, size, size, 4))), None, config)
        # Of the right shapes, until a run of this DCGAN is put in their place.
        latent, picture = jnp.zeros((1, model.dcgan.latent)), jnp.zeros((1, size, size, 3))
        shapes = generator.init(key, latent, train=False), critic.init(key, picture, train=False)
        blank = Searched(*map(dict, shapes))
        return GuessingGame(**vars(game), searched=jax.tree.map(jnp.zeros_like, blank))

    def preview(variables: Variables, images: Array, key: Array) -> Array:
        hole = holes.draw_any(kinds, key, size=size)
        guess = apply(module, variables["encoder"], see(images, hole))
        picture = apply(generator, variables["searched"].generator, *guess)
        return jnp.stack([jnp.where(hole, 0.0, images), picture, images], axis=1)

    return System(init, update, preview)
