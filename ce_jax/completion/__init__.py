"""Every way to fill a hole, behind one signature.

    complete(images, hole, key) -> Completion

`images` float32 [b, s, s, 3] in [-1, 1]; `hole` bool [b, s, s, 1]; `key` one typed random key for
each image [b]. What stands in the hole of `images` is never read, and a completion depends on its
own image, hole and key alone: not on its batch-mates, their order, or the number of devices.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from ce_jax import sharding
from ce_jax.checkpointing import CheckpointError, Trained
from ce_jax.completion import context_encoder, laplace, latent
from ce_jax.config import ContextEncoder, Dcgan, Inpainting
from ce_jax.state import Variables

Array = jax.Array


class Completion(NamedTuple):
    """What a method returns.

    Attributes:
        images: [b, s, s, 3], the known pixels of the input and the proposal in the hole.
        proposal: [b, s, s, 3], the whole image as the method sees it, before compositing.
        score: [b], the method's own objective, lower is better; 0 where it has none.
        steps: [b] int32, optimisation steps spent.
    """

    images: Array
    proposal: Array
    score: Array
    steps: Array


Complete = Callable[[Array, Array, Array], Completion]
Method = Callable[[Variables, Array, Array, Array], tuple[Array, Array, Array]]


def build(config: Inpainting, trained: Trained | None, mesh: Mesh) -> Complete:
    """The method of a config, compiled over the mesh where it runs on the device.

    Raises:
        CheckpointError: the model is not of the kind that the method needs.
    """
    match config.method, trained:
        case "laplace", _:
            return _composited(lambda images, hole, _: laplace.propose(images, hole))
        case "latent", Trained(config=run) if isinstance(run.model, Dcgan):
            method = latent.method(run, config.latent)
            variables = {"generator": trained.generator, "critic": trained.critic}
        case "context-encoder", Trained(config=run) if isinstance(run.model, ContextEncoder):
            method = context_encoder.method(run)
            variables = {"generator": trained.generator}
        case _:
            kind = type(trained.config.model).__name__ if trained else "no model"
            wanted = {"latent": "Dcgan", "context-encoder": "ContextEncoder"}[config.method]
            raise CheckpointError(
                f"method {config.method} needs a trained {wanted}, and {config.model} is {kind}; "
                "name another --model or --method."
            )
    shared, whole = sharding.split(mesh), sharding.replicated(mesh)
    compiled = jax.jit(
        method, in_shardings=(whole, shared, shared, shared), out_shardings=shared
    )
    variables = jax.device_put(variables, whole)
    return _composited(lambda images, hole, key: compiled(variables, images, hole, key))


def _composited(propose: Callable[[Array, Array, Array], tuple[Array, Array, Array]]) -> Complete:
    def complete(images: Array, hole: Array, key: Array) -> Completion:
        blank = jnp.where(hole, 0.0, images)  # whatever stood in the hole is gone from here on
        proposal, score, steps = propose(blank, hole, key)
        return Completion(jnp.where(hole, proposal, blank), proposal, score, steps)

    return complete
