"""From a config to a method, compiled."""

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh

from ce_jax import sharding
from ce_jax.completion import (
    Complete,
    Completion,
    Propose,
    context_encoder,
    high_resolution,
    laplace,
    latent,
    library,
    low_rank,
    nearest,
    neighbours,
    total_variation,
)
from ce_jax.completion.framing import frame_of
from ce_jax.completion.slots import Slots, compile_slots
from ce_jax.completion.space import Networks, space_of
from ce_jax.completion.starts import draw_pool
from ce_jax.config import (
    ConfigError,
    ContextEncoder,
    Dcgan,
    Inpainting,
    L2Gan,
    LatentEncoder,
    Model,
    Vae,
)
from ce_jax.holes import HoleKind
from ce_jax.holes.hole_sets import HoleSet
from ce_jax.runs import feature_files
from ce_jax.state import Trained
from ce_jax.systems.context_encoder import embedding, training_holes

_PROGRAMS = 16
"""That are kept: of a table, whose cells ask for the same over every kind of hole."""


def build(
    config: Inpainting, trained: Trained | None, mesh: Mesh, *, holes: HoleSet | None = None
) -> Complete:
    """The method of a config, compiled over the mesh where it runs on the device.

    Args:
        config: which method, and how.
        trained: its networks, if it has any.
        mesh: of the devices.
        holes: what the holes are drawn from, which a retrieval by features draws in its collection,
            too; None: they are files or arrays, and it draws those that its network learned with.

    Raises:
        ConfigError: the model is not of the kind that the method needs, or a library is missing.
        SourceError: the collection of photographs that the method is to search cannot be read.
        FeatureFileError: the method is to compare textures in a VGG19 that cannot be read.
    """
    kinds = None if holes is None else (holes.kind,)
    if (on_host := _on_host(config, trained, mesh, kinds)) is not None:
        return partial(_composite, on_host, None)
    propose, variables = _on_device(config, trained)
    return partial(_compiled(propose, mesh), jax.device_put(variables, sharding.replicated(mesh)))


def build_slots(config: Inpainting, trained: Trained | None, mesh: Mesh) -> Slots:
    """The slots of a latent search whose images end on their own; raises as `build`."""
    assert trained is not None  # the config asks for a model
    model = trained.config.model
    if not isinstance(model, Dcgan | Vae | LatentEncoder):
        raise _does_not_run(config, model)
    networks = _searched(config, model, trained)
    return compile_slots(
        model, networks, config.latent, mesh, guide=_guide(trained), keep=config.candidates
    )


@lru_cache(maxsize=_PROGRAMS)
def _compiled(propose: Propose, mesh: Mesh) -> Callable[..., Completion]:
    """(variables, images, hole, key) -> completion, compiled once for all that ask for the same."""
    shared, whole = sharding.split(mesh), sharding.replicated(mesh)
    return jax.jit(
        partial(_composite, propose),
        in_shardings=(whole, shared, shared, shared),
        out_shardings=shared,
    )


@lru_cache(maxsize=_PROGRAMS)
def _made(make: Callable[..., Propose], *settings: Hashable, **options: Hashable) -> Propose:
    """What `make` makes of settings: the same function for the same ones."""
    return make(*settings, **options)


def _on_host(
    config: Inpainting, trained: Trained | None, mesh: Mesh, kinds: Sequence[HoleKind] | None
) -> Propose | None:
    """The method, if it is one that cannot be compiled whole."""
    if config.method == "laplace":
        return laplace.propose
    if config.method == "nearest":
        return _nearest(config, trained, mesh, kinds)
    return library.method(config) if config.method in library.METHODS else None


def _nearest(
    config: Inpainting, trained: Trained | None, mesh: Mesh, kinds: Sequence[HoleKind] | None
) -> Propose:
    """Retrieval by pixels; with a context encoder by its features."""
    collection, frame = config.collection, frame_of(config, trained)
    assert collection is not None  # the config asks for one
    if trained is None:
        return nearest.method(collection, frame, mesh)
    model = trained.config.model
    if not isinstance(model, ContextEncoder):
        raise _does_not_run(config, model)
    return nearest.feature_method(
        collection,
        frame,
        mesh,
        encode=partial(embedding, model),
        variables=trained.generator,
        kinds=kinds or training_holes(model, frame.size),
        seed=config.seed,
        batch_size=config.batch_size,
    )


def _does_not_run(config: Inpainting, model: Model) -> ConfigError:
    return ConfigError(
        f"method {config.method} does not run on {config.model}, which is a "
        f"{type(model).__name__}; name another --model or --method."
    )


def _on_device(config: Inpainting, trained: Trained | None) -> tuple[Propose, Any]:
    """The method and the variables of its networks, if it has any."""
    match config.method:
        case "tv":
            return _made(partial, total_variation.propose, config.tv), None
        case "low-rank":
            return _made(partial, low_rank.propose, config.low_rank), None
        case "neighbours":
            return _made(partial, neighbours.propose, config.neighbours), None
    assert trained is not None  # the config asks for a model
    variables: Any = trained.generator
    match config.method, trained.config.model:
        case "latent", (Dcgan() | Vae() | LatentEncoder()) as model:
            options = {"guide": _guide(trained), "keep": config.candidates}
            propose = _made(latent.method, model, config.latent, **options)
            variables = _searched(config, model, trained)
        case "context-encoder", (ContextEncoder() | L2Gan()) as model:
            propose = _made(partial, context_encoder.propose, model)
        case "high-resolution", ContextEncoder() as model:
            size = trained.config.data.frame.size
            propose = _made(high_resolution.method, model, size, config.refine)
            asked = config.refine.features
            vgg19 = None if asked == "encoder" else feature_files.vgg19(Path(asked))
            variables = (trained.generator, vgg19)
        case _, model:
            raise _does_not_run(config, model)
    return propose, variables


def _searched(config: Inpainting, model: Dcgan | Vae | LatentEncoder, trained: Trained) -> Networks:
    """The networks of a latent search; a pool is the same for all of a seed."""
    guide = None if trained.guide is None else trained.guide.generator
    networks = Networks(trained.generator, trained.critic, guide=guide)
    if isinstance(model, Dcgan) and trained.critic is None and config.latent.prior > 0:
        raise ConfigError(
            f"{config.model} has no critic for the prior loss; search with --latent.prior 0, or "
            "import the discriminator too."
        )
    match config.latent.start:
        case "encoder" if not isinstance(model, LatentEncoder):
            raise ConfigError(
                f"latent.start encoder needs a --model that has one, and {config.model} is a "
                f"{type(model).__name__}; for a Dcgan train configs/latent_encoder_celeba64.py, "
                "or begin with latent.start pool."
            )
        case "pool":
            key, count = jax.random.key(config.seed), config.latent.pool
            pool = jax.jit(
                lambda networks: draw_pool(key, space_of(model, networks, config.latent), count)
            )
            return networks._replace(pool=pool(networks))
    return networks


def _guide(trained: Trained) -> ContextEncoder | None:
    """What predicts beside a search; `runs.loading` has seen to it that it can."""
    model = None if trained.guide is None else trained.guide.config.model
    return model if isinstance(model, ContextEncoder) else None


def _composite(
    propose: Propose, variables: Any, images: Array, hole: Array, key: Array
) -> Completion:
    blank = jnp.where(hole, 0.0, images)  # whatever stood in the hole is gone from here on
    found = propose(variables, blank, hole, key)
    return Completion(jnp.where(hole, found.proposal, blank), *found)
