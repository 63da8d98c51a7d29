"""Inpainting a whole data set: plan, decode ahead, complete on the devices, blend and write.

The devices work on one batch while the host finishes the one before it. All batches have the same
shape (the last is padded), and holes and starts are drawn from the seed and the image's own name,
so that a result does not depend on where in a run it was made.
"""

import dataclasses
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ce_jax import (
    blending,
    checkpointing,
    completion,
    hole_files,
    images,
    metrics,
    sharding,
)
from ce_jax import config as configuration
from ce_jax.completion import Candidates, Complete, Completion, Trails, why_not
from ce_jax.completion.framing import frame_of
from ce_jax.config import Frame, Inpainting
from ce_jax.hole_files import HoleFiles
from ce_jax.hole_sets import HoleSet, hash_of, hash_of_set, image_keys
from ce_jax.pairing import Failure, Picture, loader, read_ahead
from ce_jax.results import Results
from ce_jax.sources import keep_apart, open_source
from ce_jax.state import Trained
from ce_jax.trails import milestones, principal_plane

_NOT_IDENTITY = ("output", "overwrite", "report_rows", "report_worst")

# Trails are to look at: those of a few of the images shown; of these, the pictures of the best
# starts, and the way of z through so many points.
_TRAILED_IMAGES, _TRAILED_STARTS, _TRAIL_POINTS = 4, 4, 64


class Outcome(NamedTuple):
    """How an inpainting ended: counts of images, and whether it was stopped before the last."""

    done: int
    failed: int
    total: int
    stopped: bool


class _Batch(NamedTuple):
    """A batch on its way: what went in, what will come out, and when it began."""

    pictures: Sequence[Picture]
    hole: np.ndarray
    completion: Completion
    begun: float


class _Finished(NamedTuple):
    """A completed image: its line of the manifest, its files, and what the report shows of it."""

    record: dict[str, Any]
    ranked: np.ndarray
    panel: list[np.ndarray]
    strips: np.ndarray | None


def inpaint(config: Inpainting, *, stopped: Callable[[], bool] = lambda: False) -> Outcome:
    """Completes every image of `config.images` into `config.output`; what is done there is kept.

    An image that cannot be read or completed is noted in the manifest, and the others go on.

    Raises:
        ConfigError, SourceError, HoleError, CheckpointError, OutputError, DeviceError: nothing can
            begin.
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

    shown = [source.names[index] for index in _evenly(len(source), config.report_rows)]
    identity = configuration.to_dict(config) | {"model_step": trained.step if trained else None}
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

        def keep(finished: Iterable[Failure | _Finished]) -> None:
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
                keep(_finish(underway, config, trailed))
            underway = begun
            tried += len(loaded)
            if stopped():
                break
        if underway is not None:
            keep(_finish(underway, config, trailed))

    results.summarise(
        _facts(config, trained, frame, results),
        _captions(config),
        title=f"{config.holes} holes, {config.method}",
    )
    done = sum(record["status"] == "done" for record in results.records)
    return Outcome(done, len(results.records) - done, len(source), tried < len(todo))


def _begin(
    pictures: list[Picture],
    config: Inpainting,
    holes: HoleSet | HoleFiles,
    complete: Complete,
    size: int,
) -> _Batch:
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
    return _Batch(pictures, hole[: len(pictures)], completion, begun)


def _finish(
    batch: _Batch, config: Inpainting, trailed: Container[str]
) -> Iterator[Failure | _Finished]:
    """Waits for a batch, blends it on the host, and measures it where the truth is known."""
    count, hole, completion = len(batch.pictures), batch.hole, batch.completion
    score, steps = (np.asarray(array)[:count] for array in (completion.score, completion.steps))
    proposals = np.asarray(completion.proposal)[:count, np.newaxis]
    if completion.candidates is not None:
        proposals = np.asarray(completion.candidates.proposal)[:count]
    finite = np.isfinite(proposals)
    served = np.isfinite(score) & np.all(finite | ~hole[:, np.newaxis], axis=(1, 2, 3, 4))
    proposals = np.where(finite, proposals, 0)
    photographs = np.stack([picture.image for picture in batch.pictures])
    ranked = _blended(photographs, proposals, hole, config)
    laplace = images.to_uint8(blending.harmonic(images.to_float(photographs), hole))
    filled = {config.method: ranked[:, 0], "laplace": np.where(hole, laplace, photographs)}
    truth = np.stack([p.image if p.truth is None else p.truth for p in batch.pictures])
    figures = {method: metrics.figures(result, truth, hole) for method, result in filled.items()}
    seconds = round((time.monotonic() - batch.begun) / count, 4)
    for i, picture in enumerate(batch.pictures):
        if not served[i]:
            yield Failure(picture.name, why_not(config.method))
            continue
        record = {
            "name": picture.name,
            "status": "done",
            "seconds": seconds,
            "steps": int(steps[i]),
            "score": round(float(score[i]), 4),
            "missing": round(float(hole[i].mean()), 4),
            "hole": hash_of(hole[i]),
            "figures": {
                method: {k: round(float(v[i]), 5) for k, v in values.items() if np.isfinite(v[i])}
                for method, values in figures.items()
                if picture.truth is not None
            },
            "note": _note(hole[i]),
        }
        if completion.candidates is not None:
            record["candidates"] = _ranks(completion.candidates, i)
        strips = None
        if completion.trails is not None and picture.name in trailed:
            # A start that ended in NaN is not the best, and must not end the run.
            trails = jax.tree.map(lambda array, i=i: np.nan_to_num(array[i]), completion.trails)
            record["trail"] = _trail(trails)
            best = trails.proposal[np.newaxis, :_TRAILED_STARTS]
            strips = _blended(photographs[i : i + 1], best, hole[i : i + 1], config)[0]
        seen = np.where(hole[i], np.uint8(255), picture.image)
        panel = [picture.image, seen, images.to_uint8(proposals[i, 0]), *ranked[i]]
        panel += [] if config.method == "laplace" else [filled["laplace"][i]]
        panel += [] if picture.truth is None else [picture.truth]
        yield _Finished(record, ranked[i], panel, strips)


def _blended(
    photographs: np.ndarray, proposals: np.ndarray, hole: np.ndarray, config: Inpainting
) -> np.ndarray:
    """Proposals [b, ..., s, s, 3] in the photographs of [b], uint8; known pixels as they were."""
    blend = {"poisson": blending.poisson, "overlay": blending.overlay}[config.blend]
    shape = proposals.shape
    proposals = proposals.reshape(-1, *shape[-3:])
    each = len(proposals) // len(photographs)
    photographs, hole = (np.repeat(array, each, axis=0) for array in (photographs, hole))
    completed = images.to_uint8(blend(images.to_float(photographs), proposals, hole))
    return np.where(hole, completed, photographs).reshape(shape)


def _captions(config: Inpainting) -> list[str]:
    """Of the pictures in a panel; the truth is not known of every image."""
    others = [f"candidate {rank}" for rank in range(2, config.candidates + 1)]
    # The completion of the method laplace is the Laplace fill.
    laplace = [] if config.method == "laplace" else ["laplace"]
    return ["photograph", "hole", "proposal", "completion", *others, *laplace, "truth"]


def _ranks(candidates: Candidates, i: int) -> list[dict[str, Any]]:
    """What the manifest says of the candidates of an image, the best of which is its completion."""
    each = zip(np.asarray(candidates.score[i]), np.asarray(candidates.start[i]), strict=True)
    return [
        {"rank": rank, "score": round(float(score), 4), "start": int(start)}
        for rank, (score, start) in enumerate(each, 1)
    ]


def _trail(trails: Trails) -> dict[str, Any]:
    """What the manifest says of the trails of an image: losses [k, n] and places [k, points, 2]."""
    steps = trails.z.shape[1] - 1
    plane, share = principal_plane(np.asarray(trails.z))
    points = milestones(steps, count=min(steps + 1, _TRAIL_POINTS))
    numbers = {"context": trails.context, "prior": trails.prior, "plane": plane[:, points]}
    return {
        "steps": milestones(steps, count=trails.context.shape[1]).tolist(),
        **{name: np.round(array.astype(float), 6).tolist() for name, array in numbers.items()},
        "share": round(share, 4),
    }


def _note(hole: np.ndarray) -> str:
    if not hole.any():
        return "nothing to do: the hole is empty"
    return "no pixel is known: the proposal alone" if hole.all() else ""


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
