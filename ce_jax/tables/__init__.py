"""Tables: methods on data sets over kinds of hole. Each cell is an inpainting in its own folder.

A cell that cannot begin (its model is missing, its method does not serve the hole) says so in its
place, and the others go on. What is done is kept, in cells/DATA/HOLES/METHOD of the output folder:
the same command continues.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from etils import epath

from ce_jax import data, files, metrics
from ce_jax.batch import Outcome, identity_of, inpaint
from ce_jax.config import Entry, Inpainting, Table
from ce_jax.inpainting import claims
from ce_jax.inpainting.claims import OutputError
from ce_jax.metrics import Estimate
from ce_jax.runs import loading
from ce_jax.sources import SourceError, open_source
from ce_jax.tables.export import NOT_RUN, Cell, Result, write_tables
from ce_jax.tables.report import write_page

_FILES = ("folder", "mat", "npz")


def tabulate(
    config: Table,
    *,
    stopped: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[Outcome, int]:
    """Runs every cell that is wanted and not yet done, and writes the table of all.

    Args:
        config: what is to be compared.
        stopped: asked after every batch; True ends the run, and the next one continues.
        tell: what is said of each cell before it begins, and of one that cannot.

    Returns:
        How the cells ended together, and how many could not even begin.

    Raises:
        OutputError: the output folder holds something else.
    """
    config = replace(config, output=str(files.place(config.output)))
    folder = Path(config.output)
    if folder.exists() and any(folder.iterdir()) and not (folder / "cells").is_dir():
        raise OutputError(f"{folder} holds other files; choose a new or empty --output.")
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    results = {cell: _result(cell, config) for cell in cells(config)}
    wanted = [cell for cell in results if _wanted(cell, config)]
    refused: dict[Cell, Result] = {}
    done = failed = total = ended = 0
    for number, cell in enumerate(wanted, 1):
        if stopped():
            break
        tell(f"{number} of {len(wanted)}: {cell.data}, {cell.holes}, {cell.method}")
        try:
            outcome = inpaint(cell.inpainting, stopped=stopped)
        except (ValueError, OSError) as error:
            tell(f"refused: {error}")
            results[cell] = refused[cell] = Result(cell, note=str(error))
            ended += 1
            continue
        done, failed, total = done + outcome.done, failed + outcome.failed, total + outcome.total
        ended += not outcome.stopped
        results[cell] = _result(cell, config)
        write_tables(folder, config, list(results.values()))
    # Other processes may have gone on with cells of which this one has done its part.
    ends = [refused.get(cell) or _result(cell, config) for cell in results]
    write_tables(folder, config, ends)
    write_page(folder, config, ends)
    return Outcome(done, failed, total, stopped=ended < len(wanted)), len(refused)


def cells(config: Table) -> list[Cell]:
    """All of a table, data set by data set and hole by hole."""
    return [
        Cell(entry.data, holes, entry.method, _inpainting(config, entry, holes))
        for data in dict.fromkeys(entry.data for entry in config.entries)
        for holes in config.holes
        for entry in config.entries
        if entry.data == data
    ]


def _wanted(cell: Cell, config: Table) -> bool:
    return (not config.only_data or cell.data in config.only_data) and (
        not config.only_methods or cell.method in config.only_methods
    )


def _inpainting(config: Table, entry: Entry, holes: str) -> Inpainting:
    how = entry.inpainting
    place = (_file_name(name) for name in (entry.data, holes, entry.method))
    return replace(
        how,
        images=_located(how.images, config),
        truth=how.truth and _located(how.truth, config),
        collection=how.collection and _located(how.collection, config),
        model=how.model and _within(config.models, how.model),
        guide=how.guide and _within(config.models, how.guide),
        holes=holes,
        output=str(Path(config.output, "cells", *place)),
        perceptual=config.perceptual,
        seed=config.seed,
        report_rows=config.rows,
        report_worst=config.worst,
        overwrite=config.overwrite,
    )


def _located(source: str, config: Table) -> str:
    """A source whose relative path begins where the table says."""
    scheme, _, path = source.partition(":")
    folder = {"samples": config.models} | dict.fromkeys(_FILES, config.data)
    return f"{scheme}:{_within(folder[scheme], path)}" if scheme in folder else source


def _within(folder: str, path: str) -> str:
    """A path that begins in a folder unless it begins anew; both may be in object stores."""
    return path if files.is_remote(path) else str(epath.Path(folder) / path)


def _file_name(name: str) -> str:
    """A name that can be a folder's, everywhere."""
    return "".join(c if c.isalnum() or c in "-_.," else "-" for c in name)


def _result(cell: Cell, config: Table) -> Result:
    """What the folder of a cell knows, of this run or of one before."""
    measured = cell.folder / "metrics.json"
    if not (measured.is_file() and (cell.folder / "inpainting.json").is_file()):
        return Result(cell, note=NOT_RUN)
    summary = files.json_object(measured.read_bytes())
    done = [(record["score"], record["seconds"]) for record in cell.manifest.completed()]
    records = cell.manifest.records()
    reasons = Counter(record["reason"] for record in records if record["status"] != "done")
    notes = [*_of_another(cell.inpainting)]
    notes += [f"{count} failed: {reason}" for reason, count in reasons.most_common(1)]
    notes += _contained(cell.inpainting, config)
    remarks = summary.get("remarks", {})
    notes += filter(None, [remarks.get(cell.inpainting.method)])
    found = summary["figures"].get(cell.inpainting.method, {})
    figures = {name: Estimate.from_json(estimate) for name, estimate in found.items()}
    # That of a search whose guide is part of it is compared with no other.
    if cell.inpainting.method == "latent" and cell.inpainting.guide is None:
        figures |= metrics.summary({"objective": [score for score, _ in done]})
    if seconds := [seconds for _, seconds in done]:
        low, median, high = np.percentile(seconds, [2.5, 50, 97.5])
        if len(seconds) == 1:
            low = high = np.nan
        figures["seconds"] = Estimate(float(median), float(low), float(high), len(seconds))
    return Result(
        cell,
        summary["done"],
        summary["failed"],
        "; ".join(notes),
        figures,
        summary["facts"],
        summary["captions"],
    )


def _of_another(inpainting: Inpainting) -> Iterator[str]:
    """Says with what else the results of a cell were made, before the table changed."""
    now = identity_of(inpainting)
    del now["returns"]  # said there as it was found
    changed = claims.changes(Path(inpainting.output), now)
    others = [f"{k} ({old})" for k, (old, _) in changed.items() if k.partition(".")[0] in now]
    if others:
        yield f"made with another {', '.join(others)}"


def _contained(inpainting: Inpainting, config: Table) -> Iterator[str]:
    """Says how many of the images a method has seen before, by their pixels."""
    seen = {}
    try:
        images = _digests(inpainting.images)
        if inpainting.collection is not None:
            seen["chooses from"] = _digests(inpainting.collection)
        for role, model in (
            ("trained on", inpainting.model),
            ("its guide was trained on", inpainting.guide),
        ):
            if model is not None:
                seen[role] = _learned_from(model, config)
    except ValueError as error:
        yield f"whether it has seen these images before is not known: {error}"
        return
    for how, pictures in seen.items():
        if both := len(images & pictures):
            yield f"{how} {both} of these {len(images)} images"


def _learned_from(model: str, config: Table) -> frozenset[str]:
    """What a model was trained on, as digests; raises as `open_source`.

    Of a released one what is below `config.data`, if it is there; else its card says it.
    """
    source = loading.config_of(model).data.source
    if not loading.is_released(model):
        return _digests(source)
    with suppress(SourceError):
        return _digests(_located(source, config))
    return frozenset()


@cache
def _digests(spec: str) -> frozenset[str]:
    """Hashes of the pixels of all pictures of a source that can be read, whatever their names."""
    source = open_source(spec)

    def digest(index: int) -> str | None:
        try:
            picture = source[index]
        except (ValueError, OSError):
            return None
        return hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest()

    return frozenset(data.loaded_ahead(digest, range(len(source)), buffer=64))
