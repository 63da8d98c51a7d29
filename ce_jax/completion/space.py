"""What a latent search looks in: the z of a trained generator, and the images made of them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from ce_jax import losses
from ce_jax.completion.context_encoder import predict
from ce_jax.config import ContextEncoder, Dcgan, LatentEncoder, LatentSearch, Vae
from ce_jax.models import frozen
from ce_jax.models.latent_encoder import Guess, see
from ce_jax.models.vae import decoder_of
from ce_jax.state import Variables, apply
from ce_jax.systems.dcgan import Prior
from ce_jax.systems.latent_encoder import module_of


class Pool(NamedTuple):
    """Images of a generator to choose a start from: z [n, d], and G(z) as bytes [n, s, s, 3]."""

    z: Array
    images: Array


class Networks(NamedTuple):
    """What a search needs: the variables of its networks, a pool if one is used, and a guide."""

    generator: Any
    critic: Variables | None
    pool: Pool | None = None
    guide: Variables | None = None


class Space(NamedTuple):
    """Where and how to search: images as a function of z, and how little one has to expect of both.

    Attributes:
        settings: the objective, the optimiser, and when to stop.
        dimensions: d.
        prior: what z was drawn from in training.
        features: z [b, d] -> the feature maps behind the first layers of the generator; `maps`
            are added to the innermost ones.
        decode: these feature maps [b, n, n, c] -> images [b, s, s, 3].
        prior_loss: (z, images) -> the prior loss without its lambda, [b].
        guess: (images, hole) -> where to begin, by a trained encoder; None without one.
        predict: (images, hole) -> images, whole, by a context encoder as a guide; None without one.
    """

    settings: LatentSearch
    dimensions: int
    prior: Prior
    features: Callable[..., Array]
    decode: Callable[[Array], Array]
    prior_loss: Callable[[Array, Array], Array]
    guess: Callable[[Array, Array], Guess] | None = None
    predict: Callable[[Array, Array], Array] | None = None

    def generate(self, z: Array, *, maps: Array | None = None) -> Array:
        """G(z), [b, d] -> [b, s, s, 3]; with maps, [b, 4, 4, c], added to the innermost ones."""
        return self.decode(self.features(z, maps=maps))


def space_of(
    model: Dcgan | Vae | LatentEncoder,
    networks: Networks,
    settings: LatentSearch,
    *,
    guide: ContextEncoder | None = None,
) -> Space:
    """The space of a trained run, its networks frozen, in the precision of the settings."""
    match model:
        case Dcgan():
            space = _of_dcgan(model, networks, settings)
        case LatentEncoder():
            own, searched = networks.generator["encoder"], networks.generator["searched"]

            def guess(images: Array, hole: Array) -> Guess:
                encoder = module_of(model, size=images.shape[1])
                return apply(encoder, own, see(images, hole))

            space = _of_dcgan(model.dcgan, Networks(*searched), settings)._replace(guess=guess)
        case Vae():
            space = _of_vae(model, networks, settings)
    if guide is None or networks.guide is None:
        return space
    return space._replace(predict=partial(predict, guide, networks.guide))


def _of_dcgan(model: Dcgan, networks: Networks, settings: LatentSearch) -> Space:
    """A DCGAN, whose critic is the prior (Yeh et al. 2017, eq. 5)."""
    form = {"saturating": losses.prior_loss, "non-saturating": losses.adversarial_loss}
    dtype = jnp.dtype(settings.precision)
    critic = None if networks.critic is None else frozen.fold_critic(networks.critic, dtype)

    def prior_loss(_: Array, images: Array) -> Array:
        assert critic is not None  # nobody asks without one
        return form[settings.prior_form](frozen.judge(critic, images))

    halves = _halves(networks.generator, settings)
    return Space(settings, model.latent, model.prior, *halves, prior_loss)


def _of_vae(model: Vae, networks: Networks, settings: LatentSearch) -> Space:
    """The decoder of a VAE, where nobody judges: the prior loss is -log p(z) = |z|^2 / 2.

    With lambda, a search then finds the most probable z where the error of a known pixel of weight
    1 has a Laplace distribution of that scale.
    """
    halves = _halves(decoder_of(networks.generator), settings)
    return Space(settings, model.latent, "normal", *halves, lambda z, _: losses.latent_loss(z))


def _halves(generator: Variables, settings: LatentSearch) -> tuple[Callable, Callable]:
    """A generator, cut behind as many layers as the search is to go into."""
    layers = frozen.fold_generator(generator, jnp.dtype(settings.precision))
    depth = settings.beyond.depth
    return partial(frozen.features, layers, depth=depth), partial(
        frozen.decode, layers, depth=depth
    )
