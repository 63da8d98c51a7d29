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
from ce_jax.convert import ConvertError
from ce_jax.models import frozen
from ce_jax.models.dcgan import innermost_channels
from ce_jax.state import Trained

PLATFORMS = ("cpu", "cuda", "tpu")


def programs(trained: Trained) -> dict[str, bytes]:
    """The programs of a model by name, as `jax.export.deserialize` takes them.

    generator   z [b, d] -> images; beside an encoder that guesses maps, (z, maps) -> images
    critic      images -> logits [b], positive where it believes in a photograph
    encoder     (images, hole) -> z [b, d]; or (z, maps [b, 4, 4, c])
    completion  (images, hole) -> images, whose hole is filled; NaN where the network, which
                predicts a square alone, says nothing

    Raises:
        ConvertError: the library that writes them is not installed.
    """
    if find_spec("flatbuffers") is None:
        raise ConvertError("StableHLO files need flatbuffers: pip install flatbuffers")
    model, side = trained.config.model, trained.config.data.frame.size
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    hole = jax.ShapeDtypeStruct((1, side, side, 1), jnp.bool_)
    if not isinstance(model, Dcgan | Vae | LatentEncoder):

        def complete(images: Array, hole: Array) -> Array:
            prediction = context_encoder.predict(model, trained.generator, images, hole)
            return jnp.where(hole, prediction, images)

        return {"completion": _exported(complete, images, hole)}
    return _of_search(trained, model, images, hole)


def _of_search(
    trained: Trained,
    model: Dcgan | Vae | LatentEncoder,
    images: jax.ShapeDtypeStruct,
    hole: jax.ShapeDtypeStruct,
) -> dict[str, bytes]:
    """The networks that a search asks, each as a program."""
    side = trained.config.data.frame.size
    space = space_of(model, Networks(trained.generator, trained.critic), LatentSearch())
    searched, generator, critic = model, trained.generator, trained.critic
    if isinstance(model, LatentEncoder):
        searched, (generator, critic) = model.dcgan, trained.generator["searched"]
    start = [jax.ShapeDtypeStruct((1, space.dimensions), jnp.float32)]
    if isinstance(model, LatentEncoder) and model.maps:
        channels = innermost_channels(size=side, width=model.dcgan.width)
        start.append(jax.ShapeDtypeStruct((1, 4, 4, channels), jnp.float32))

    # Folded within the programs: what is made of a kernel is larger than it, and would be stored.
    def generate(z: Array, *maps: Array) -> Array:
        drawing = space_of(searched, Networks(generator, None), LatentSearch())
        return drawing.generate(z, maps=maps[0] if maps else None)

    found = {"generator": _exported(generate, *start)}
    if critic is not None:

        def judge(images: Array) -> Array:
            return frozen.judge(frozen.fold_critic(critic, jnp.dtype(jnp.float32)), images)

        found["critic"] = _exported(judge, images)
    if (guess := space.guess) is not None:

        def encode(images: Array, hole: Array):
            z, maps = guess(images, hole)
            return z if maps is None else (z, maps)

        found["encoder"] = _exported(encode, images, hole)
    return found


def _exported(function: Callable[..., Any], *examples: jax.ShapeDtypeStruct) -> bytes:
    """The program of a function of batches, whatever their size."""
    arguments = jax.export.symbolic_args_specs(examples, "b, ...")
    exported = jax.export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    return bytes(exported.serialize())
