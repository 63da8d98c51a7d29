"""What an experiment is: frozen, validated dataclasses; no JAX is needed to read one.

Every file in `configs/` returns one of the three roots, `Training`, `Inpainting` or `Table`, and
every field can be overridden on the command line: `--data.source folder:faces --steps 5000`.
"""

from ce_jax.config.classical import LowRank, Neighbours, OpenCv, PatchMatch, TotalVariation
from ce_jax.config.data import SIZES, Data, Frame
from ce_jax.config.hosts import Hosts
from ce_jax.config.inpainting import (
    POOL_PART,
    Beyond,
    HighResolution,
    Inpainting,
    LatentSearch,
    Perceptual,
)
from ce_jax.config.models import ContextEncoder, Dcgan, L2Gan, LatentEncoder, Model, Vae
from ce_jax.config.record import flat, to_dict, training_from_dict
from ce_jax.config.rules import ConfigError, nearest
from ce_jax.config.table import Entry, Table
from ce_jax.config.training import Adam, Sharding, Training

__all__ = [
    "POOL_PART",
    "SIZES",
    "Adam",
    "Beyond",
    "ConfigError",
    "ContextEncoder",
    "Data",
    "Dcgan",
    "Entry",
    "Frame",
    "HighResolution",
    "Hosts",
    "Inpainting",
    "L2Gan",
    "LatentEncoder",
    "LatentSearch",
    "LowRank",
    "Model",
    "Neighbours",
    "OpenCv",
    "PatchMatch",
    "Perceptual",
    "Sharding",
    "Table",
    "TotalVariation",
    "Training",
    "Vae",
    "flat",
    "nearest",
    "to_dict",
    "training_from_dict",
]
