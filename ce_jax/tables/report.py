"""The page of a table: pictures to be compared, and figures to be sorted.

Of each data set over each kind of hole some images as every method completed them, side by side,
and the figures of all; then the worst images of each method.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from ce_jax.config import Table
from ce_jax.inpainting.manifest import Record
from ce_jax.inpainting.planning import evenly
from ce_jax.inpainting.report import Line, Row, row_of, write_report
from ce_jax.inpainting.results import psnr_of
from ce_jax.tables.export import Result, compared, grouped, told


def write_page(folder: Path, config: Table, results: Sequence[Result]) -> None:
    """Writes report.html of a table with these results."""
    groups = grouped(results)
    methods = dict.fromkeys(result.cell.method for result in results)
    write_report(
        folder / "report.html",
        title=config.title,
        completed=sum(result.done for result in results),
        facts={
            "seed": str(config.seed),
            "device": ", ".join(told(results, "device")),
            "versions": ", ".join(told(results, "versions")),
            "seconds": "an image, median with the 2.5th and 97.5th percentile",
            **{f"holes of {one}": ", ".join(told(groups[one], "hole set")) for one in groups},
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


def _side_by_side(group: Sequence[Result], count: int) -> Iterator[Row]:
    """Some images as every method of a group has completed them, taken evenly from all.

    In the place of one that some method has not completed stands another that all can show: there
    are panels besides of the worst images, and of those that were so while little was done.
    """
    tried = {one["name"] for result in group for one in result.cell.manifest.records()}
    asked_for = evenly(sorted(tried), count)
    able = [(result, _with_panel(result)) for result in group if result.done]
    common = set.intersection(*(set(records) for _, records in able)) if able else set()
    taken = sorted(common, key=lambda name: (name not in asked_for, name))[:count]
    for name in sorted(taken):
        pictures, completions = {}, {}
        for result, records in able:
            row = row_of(result.cell.manifest, records[name], result.captions)
            assert row is not None  # it has a panel
            pictures = row.pictures
            psnr = row.scores.get("hole/psnr", math.nan)
            known = "" if math.isnan(psnr) else f", {psnr:.1f} dB"
            completions[result.cell.method + known] = pictures["completion"]
        truth = {"truth": pictures["truth"]} if "truth" in pictures else {}
        pictures = {"hole": pictures["hole"], **completions, **truth}
        yield Row(name, pictures)


def _with_panel(result: Result) -> dict[str, Record]:
    """What is said of the images of a cell that have a panel, by name."""
    manifest = result.cell.manifest
    return {
        record["name"]: record
        for record in manifest.completed()
        if manifest.file("panels", record["name"]).is_file()
    }


def _worst(method: str, results: Sequence[Result], count: int) -> Iterator[Row]:
    """The images that a method completed worst, in whichever cell."""
    found = (
        (psnr_of(record), record["name"], number, record)
        for number, result in enumerate(results)
        if result.cell.method == method
        for record in result.cell.manifest.completed()
    )
    for _, _, number, record in heapq.nsmallest(count, found):
        cell, captions = results[number].cell, results[number].captions
        noted = {**record, "note": f"{cell.data}, {cell.holes}, {method}"}
        if row := row_of(cell.manifest, noted, captions, group=method):
            yield row
