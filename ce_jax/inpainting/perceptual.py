"""Completions as networks of others see them: LPIPS of each, FID and KID of all together.

Each network comes from a file that the user has; without one its figures are left out.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from ce_jax import data, files, images, sharding
from ce_jax.config import Perceptual
from ce_jax.inpainting.manifest import Record, made_of
from ce_jax.metrics import Estimate, distributions
from ce_jax.models import inception, lpips
from ce_jax.models.pretrained import Convolution
from ce_jax.runs import feature_files
from ce_jax.sources.stamps import stamp

Compare = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Two lots of images, uint8 [n, s, s, 3] each -> how different they look, [n]."""
Describe = Callable[[np.ndarray], np.ndarray]
"""Images, uint8 [n, s, s, 3] -> features, [n, d]."""

_AT_A_TIME = 16
"""Images on each device: Inception sees them at 299x299, whatever their size."""


class Perception(NamedTuple):
    """What the files make possible, and which they are.

    Attributes:
        compare: LPIPS.
        describe: the features for FID and KID.
        weights_of_lpips: what its file is known by.
        facts: all of it for the report.
    """

    compare: Compare | None
    describe: Describe | None
    weights_of_lpips: str | None
    facts: Mapping[str, str]


class SetFigures(NamedTuple):
    """Figures of all completions of a method, and what has to be said of them, if anything."""

    method: str
    figures: Mapping[str, Estimate]
    remark: str


def load(config: Perceptual, mesh: Mesh, *, batch_size: int) -> Perception:
    """Reads the files; images are measured over the mesh, at most `batch_size` at a time.

    Raises:
        FeatureFileError: a file is missing, or not what it should be.
    """
    compare = describe = of_lpips = None
    facts = {}
    if config.lpips is not None:
        weights = feature_files.lpips(Path(config.lpips))
        network = lpips.network_of(weights.convolutions).__name__
        of_lpips = stamp(Path(config.lpips)).sha256[:16]
        facts["LPIPS"] = f"{network}, {config.lpips}, sha256 {of_lpips}"
        compare = _compiled(_distance, weights, mesh, batch_size)
    if config.inception is not None:
        weights = feature_files.inception_v3(Path(config.inception))
        which = stamp(Path(config.inception)).sha256[:16]
        facts["FID and KID"] = f"Inception v3, {config.inception}, sha256 {which}"
        describe = _compiled(_features, weights, mesh, batch_size)
    return Perception(compare, describe, of_lpips, facts)


def measure_set(
    method: str,
    describe: Describe,
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    most: int,
) -> SetFigures:
    """FID and KID of completions against their truths, uint8 [n, s, s, 3], some at a time.

    Their features lie in a file without a name, and not in memory.

    Args:
        method: whose completions.
        describe: the features.
        pairs: completions and truths.
        most: how many there are together, at most.
    """
    features, count = np.empty((2, 0, 1)), 0
    for pair in pairs:
        some = np.stack(list(map(describe, pair)))
        if not count:
            features = data.on_disk((2, most, some.shape[-1]), some.dtype)
        features[:, count : count + some.shape[1]] = some
        count += some.shape[1]
    return SetFigures(method, *distributions.figures(*features[:, :count]))


def as_written(
    folder: Path, records: Iterable[Record], method: str, facts: Mapping[str, str], *, count: int
) -> SetFigures | None:
    """Figures of all images as they stand in a folder, if they are of the same ones and networks.

    Args:
        folder: of an inpainting.
        records: what its manifest says of the images.
        method: whose figures.
        facts: of a `Perception`.
        count: how many of the images have figures.
    """
    file = folder / "metrics.json"
    before = files.json_object(file.read_bytes()) if file.is_file() else {}
    if before.get("measured") != digest(records):
        return None
    if any(before.get("facts", {}).get(name) != value for name, value in facts.items()):
        return None
    found = before.get("figures", {}).get(method, {})
    figures = {k: Estimate.from_json(v) for k, v in found.items() if k.startswith("set/")}
    if not figures or any(one.n != count for one in figures.values()):
        return None
    return SetFigures(method, figures, before.get("remarks", {}).get(method, ""))


def digest(records: Iterable[Record]) -> str:
    """What the images are known by that figures are of."""
    content = hashlib.sha256()
    for record in records:
        if record.get("figures"):
            content.update(made_of(record))
    return content.hexdigest()


def _distance(weights: lpips.Lpips, pictures: tuple[Array, Array]) -> Array:
    return lpips.distance(weights, *map(images.to_float, pictures))


def _features(weights: dict[str, Convolution], pictures: tuple[Array]) -> Array:
    return inception.features(weights, *map(images.to_float, pictures))


def _compiled(
    measure: Callable[..., Array], weights: Any, mesh: Mesh, batch_size: int
) -> Callable[..., np.ndarray]:
    """(uint8 [n, s, s, 3], ...) -> [n, ...], in parts of one shape, the last of them padded."""
    shared, whole = sharding.split(mesh), sharding.replicated(mesh)
    compiled = jax.jit(measure, in_shardings=(whole, shared), out_shardings=shared)
    weights = jax.device_put(weights, whole)
    size = min(batch_size, _AT_A_TIME * mesh.size)

    def measured(*pictures: np.ndarray) -> np.ndarray:
        count, found = len(pictures[0]), []
        for first in range(0, count, size):
            # The last image stands for those that are missing to a whole part.
            places = np.minimum(np.arange(first, first + size), count - 1)
            # A figure must not depend on how a device likes to round.
            with jax.default_matmul_precision("highest"):
                part = compiled(weights, tuple(x[places] for x in pictures))
            found.append(np.asarray(part)[: count - first])
        return np.concatenate(found)

    return measured
