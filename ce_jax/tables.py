"""Tables: methods on data sets over kinds of hole. Each cell is an inpainting in its own folder.

cells/DATA/HOLES/METHOD/   the inpainting of a cell, as `batch.inpaint` leaves it
table.json                 all cells: figures with their intervals, seconds, what failed and why
table.csv                  the same, a line for each cell
table.md                   the same, to be read in a text
report.html                the same, to be sorted, with the worst images of each method

A cell that cannot begin (its model is missing, its method does not serve the hole) says so in its
place, and the others go on. What is done is kept: the same command continues.
"""

import csv
import heapq
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ce_jax import checkpointing, files
from ce_jax.batch import Outcome, inpaint
from ce_jax.config import Entry, Inpainting, Table
from ce_jax.manifest import Manifest, json_object
from ce_jax.metrics import Estimate
from ce_jax.report import Line, Row, write_report
from ce_jax.results import OutputError, psnr_of
from ce_jax.sources import digests, open_source

_FILES = ("folder", "mat", "npz")
_NOT_RUN = "not run yet"

# What the text table shows of each figure: its heading, its factor, its decimals.
_SHOWN = {"psnr": ("PSNR", 1, 2), "ssim": ("SSIM", 1, 3), "l1": ("L1, %", 100, 2)}
_SHOWN["l2"] = ("L2, %", 100, 2)


class Cell(NamedTuple):
    """An entry over one kind of hole, ready to be run."""

    data: str
    holes: str
    method: str
    inpainting: Inpainting


class Result(NamedTuple):
    """What has come of a cell so far.

    Attributes:
        cell: which one.
        done: how many images have a completion.
        failed: how many have none.
        note: what went wrong, in a sentence; empty where nothing did.
        figures: means with their intervals, and `seconds`, the median with the 2.5th and the 97.5th
            percentile of what an image took.
        facts: what was run, the hash of the holes among it.
        captions: of the pictures in its panels.
    """

    cell: Cell
    done: int = 0
    failed: int = 0
    note: str = ""
    figures: Mapping[str, Estimate] = MappingProxyType({})
    facts: Mapping[str, str] = MappingProxyType({})
    captions: Sequence[str] = ()


def tabulate(config: Table, *, stopped: Callable[[], bool] = lambda: False) -> Outcome:
    """Runs every cell that is wanted and not yet done, and writes the table of all.

    Raises:
        OutputError: the output folder holds something else.
    """
    folder = Path(config.output)
    if folder.exists() and any(folder.iterdir()) and not (folder / "cells").is_dir():
        raise OutputError(f"{folder} holds other files; choose a new or empty --output.")
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    refused: dict[Cell, str] = {}
    done = failed = total = 0
    for cell in cells(config):
        if not _wanted(cell, config) or stopped():
            continue
        try:
            outcome = inpaint(cell.inpainting, stopped=stopped)
        except (ValueError, OSError) as error:
            refused[cell] = str(error)
            failed, total = failed + 1, total + 1
            continue
        done, failed, total = (done + outcome.done, failed + outcome.failed, total + outcome.total)
        _write_tables(folder, config, [_result(one, refused) for one in cells(config)])
    results = [_result(cell, refused) for cell in cells(config)]
    _write_tables(folder, config, results)
    _write_page(folder, config, results)
    return Outcome(done, failed, total, stopped())


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
    def located(source: str) -> str:
        scheme, _, path = source.partition(":")
        return f"{scheme}:{PurePath(config.data, path)}" if scheme in _FILES else source

    how = entry.inpainting
    place = (_file_name(name) for name in (entry.data, holes, entry.method))
    return replace(
        how,
        images=located(how.images),
        truth=None if how.truth is None else located(how.truth),
        collection=None if how.collection is None else located(how.collection),
        model=None if how.model is None else str(PurePath(config.models, how.model)),
        holes=holes,
        output=str(Path(config.output, "cells", *place)),
        seed=config.seed,
        report_rows=0,
        report_worst=config.worst,
        overwrite=config.overwrite,
    )


def _file_name(name: str) -> str:
    """A name that can be a folder's, everywhere."""
    return "".join(c if c.isalnum() or c in "-_.," else "-" for c in name)


def _result(cell: Cell, refused: dict[Cell, str]) -> Result:
    """What the folder of a cell knows, of this run or of one before."""
    folder = Path(cell.inpainting.output)
    metrics = folder / "metrics.json"
    if cell in refused or not metrics.is_file():
        return Result(cell, note=refused.get(cell, _NOT_RUN))
    summary = json_object(metrics.read_text(encoding="utf-8"))
    records = list(Manifest(folder).read().values())
    reasons = Counter(record["reason"] for record in records if record["status"] != "done")
    notes = [f"{count} failed: {reason}" for reason, count in reasons.most_common(1)]
    notes += _contained(cell.inpainting)
    found = summary["figures"].get(cell.inpainting.method, {})
    figures = {name: Estimate(**estimate) for name, estimate in found.items()}
    seconds = [record["seconds"] for record in records if record["status"] == "done"]
    if seconds:
        low, median, high = np.percentile(seconds, [2.5, 50, 97.5])
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


def _contained(inpainting: Inpainting) -> Iterator[str]:
    """Says how many of the images a method has seen before, by their pixels."""
    try:
        seen = {}
        if inpainting.model is not None:
            training = checkpointing.read_config(Path(inpainting.model))
            seen["trained on"] = _all_digests(training.data.source)
        if inpainting.collection is not None:
            seen["chooses from"] = _all_digests(inpainting.collection)
        images = _all_digests(inpainting.images)
    except ValueError as error:
        yield f"whether it has seen these images before is not known: {error}"
        return
    for how, pictures in seen.items():
        if both := len(images & pictures):
            yield f"{how} {both} of these {len(images)} images"


@cache
def _all_digests(source: str) -> frozenset[str]:
    return frozenset(digest for digest in digests(open_source(source)) if digest)


def _write_tables(folder: Path, config: Table, results: Sequence[Result]) -> None:
    files.write_text(folder / "table.json", json.dumps(_as_json(config, results), indent=2) + "\n")
    files.write_text(folder / "table.csv", _as_csv(results))
    files.write_text(folder / "table.md", _as_markdown(config, results))


def _as_json(config: Table, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "title": config.title,
        "seed": config.seed,
        "cells": [
            {
                **{name: getattr(result.cell, name) for name in ("data", "holes", "method")},
                "images": result.cell.inpainting.images,
                "done": result.done,
                "failed": result.failed,
                "note": result.note,
                "figures": {name: one._asdict() for name, one in result.figures.items()},
                "facts": dict(result.facts),
                "folder": str(Path(result.cell.inpainting.output).relative_to(config.output)),
            }
            for result in results
        ],
    }


def _as_csv(results: Sequence[Result]) -> str:
    names = list(dict.fromkeys(name for result in results for name in result.figures))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    bounds = (column for name in names for column in (name, f"{name}/low", f"{name}/high"))
    writer.writerow(["data", "holes", "method", "done", "failed", *bounds, "hole set", "note"])
    for result in results:
        figures = [
            value
            for name in names
            for value in (result.figures[name][:3] if name in result.figures else ("", "", ""))
        ]
        cell, hashed = result.cell, result.facts.get("hole set", "")
        row = [cell.data, cell.holes, cell.method, result.done, result.failed, *figures]
        writer.writerow([*row, hashed, result.note])
    return text.getvalue()


def _as_markdown(config: Table, results: Sequence[Result]) -> str:
    lines = [f"# {config.title}"]
    for caption, group in _grouped(results).items():
        hashes = {result.facts["hole set"] for result in group if "hole set" in result.facts}
        lines += ["", f"## {caption}", "", f"Hole set {' and '.join(sorted(hashes)) or 'unknown'}."]
        regions = [f"{region} {_SHOWN[m][0]}" for region in ("hole", "image") for m in _SHOWN]
        header = ["method", "n", *regions, "s / image"]
        lines += ["", f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
        lines += [f"| {' | '.join(_markdown_cells(result))} |" for result in group]
        lines += ["", *(f"- {r.cell.method}: {r.note}" for r in group if r.note)]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_cells(result: Result) -> list[str]:
    def shown(name: str) -> str:
        if name not in result.figures:
            return "–"
        _, factor, decimals = _SHOWN[name.partition("/")[2]]
        mean, low, high = (f"{factor * x:.{decimals}f}" for x in result.figures[name][:3])
        return f"{mean} ({low}–{high})" if name.startswith("hole") else mean

    figures = [shown(f"{region}/{measure}") for region in ("hole", "image") for measure in _SHOWN]
    seconds = result.figures.get("seconds")
    return [
        result.cell.method,
        str(result.done),
        *figures,
        f"{seconds.mean:.3g}" if seconds else "–",
    ]


def _write_page(folder: Path, config: Table, results: Sequence[Result]) -> None:
    done = sum(result.done for result in results)
    lines = {
        caption: [Line(r.cell.method, r.figures, r.note) for r in group]
        for caption, group in _grouped(results).items()
    }
    hashes = {f"holes of {caption}": _hash(group) for caption, group in _grouped(results).items()}
    versions = {result.facts["versions"] for result in results if "versions" in result.facts}
    devices = {result.facts["device"] for result in results if "device" in result.facts}
    write_report(
        folder / "report.html",
        title=config.title,
        completed=done,
        facts={
            "seed": str(config.seed),
            "device": ", ".join(sorted(devices)),
            "versions": ", ".join(sorted(versions)),
            "seconds": "an image, median with the 2.5th and 97.5th percentile",
            **hashes,
        },
        figures=lines,
        rows=[row for method in _methods(results) for row in _worst(method, config, results)],
        failures=[],
    )


def _hash(group: Sequence[Result]) -> str:
    hashes = sorted({result.facts["hole set"] for result in group if "hole set" in result.facts})
    return ", ".join(hashes)


def _methods(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(result.cell.method for result in results))


def _worst(method: str, config: Table, results: Sequence[Result]) -> Iterator[Row]:
    """The images that a method completed worst, in whichever cell."""
    found = [
        (psnr_of(record), str(record["name"]), number)
        for number, result in enumerate(results)
        if result.cell.method == method
        for record in Manifest(Path(result.cell.inpainting.output)).read().values()
        if record["status"] == "done"
    ]
    for _, name, number in heapq.nsmallest(config.worst, found):
        cell, captions = results[number].cell, results[number].captions
        manifest = Manifest(Path(cell.inpainting.output))
        record = manifest.read()[name]
        where = f"{cell.data}, {cell.holes}, {method}"
        row = manifest.row(record | {"note": where}, captions, group=method)
        if row is not None:
            yield row


def _grouped(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The lines of each table of which something has been run, by its caption."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(f"{result.cell.data}, {result.cell.holes}", []).append(result)
    return {
        caption: group
        for caption, group in groups.items()
        if any(result.note != _NOT_RUN for result in group)
    }
