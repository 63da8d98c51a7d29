"""Inpainting a whole data set: plan, decode ahead, complete on the devices, blend and write.

The devices work on one batch while the host finishes the one before it. All batches have the same
shape (the last is padded), and holes and starts are drawn from the seed and the image's own name,
so that a result does not depend on where in a run it was made.
"""

import dataclasses
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import grain
import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ce_jax import blending, checkpointing, completion, data, holes, images, metrics, sharding
from ce_jax import config as configuration
from ce_jax.checkpointing import CheckpointError, Trained
from ce_jax.completion import Complete, Completion
from ce_jax.config import Frame, Inpainting
from ce_jax.holes import HoleError, HoleFiles, HoleKind
from ce_jax.results import Results
from ce_jax.sources import Source, SourceError, keep_apart, open_source

CAPTIONS = ("photograph", "hole", "proposal", "completion", "laplace", "truth")
_NOT_IDENTITY = ("output", "overwrite", "report_rows")
_READERS = 8


class Outcome(NamedTuple):
    """How an inpainting ended: counts of images, and whether it was stopped before the last."""

    done: int
    failed: int
    total: int
    stopped: bool


class _Picture(NamedTuple):
    """One image, framed: uint8 [s, s, 3]; its hole if it comes from a file; the truth if known."""

    name: str
    image: np.ndarray
    hole: np.ndarray | None
    truth: np.ndarray | None


class _Failure(NamedTuple):
    name: str
    reason: str


class _Batch(NamedTuple):
    """A batch on its way: what went in, what will come out, and when it began."""

    pictures: Sequence[_Picture]
    hole: np.ndarray
    completion: Completion
    begun: float


class _Finished(NamedTuple):
    """A completed image: its line of the manifest, its file, and what the report shows of it."""

    record: dict[str, Any]
    image: np.ndarray
    panel: list[np.ndarray]


def inpaint(config: Inpainting, *, stopped: Callable[[], bool] = lambda: False) -> Outcome:
    """Completes every image of `config.images` into `config.output`; what is done there is kept.

    An image that cannot be read or completed is noted in the manifest, and the others go on.

    Raises:
        SourceError, HoleError, CheckpointError, OutputError, DeviceError: nothing can begin.
    """
    mesh = sharding.make_mesh()
    sharding.check_batch(config.batch_size, mesh)
    source = open_source(config.images)
    keep_apart(config.images, Path(config.output))
    hole_kind = holes.resolve(config.holes)
    trained = None if config.model is None else checkpointing.load(Path(config.model))
    frame = _frame(config, trained)
    if isinstance(hole_kind, HoleKind):
        holes.check(hole_kind, size=frame.size)
    complete = completion.build(config, trained, mesh)
    load = partial(_load, source, frame, hole_kind, _truth(config, source, hole_kind))

    identity = configuration.to_dict(config) | {"model_step": trained.step if trained else None}
    results = Results(
        Path(config.output),
        {k: v for k, v in identity.items() if k not in _NOT_IDENTITY},
        source.names,
        overwrite=config.overwrite,
    )
    todo = [index for index, name in enumerate(source.names) if not results.is_done(name)]
    shown = {source.names[index] for index in _evenly(len(source), config.report_rows)}

    with tqdm(total=len(source), initial=len(source) - len(todo), unit="image") as bar:

        def keep(finished: Iterable[_Failure | _Finished]) -> None:
            for one in finished:
                if isinstance(one, _Failure):
                    results.fail(one.name, one.reason)
                else:
                    panel = one.panel if one.record["name"] in shown else None
                    results.add(one.record, one.image, panel)
                bar.update()

        tried, underway = 0, None
        for loaded in _read_ahead(load, todo, config.batch_size):
            keep(failure for failure in loaded if isinstance(failure, _Failure))
            pictures = [picture for picture in loaded if isinstance(picture, _Picture)]
            begun = _begin(pictures, config, hole_kind, complete, frame.size) if pictures else None
            if underway is not None:
                keep(_finish(underway, config))
            underway = begun
            tried += len(loaded)
            if stopped():
                break
        if underway is not None:
            keep(_finish(underway, config))

    results.summarise(
        _facts(config, trained, frame, results),
        # The completion of the method laplace is the Laplace fill.
        [caption for caption in CAPTIONS if caption != config.method],
        title=f"{config.holes} holes, {config.method}",
    )
    done = sum(record["status"] == "done" for record in results.records)
    return Outcome(done, len(results.records) - done, len(source), tried < len(todo))


def image_keys(seed: int, names: Sequence[str]) -> jax.Array:
    """One random key for each image, [b]: the seed and the image's name, and nothing else."""
    digests = [hashlib.blake2b(name.encode(), digest_size=4).digest() for name in names]
    numbers = np.array([int.from_bytes(digest, "big") for digest in digests], np.uint32)
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(seed), numbers)


def _frame(config: Inpainting, trained: Trained | None) -> Frame:
    if trained is None:
        return config.frame or Frame()
    theirs = trained.config.data.frame
    if config.frame is not None and config.frame.size != theirs.size:
        raise CheckpointError(
            f"frame.size is {config.frame.size}, but {config.model} was trained on "
            f"{theirs.size}-pixel images; use that size or another --model."
        )
    return config.frame or theirs


def _truth(config: Inpainting, source: Source, hole_kind: HoleKind | HoleFiles) -> Callable | None:
    """name, image -> the intact image; None where there is no way to know it."""
    if config.truth is not None:
        intact = open_source(config.truth)
        places = {name: index for index, name in enumerate(intact.names)}
        if places.keys().isdisjoint(source.names):
            raise SourceError(
                f"truth {config.truth} has none of the images to complete: names there begin with "
                f"{intact.names[0]}, here with {source.names[0]}; equal names belong together."
            )
        return lambda name, _: intact[places[name]] if name in places else None
    return (lambda _, image: image) if isinstance(hole_kind, HoleKind) else None


def _load(
    source: Source,
    frame: Frame,
    hole_kind: HoleKind | HoleFiles,
    truth: Callable | None,
    index: int,
) -> _Picture | _Failure:
    name = source.names[index]
    try:
        image = source[index]
        square = data.framed(image, frame)
        intact = truth(name, image) if truth else None
        hole = None
        if isinstance(hole_kind, HoleFiles):
            hole = _framed_hole(hole_kind, name, image, frame)
        return _Picture(name, square, hole, None if intact is None else data.framed(intact, frame))
    except (ValueError, OSError) as error:
        return _Failure(name, str(error))


def _framed_hole(files: HoleFiles, name: str, image: np.ndarray, frame: Frame) -> np.ndarray:
    """A hole goes the way of its image, unless it already has the size that the network sees."""
    hole = files.for_image(name)
    if hole.shape[:2] not in (image.shape[:2], (frame.size, frame.size)):
        raise HoleError(
            f"{files.path_for(name)} is {hole.shape[1]}x{hole.shape[0]}, but image {name} is "
            f"{image.shape[1]}x{image.shape[0]}; a hole must have the size of its image."
        )
    return images.frame(
        hole, size=frame.size, box=frame.box, shorter_side=frame.shorter_side, nearest=True
    )


def _read_ahead(
    load: Callable[[int], _Picture | _Failure], todo: Sequence[int], batch_size: int
) -> Iterator[list[_Picture | _Failure]]:
    """Loaded images in groups of one batch, read and decoded ahead by threads."""
    if not todo:
        return
    threads = grain.ReadOptions(num_threads=_READERS, prefetch_buffer_size=2 * batch_size)
    loaded = iter(grain.MapDataset.source(todo).map(load).to_iter_dataset(threads))
    try:
        while group := list(itertools.islice(loaded, batch_size)):
            yield group
    finally:
        loaded.close()


def _begin(
    pictures: list[_Picture],
    config: Inpainting,
    hole_kind: HoleKind | HoleFiles,
    complete: Complete,
    size: int,
) -> _Batch:
    """Starts a batch on the devices, padded to the full size with copies of its last picture."""
    padded = pictures + [pictures[-1]] * (config.batch_size - len(pictures))
    keys = image_keys(config.seed, [picture.name for picture in padded])
    hole_key, start_key = jax.vmap(jax.random.split, out_axes=1)(keys)
    if isinstance(hole_kind, HoleKind):
        hole = np.asarray(holes.draw(hole_kind, hole_key, size=size))
    else:
        hole = np.stack([picture.hole for picture in padded if picture.hole is not None])
    photographs = images.to_float(np.stack([picture.image for picture in padded]))
    begun = time.monotonic()
    completion = complete(jnp.asarray(photographs), jnp.asarray(hole), start_key)
    return _Batch(pictures, hole[: len(pictures)], completion, begun)


def _finish(batch: _Batch, config: Inpainting) -> Iterator[_Failure | _Finished]:
    """Waits for a batch and blends it on the host."""
    count, hole = len(batch.pictures), batch.hole
    proposal, score, steps = (
        np.asarray(array)[:count]
        for array in (batch.completion.proposal, batch.completion.score, batch.completion.steps)
    )
    photographs = np.stack([picture.image for picture in batch.pictures])
    known = images.to_float(photographs)
    served = np.isfinite(score) & np.all(np.isfinite(proposal) | ~hole, axis=(1, 2, 3))
    proposal = np.where(np.isfinite(proposal), proposal, 0)
    blend = {"poisson": blending.poisson, "overlay": blending.overlay}[config.blend]
    filled = {
        method: np.where(hole, images.to_uint8(result), photographs)
        for method, result in {
            config.method: blend(known, proposal, hole),
            "laplace": blending.harmonic(known, hole),
        }.items()
    }
    truths = [picture.truth for picture in batch.pictures]
    compared = np.stack([p.image if p.truth is None else p.truth for p in batch.pictures])
    figures = {method: metrics.figures(result, compared, hole) for method, result in filled.items()}
    seconds = round((time.monotonic() - batch.begun) / count, 4)
    for i, picture in enumerate(batch.pictures):
        if not served[i]:
            reason = f"{config.method} proposes nothing for a part of this hole"
            yield _Failure(picture.name, reason)
            continue
        record = {
            "name": picture.name,
            "status": "done",
            "seconds": seconds,
            "steps": int(steps[i]),
            "score": round(float(score[i]), 4),
            "missing": round(float(hole[i].mean()), 4),
            "hole": hashlib.sha256(np.packbits(hole[i]).tobytes()).hexdigest()[:16],
            "figures": {
                method: {k: round(float(v[i]), 5) for k, v in values.items() if np.isfinite(v[i])}
                for method, values in figures.items()
                if truths[i] is not None
            },
            "note": _note(hole[i]),
        }
        seen = np.where(hole[i], np.uint8(255), picture.image)
        shown = [picture.image, seen, images.to_uint8(proposal[i])]
        shown += [result[i] for result in filled.values()]
        if truths[i] is not None:
            shown.append(truths[i])
        yield _Finished(record, filled[config.method][i], shown)


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
    holes_of = sorted(
        (record["name"], record["hole"]) for record in results.records if "hole" in record
    )
    facts = {
        "images": config.images,
        "holes": config.holes,
        "hole set": hashlib.sha256(json.dumps(holes_of).encode()).hexdigest()[:16],
        "method": config.method,
        "blend": config.blend,
        "seed": str(config.seed),
        "size": f"{frame.size}x{frame.size}",
        "device": f"{jax.device_count()} x {device.device_kind}",
        "versions": f"ce_jax {version('ce_jax')}, jax {jax.__version__}",
    }
    if trained is not None:
        facts["model"] = f"{config.model}, {trained.step} steps"
    if config.method == "latent":
        search = dataclasses.asdict(config.latent)
        facts["search"] = ", ".join(f"{name} {value}" for name, value in search.items())
    return facts
