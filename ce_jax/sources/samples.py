"""`samples:MODEL`: what a trained generator draws when nothing is missing."""

import os
from collections.abc import Hashable
from functools import lru_cache

import jax
import numpy as np

from ce_jax.config import Dcgan, LatentEncoder
from ce_jax.images import to_uint8
from ce_jax.runs import loading
from ce_jax.runs.releases import ReleaseError
from ce_jax.runs.workdirs import CheckpointError
from ce_jax.sources.source import Opened, SourceError, Stack, numbers
from ce_jax.state import apply
from ce_jax.systems.dcgan import draw_latent, modules

_COUNT = 256


def open_samples(location: str, spec: str) -> Opened:
    """The images of as many z, each drawn by its own number: the same of the same networks.

    Raises:
        SourceError: no run can be read there, or its networks draw no images of their own.
    """
    try:
        version = loading.version_of(location)
        images = _drawn(location, os.path.abspath(location), version)
    except (CheckpointError, ReleaseError) as error:
        raise SourceError(f"{spec!r}: {error}") from error
    return numbers(_COUNT), Stack(images)


@lru_cache(maxsize=1)
def _drawn(location: str, place: str, version: Hashable) -> np.ndarray:
    """All images, drawn once for whoever asks for them in a row: the cells of a table do."""
    trained = loading.load(location)
    match trained.config.model:
        case Dcgan() as model:
            variables = trained.generator
        case LatentEncoder(dcgan=model):
            variables = trained.generator["searched"].generator
        case other:
            raise SourceError(
                f"'samples:{location}': a {type(other).__name__} draws no images of its own; "
                "name a Dcgan"
            )
    generator, _ = modules(model, size=trained.config.data.frame.size)
    key = jax.random.split(jax.random.key(0), _COUNT)
    z = draw_latent(key, dimensions=model.latent, prior=model.prior)
    draw = jax.jit(lambda variables, z: to_uint8(apply(generator, variables, z)))
    return np.asarray(draw(variables, z))
