"""Latent search as in `latent`, in the decoder of a VAE (the comparison of Yeh et al. 2017)."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from ce_jax.completion.latent import search
from ce_jax.config import LatentSearch, Vae
from ce_jax.models.vae import decoder_of
from ce_jax.state import Variables, apply
from ce_jax.systems.dcgan import draw_latent
from ce_jax.systems.vae import module_of

Array = jax.Array
Networks = tuple[Variables, None]


def method(
    model: Vae, size: int, settings: LatentSearch
) -> Callable[[Networks, Array, Array, Array], tuple[Array, Array, Array]]:
    """(networks, images, hole, key) -> (proposal, score, steps) in a trained VAE."""
    decoder = module_of(model, size=size).decoder

    def propose(networks: Networks, images: Array, hole: Array, key: Array):
        generate = partial(apply, decoder, decoder_of(networks[0]))
        z, score = search(
            images,
            hole,
            draw_latent(key, dimensions=model.latent, prior="normal"),
            generate=generate,
            judge=None,
            settings=settings,
            bound=math.inf,
        )
        return generate(z), score, jnp.full(len(images), settings.steps, jnp.int32)

    return propose
