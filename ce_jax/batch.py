"""Inpainting a whole data set: plan, decode ahead, complete on the devices, blend and write."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from ce_jax import config as configuration
from ce_jax import data, files, sharding
from ce_jax.completion.framing import frame_of
from ce_jax.config import ConfigError, Inpainting
from ce_jax.holes import hole_files
from ce_jax.holes.hole_files import HoleFiles
from ce_jax.holes.hole_sets import HoleSet, hash_of_set
from ce_jax.inpainting import loop, packing, perceptual, planning, shards
from ce_jax.inpainting.finishing import Finished, captions_of, finish
from ce_jax.inpainting.manifest import Manifest
from ce_jax.inpainting.pairing import Failure, Pairing, Picture, pair, read_ahead
from ce_jax.inpainting.perceptual import Perception, SetFigures, measure_set
from ce_jax.inpainting.planning import evenly
from ce_jax.inpainting.results import Results
from ce_jax.inpainting.returning import writer
from ce_jax.inpainting.shards import WHOLE, Shard
from ce_jax.metrics import RESAMPLES
from ce_jax.runs import loading
from ce_jax.sources import keep_apart, open_source
from ce_jax.state import Trained

# LPIPS is part of what is kept of an image: its weights are told by their content.
_NOT_IDENTITY = (
    *("perceptual", "output", "output_format", "overwrite", "shard"),
    *("report_rows", "report_worst"),
)

# Trails are to look at: those of a few of the images shown.
_TRAILED_IMAGES = 4
_FAILURES_TOLD = 3
_Tell = Callable[[str], None]


class Outcome(NamedTuple):
    """How an inpainting ended: counts of images, and whether it was stopped before the last."""

    done: int
    failed: int
    total: int
    stopped: bool


def inpaint(
    config: Inpainting,
    *,
    stopped: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Completes every image of `config.images` into `config.output`; what is done there is kept.

    An image that cannot be read or completed is noted in the manifest, and the others go on. With
    a shard, the outcome is that of its own images.

    Args:
        config: what is to be done.
        stopped: asked after every batch; True ends the run, and the next one continues.
        tell: is told the plan before the work begins, line by line, and why the first images fail.

    Raises:
        ConfigError, SourceError, HoleError, CheckpointError, FeatureFileError, OutputError,
            DeviceError: nothing can begin.
    """
    job = _prepare(dataclasses.replace(config, output=str(files.place(config.output))))
    with _claim(job) as results:
        todo = _plan(job, results, tell)
        kept = _complete(job, results, todo, stopped, tell)
        # Who is asked to stop is soon ended: there is no time for intervals.
        _sum_up(job, results, resamples=0 if kept < len(todo) else RESAMPLES)
    own = [job.names[index] for index in job.own]
    done, tried = sum(map(results.is_done, own)), sum(map(results.is_tried, own))
    return Outcome(done, tried - done, len(own), kept < len(todo))


@dataclasses.dataclass(frozen=True)
class _Job:
    """What is to be done, and everything that it takes, found to be there."""

    config: Inpainting
    shard: Shard
    trained: Trained | None
    work: loop.Work
    perception: Perception
    pairing: Pairing

    @property
    def names(self) -> Sequence[str]:
        """The images, of all shards."""
        return self.pairing.source.names

    @cached_property
    def own(self) -> list[int]:
        """The indices of those of this shard."""
        return [index for index, name in enumerate(self.names) if self.shard.has(name)]

    @cached_property
    def shown(self) -> list[str]:
        """Those that the report shows, whatever becomes of them."""
        return evenly(self.names, self.config.report_rows)


def _prepare(config: Inpainting) -> _Job:
    """Opens the images, their holes and the networks; raises what `inpaint` does."""
    mesh, shard = sharding.make_mesh(jax.local_devices()), shards.of(config.shard)
    sharding.check_batch(config.batch_size, mesh)
    if config.output_format == "array_record":
        packing.check(Path(config.output))
    source = open_source(config.images)
    for spec in filter(None, (config.images, config.collection)):
        keep_apart(spec, Path(config.output))
    holes = hole_files.resolve(config.holes, seed=config.seed)
    trained = loading.networks_of(config)
    frame = frame_of(config, trained)
    drawn = holes if isinstance(holes, HoleSet) else None
    if drawn is not None:
        drawn.check(size=frame.size)
    method = loop.build(config, trained, mesh, holes=drawn)
    work = loop.work_of(method, config, drawn, size=frame.size)
    whole = _returns_photographs(config, holes)
    perception = perceptual.load(config.perceptual, mesh, batch_size=config.batch_size)
    if config.frame is None:  # it is the model's
        data.warn_of_box(source, frame, option="--frame.box")
    pairing = pair(config, source, frame, holes, whole=whole)
    return _Job(config, shard, trained, work, perception, pairing)


def identity_of(config: Inpainting) -> dict[str, Any]:
    """What of a config its results depend on, as JSON types."""
    fields = configuration.to_dict(config)
    return {name: value for name, value in fields.items() if name not in _NOT_IDENTITY}


def _claim(job: _Job) -> Results:
    """The output folder, with what was done there before by the same job."""
    config, trained = job.config, job.trained
    guide = trained.guide if trained else None
    identity = identity_of(config) | {
        "model_step": trained.step if trained else None,
        "model_sha256": trained.sha256 if trained else None,
        "guide_step": guide.step if guide else None,
        "guide_sha256": guide.sha256 if guide else None,
        "lpips": job.perception.weights_of_lpips,
        "returns": "photograph" if job.pairing.whole else None,
    }
    return Results(
        Path(config.output),
        identity,
        job.names,
        shown=job.shown,
        worst=config.report_worst,
        overwrite=config.overwrite,
        shard=job.shard,
        is_current=job.pairing.is_current,
    )


def _plan(job: _Job, results: Results, tell: _Tell) -> list[int]:
    """Says what is to be done, if there is room for it; the indices of its images."""
    pairing = job.pairing
    todo = [index for index in job.own if not results.is_done(job.names[index])]
    needed = planning.needed(pairing, todo, shown=len(job.shown))
    planning.check_room(results.folder, needed)
    for line in planning.lines(pairing, results, todo, needed=needed, shard=job.shard):
        tell(line)
    return todo


def _complete(
    job: _Job, results: Results, todo: Sequence[int], stopped: Callable[[], bool], tell: _Tell
) -> int:
    """Sees the images through, or some of them until it is stopped; returns how many."""
    config, total, first = job.config, len(job.own), iter(range(_FAILURES_TOLD))
    trailed = evenly(job.shown, _TRAILED_IMAGES)
    finished = partial(finish, config=config, trailed=trailed, compare=job.perception.compare)
    with tqdm(total=total, initial=total - len(todo), unit="image") as bar:

        def keep(one: Finished | Failure) -> None:
            if isinstance(one, Failure):
                results.fail(one)
                if next(first, None) is not None:
                    with tqdm.external_write_mode():
                        tell(f"failed: {one.name}: {one.reason}")
            else:
                results.add(one, write=writer(job.pairing, one.picture, blend=config.blend))
            bar.update()

        through = loop.Loop(config, job.work, finished, keep, results.commit)
        groups = read_ahead(job.pairing.load, todo, batch_size=config.batch_size)
        return through.run(groups, stopped)


def _sum_up(job: _Job, results: Results, *, resamples: int) -> None:
    """Writes what becomes of all images together; a shard leaves that to the last one."""
    config, all_tried = job.config, results.refresh()
    if all_tried or job.shard == WHOLE:
        results.summarise(
            _facts(job, results) | dict(job.perception.facts),
            captions_of(config),
            title=f"{config.holes} holes, {config.method}",
            of_set=_of_set(job, results) if all_tried else None,
            resamples=resamples,
        )
    if config.output_format == "array_record" and all_tried and job.shard == WHOLE:
        packing.pack(Manifest(results.folder), results.records())


def _of_set(job: _Job, results: Results) -> SetFigures | None:
    """FID and KID of all that is done; of no other images than before, as they were written."""
    config, perception = job.config, job.perception
    if perception.describe is None:
        return None
    names = {record["name"] for record in results.records() if record.get("figures")}
    before = perceptual.as_written(
        results.folder, results.records(), config.method, perception.facts, count=len(names)
    )
    if before is not None:
        return before

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        todo = [index for index, name in enumerate(job.names) if name in names]
        for loaded in read_ahead(job.pairing.load, todo, batch_size=config.batch_size):
            truths = {one.name: one.truth for one in loaded if isinstance(one, Picture)}
            truths = {name: truth for name, truth in truths.items() if truth is not None}
            if truths:
                completions = np.stack([results.completion(name) for name in truths])
                yield completions, np.stack(list(truths.values()))

    return measure_set(config.method, perception.describe, pairs(), most=len(names))


def _returns_photographs(config: Inpainting, holes: HoleSet | HoleFiles) -> bool:
    """Whether whole photographs are wanted, which need holes of their own size.

    Raises:
        ConfigError: they are wanted, and the holes are not files.
    """
    in_files = isinstance(holes, HoleFiles)
    if config.returns is None:
        return in_files and config.truth is None and config.frame is None
    if config.returns == "photograph" and not in_files:
        raise ConfigError(
            f"returns is photograph, but holes are {config.holes}, drawn for what the network "
            "sees; name hole files, or --returns square."
        )
    return config.returns == "photograph"


def _facts(job: _Job, results: Results) -> dict[str, str]:
    """What was run, for the report: enough to run it again."""
    config, trained, size = job.config, job.trained, job.pairing.frame.size
    device = jax.local_devices()[0]
    hashes = {record["name"]: record["hole"] for record in results.records() if "hole" in record}
    facts = {
        "images": config.images,
        "holes": config.holes,
        "hole set": hash_of_set(hashes),
        "method": config.method,
        "blend": config.blend,
        "seed": str(config.seed),
        "size": f"{size}x{size}",
        "device": f"{jax.local_device_count()} x {device.device_kind}",
        "versions": f"ce_jax {version('ce_jax')}, jax {jax.__version__}",
    }
    guide = trained.guide if trained else None
    for role, name, networks in (("model", config.model, trained), ("guide", config.guide, guide)):
        if networks is not None:
            steps = f", {networks.step} steps" if networks.step else ""
            facts[role] = f"{name}{steps}"
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
        fields = configuration.flat(dataclasses.asdict(chosen))
        facts[name] = ", ".join(f"{field} {value}" for field, value in fields.items())
    return facts
