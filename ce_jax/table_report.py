"""The page of a table: pictures to be compared, and figures to be sorted.

Of each data set over each kind of hole some images as every method completed them, side by side,
and the figures of all; then the worst images of each method.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ce_jax.config import Table
from ce_jax.manifest import Manifest
from ce_jax.report import Line, Row, write_report
from ce_jax.results import psnr_of
from ce_jax.table_files import Result, compared, grouped


def write_page(folder: Path, config: Table, results: Sequence[Result]) -> None:
    """Writes report.html of a table with these results."""
    groups = grouped(results)
    versions = {result.facts["versions"] for result in results if "versions" in result.facts}
    devices = {result.facts["device"] for result in results if "device" in result.facts}
    methods = dict.fromkeys(result.cell.method for result in results)
    write_report(
        folder / "report.html",
        title=config.title,
        completed=sum(result.done for result in results),
        facts={
            "seed": str(config.seed),
            "device": ", ".join(sorted(devices)),
            "versions": ", ".join(sorted(versions)),
            "seconds": "an image, median with the 2.5th and 97.5th percentile",
            **{f"holes of {caption}": _hash(group) for caption, group in groups.items()},
        },
        figures={
            caption: [Line(r.cell.method, compared(r, group), r.note) for r in group]
            for caption, group in groups.items()
        },
        rows=[row for method in methods for row in _worst(method, results, config.worst)],
        failures=[],
        examples={
            caption: list(_side_by_side(group, config.rows)) for caption, group in groups.items()
        },
    )


def _hash(group: Sequence[Result]) -> str:
    hashes = sorted({result.facts["hole set"] for result in group if "hole set" in result.facts})
    return ", ".join(hashes)


def _side_by_side(group: Sequence[Result], count: int) -> Iterator[Row]:
    """The first images that every method of a group has completed and can show."""
    shown = {result.cell.method: dict(_shown(result)) for result in group if result.done}
    common = set.intersection(*map(set, shown.values())) if shown else set()
    for name in sorted(common)[:count]:
        pictures, completions = {}, {}
        for method, rows in shown.items():
            pictures = rows[name].pictures
            psnr = rows[name].scores.get("hole/psnr", math.nan)
            known = "" if math.isnan(psnr) else f", {psnr:.1f} dB"
            completions[method + known] = pictures["completion"]
        truth = {"truth": pictures["truth"]} if "truth" in pictures else {}
        pictures = {"hole": pictures["hole"], **completions, **truth}
        yield Row(name, pictures)


def _shown(result: Result) -> Iterator[tuple[str, Row]]:
    """The images of a cell that have a panel, by name."""
    manifest = Manifest(Path(result.cell.inpainting.output))
    for record in _completed(result):
        if row := manifest.row(record, result.captions):
            yield row.name, row


def _worst(method: str, results: Sequence[Result], count: int) -> Iterator[Row]:
    """The images that a method completed worst, in whichever cell."""
    found = (
        (psnr_of(record), record["name"], number, record)
        for number, result in enumerate(results)
        if result.cell.method == method
        for record in _completed(result)
    )
    for _, _, number, record in heapq.nsmallest(count, found):
        result = results[number]
        manifest = Manifest(Path(result.cell.inpainting.output))
        where = f"{result.cell.data}, {result.cell.holes}, {method}"
        row = manifest.row(record | {"note": where}, result.captions, group=method)
        if row is not None:
            yield row


def _completed(result: Result) -> Iterator[dict[str, Any]]:
    """What the manifest of a cell says of the images that it has completed."""
    manifest = Manifest(Path(result.cell.inpainting.output))
    for line in manifest.find().values():
        record = manifest.at(line)
        if record["status"] == "done":
            yield record
