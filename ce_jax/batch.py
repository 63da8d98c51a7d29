"""Inpainting a whole data set: plan, decode ahead, complete on the devices, blend and write.

The devices work on one batch while the host finishes the one before it. All batches have the same
shape (the last is padded), and holes and starts are drawn from the seed and the image's own name,
so that a result does not depend on where in a run it was made.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ce_jax import checkpointing, completion, hole_files, images, perceptual, sharding
from ce_jax import config as configuration
from ce_jax.completion import Complete
from ce_jax.completion.framing import frame_of
from ce_jax.config import Frame, Inpainting
from ce_jax.finishing import Batch, Finished, captions_of, finish
from ce_jax.hole_files import HoleFiles
from ce_jax.hole_sets import HoleSet, hash_of_set, image_keys
from ce_jax.pairing import Failure, Load, Picture, loader, read_ahead
from ce_jax.perceptual import Perception, SetFigures, measure_set
from ce_jax.results import Results
from ce_jax.sources import Source, keep_apart, open_source
from ce_jax.state import Trained

# LPIPS is part of what is kept of an image: its weights are told by their content.
_NOT_IDENTITY = ("perceptual", "output", "overwrite", "report_rows", "report_worst")

# Trails are to look at: those of a few of the images shown.
_TRAILED_IMAGES = 4


class Outcome(NamedTuple):
    """How an inpainting ended: counts of images, and whether it was stopped before the last."""

    done: int
    failed: int
    total: int
    stopped: bool


def inpaint(config: Inpainting, *, stopped: Callable[[], bool] = lambda: False) -> Outcome:
    """Completes every image of `config.images` into `config.output`; what is done there is kept.

    An image that cannot be read or completed is noted in the manifest, and the others go on.

    Raises:
        ConfigError, SourceError, HoleError, CheckpointError, FeatureFileError, OutputError,
            DeviceError: nothing can begin.
    """
    mesh = sharding.make_mesh()
    sharding.check_batch(config.batch_size, mesh)
    source = open_source(config.images)
    keep_apart(config.images, Path(config.output))
    holes = hole_files.resolve(config.holes, seed=config.seed)
    trained = None if config.model is None else checkpointing.load(Path(config.model))
    complete = completion.build(config, trained, mesh)
    frame = frame_of(config, trained)
    if isinstance(holes, HoleSet):
        holes.check(size=frame.size)
    load = loader(source, frame, holes, truth=config.truth)
    perception = perceptual.load(config.perceptual, mesh, batch_size=config.batch_size)

    shown = [source.names[index] for index in _evenly(len(source), config.report_rows)]
    identity = configuration.to_dict(config) | {
        "model_step": trained.step if trained else None,
        "lpips": perception.weights_of_lpips,
    }
    results = Results(
        Path(config.output),
        {k: v for k, v in identity.items() if k not in _NOT_IDENTITY},
        source.names,
        shown=shown,
        worst=config.report_worst,
        overwrite=config.overwrite,
    )
    todo = [index for index, name in enumerate(source.names) if not results.is_done(name)]
    trailed = {shown[index] for index in _evenly(len(shown), _TRAILED_IMAGES)}

    with tqdm(total=len(source), initial=len(source) - len(todo), unit="image") as bar:

        def keep(finished: Iterable[Failure | Finished]) -> None:
            for one in finished:
                if isinstance(one, Failure):
                    results.fail(one.name, one.reason)
                else:
                    results.add(one.record, one.ranked, one.panel, strips=one.strips)
                bar.update()

        tried, underway = 0, None
        for loaded in read_ahead(load, todo, batch_size=config.batch_size):
            keep(failure for failure in loaded if isinstance(failure, Failure))
            pictures = [picture for picture in loaded if isinstance(picture, Picture)]
            begun = _begin(pictures, config, holes, complete, frame.size) if pictures else None
            if underway is not None:
                keep(finish(underway, config, trailed, perception.compare))
            underway = begun
            tried += len(loaded)
            if stopped():
                break
        if underway is not None:
            keep(finish(underway, config, trailed, perception.compare))

    of_sets = {}
    if perception.describe is not None and tried == len(todo):
        of_sets = {config.method: _of_set(config, perception, results, source, load)}
    results.summarise(
        _facts(config, trained, frame, results) | dict(perception.facts),
        captions_of(config),
        title=f"{config.holes} holes, {config.method}",
        of_sets=of_sets,
    )
    done = sum(record["status"] == "done" for record in results.records)
    return Outcome(done, len(results.records) - done, len(source), tried < len(todo))


def _of_set(
    config: Inpainting, perception: Perception, results: Results, source: Source, load: Load
) -> SetFigures:
    """FID and KID of all that is done; of no other images than before, as they were written."""
    names = {record["name"] for record in results.records if record.get("figures")}
    if (before := results.of_set(config.method, perception.facts, count=len(names))) is not None:
        return before

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        todo = [index for index, name in enumerate(source.names) if name in names]
        for loaded in read_ahead(load, todo, batch_size=config.batch_size):
            truths = {one.name: one.truth for one in loaded if isinstance(one, Picture)}
            truths = {name: truth for name, truth in truths.items() if truth is not None}
            if truths:
                completions = np.stack([results.completion(name) for name in truths])
                yield completions, np.stack(list(truths.values()))

    assert perception.describe is not None
    return measure_set(perception.describe, pairs())


def _begin(
    pictures: list[Picture],
    config: Inpainting,
    holes: HoleSet | HoleFiles,
    complete: Complete,
    size: int,
) -> Batch:
    """Starts a batch on the devices, padded to the full size with copies of its last picture."""
    padded = pictures + [pictures[-1]] * (config.batch_size - len(pictures))
    names = [picture.name for picture in padded]
    _, start_key = jax.vmap(jax.random.split, out_axes=1)(image_keys(config.seed, names))
    if isinstance(holes, HoleSet):
        hole = holes.draw(names, size=size)
    else:
        hole = np.stack([picture.hole for picture in padded if picture.hole is not None])
    photographs = images.to_float(np.stack([picture.image for picture in padded]))
    begun = time.monotonic()
    completion = complete(jnp.asarray(photographs), jnp.asarray(hole), start_key)
    return Batch(pictures, hole[: len(pictures)], completion, begun)


def _evenly(count: int, wanted: int) -> Iterable[int]:
    """At most `wanted` of `count` places, evenly spread and always the same."""
    wanted = min(count, wanted)
    return (i * count // wanted for i in range(wanted))


def _facts(
    config: Inpainting, trained: Trained | None, frame: Frame, results: Results
) -> dict[str, str]:
    """What was run, for the report: enough to run it again."""
    device = jax.devices()[0]
    hashes = {record["name"]: record["hole"] for record in results.records if "hole" in record}
    facts = {
        "images": config.images,
        "holes": config.holes,
        "hole set": hash_of_set(hashes),
        "method": config.method,
        "blend": config.blend,
        "seed": str(config.seed),
        "size": f"{frame.size}x{frame.size}",
        "device": f"{jax.device_count()} x {device.device_kind}",
        "versions": f"ce_jax {version('ce_jax')}, jax {jax.__version__}",
    }
    if trained is not None:
        facts["model"] = f"{config.model}, {trained.step} steps"
    if config.collection is not None:
        facts["collection"] = config.collection
    settings = {
        "latent": ("search", config.latent),
        "high-resolution": ("refinement", config.refine),
        "tv": ("total variation", config.tv),
        "low-rank": ("low rank", config.low_rank),
        "neighbours": ("neighbours", config.neighbours),
        "telea": ("OpenCV", config.opencv),
        "navier-stokes": ("OpenCV", config.opencv),
        "patchmatch": ("patches", config.patchmatch),
    }
    if config.method in settings:
        name, chosen = settings[config.method]
        each = dataclasses.asdict(chosen).items()
        facts[name] = ", ".join(f"{field} {value}" for field, value in each)
    return facts
