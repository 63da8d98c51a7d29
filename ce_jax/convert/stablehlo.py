"""Networks as programs: StableHLO with the weights in it, for CPU, GPU and TPU at once.

What `jax.export` reads back, any program with JAX can call, without this package and for batches of
any size; the StableHLO inside is for other runtimes. BatchNorm is folded into the layers before it
where a search has it so, too. Images are float32 [b, s, s, 3] in [-1, 1], holes bool [b, s, s, 1].
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ce_jax.completion import context_encoder
from ce_jax.completion.space import Networks, space_of
from ce_jax.config import Dcgan, LatentEncoder, LatentSearch, Vae
from ce_jax.models import frozen
from ce_jax.models.dcgan import innermost_channels
from ce_jax.state import Trained, Variables

PLATFORMS = ("cpu", "cuda", "tpu")


class StableHloError(ValueError):
    """A library is missing that writes these files."""


def programs(trained: Trained) -> dict[str, bytes]:
    """The programs of a model by name, as `jax.export.deserialize` takes them.

    generator   z [b, d] -> images; beside an encoder that guesses maps, (z, maps) -> images
    critic      images -> logits [b], positive where it believes in a photograph
    encoder     (images, hole) -> z [b, d]; or (z, maps [b, 4, 4, c])
    completion  (images, hole) -> images, whose hole is filled; NaN where the network, which
                predicts a square alone, says nothing

    Raises:
        StableHloError: the library that writes them is not installed.
    """
    if find_spec("flatbuffers") is None:
        raise StableHloError("StableHLO files need flatbuffers: pip install ce_jax[stablehlo]")
    model, side = trained.config.model, trained.config.data.frame.size
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    hole = jax.ShapeDtypeStruct((1, side, side, 1), jnp.bool_)
    if not isinstance(model, Dcgan | Vae | LatentEncoder):

        def complete(images: Array, hole: Array) -> Array:
            prediction = context_encoder.predict(model, trained.generator, images, hole)
            return jnp.where(hole, prediction, images)

        return {"completion": _exported(complete, images, hole)}
    networks = Networks(trained.generator, trained.critic)
    space = space_of(model, networks, LatentSearch())
    start = [jax.ShapeDtypeStruct((1, space.dimensions), jnp.float32)]
    if isinstance(model, LatentEncoder) and model.maps:
        channels = innermost_channels(size=side, width=model.dcgan.width)
        start.append(jax.ShapeDtypeStruct((1, 4, 4, channels), jnp.float32))

    def generate(z: Array, *maps: Array) -> Array:
        return space.generate(z, maps=maps[0] if maps else None)

    found = {"generator": _exported(generate, *start)}
    if (critic := _critic_of(trained)) is not None:
        layers = frozen.fold_critic(critic, jnp.dtype(jnp.float32))
        found["critic"] = _exported(lambda images: frozen.judge(layers, images), images)
    if (guess := space.guess) is not None:

        def encode(images: Array, hole: Array):
            z, maps = guess(images, hole)
            return z if maps is None else (z, maps)

        found["encoder"] = _exported(encode, images, hole)
    return found


def _critic_of(trained: Trained) -> Variables | None:
    if isinstance(trained.config.model, LatentEncoder):
        return trained.generator["searched"].critic
    return trained.critic if isinstance(trained.config.model, Dcgan) else None


def _exported(function: Callable[..., Any], *examples: jax.ShapeDtypeStruct) -> bytes:
    """The program of a function of batches, whatever their size."""
    arguments = jax.export.symbolic_args_specs(examples, "b, ...")
    exported = jax.export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    return bytes(exported.serialize())
