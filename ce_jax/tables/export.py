"""A table in files: for programs, for spreadsheets, and to be read in a text.

table.json    all cells: figures with their intervals, seconds, what failed and why
table.csv     the same, a line for each cell
table.md      the same, to be read in a text
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ce_jax import files
from ce_jax.config import Inpainting, Table
from ce_jax.inpainting.manifest import Manifest
from ce_jax.metrics import Estimate

NOT_RUN = "not run yet"
"""The note of a result of a cell that nobody has begun."""

# What the text table shows of each figure: its heading, its factor, its decimals.
_OF_PIXELS = {
    "psnr": ("PSNR", 1, 2),
    "ssim": ("SSIM", 1, 3),
    "l1": ("L1, %", 100, 2),
    "l2": ("L2, %", 100, 2),
}
_SHOWN = {
    **_OF_PIXELS,
    "lpips": ("LPIPS", 1, 4),
    "fid": ("FID", 1, 2),
    "kid": ("KID", 1, 5),
    "objective": ("objective", 1, 2),
}
_ALWAYS = tuple(f"{region}/{measure}" for region in ("hole", "image") for measure in _OF_PIXELS)
_WHERE_MEASURED = ("image/lpips", "set/fid", "set/kid", "objective")

# What else than the networks makes the objective of a latent search.
_OBJECTIVE = ("prior", "prior_form", "norm", "weighting", "window", "choose", "held_out")


class Cell(NamedTuple):
    """An entry over one kind of hole, ready to be run."""

    data: str
    holes: str
    method: str
    inpainting: Inpainting

    @property
    def folder(self) -> Path:
        """Where its inpainting keeps everything."""
        return Path(self.inpainting.output)

    @property
    def manifest(self) -> Manifest:
        """What is said there of every image."""
        return Manifest(self.folder)


class Result(NamedTuple):
    """What has come of a cell so far.

    Attributes:
        cell: which one.
        done: how many images have a completion.
        failed: how many have none.
        note: what went wrong, in a sentence; empty where nothing did.
        figures: means with their intervals, of searches `objective` among them; and `seconds`, the
            median with the 2.5th and the 97.5th percentile of what an image took.
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


def write_tables(folder: Path, config: Table, results: Sequence[Result]) -> None:
    """Writes table.json, table.csv and table.md."""
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
                "figures": {name: one.to_json() for name, one in result.figures.items()},
                "facts": dict(result.facts),
                "folder": str(result.cell.folder.relative_to(config.output)),
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
        figures = [value for name in names for value in _bounds(result.figures.get(name))]
        cell, hashed = result.cell, result.facts.get("hole set", "")
        row = [cell.data, cell.holes, cell.method, result.done, result.failed, *figures]
        writer.writerow([*row, hashed, result.note])
    return text.getvalue()


def _bounds(estimate: Estimate | None) -> list[float | str]:
    """A figure and its interval, empty where there is none."""
    values = estimate[:3] if estimate else (math.nan,) * 3
    return ["" if math.isnan(value) else value for value in values]


def _as_markdown(config: Table, results: Sequence[Result]) -> str:
    lines = [f"# {config.title}"]
    for caption, group in grouped(results).items():
        hashes = " and ".join(told(group, "hole set")) or "unknown"
        lines += ["", f"## {caption}", "", f"Hole set {hashes}."]
        measured = {name for result in group for name in compared(result, group)}
        names = [*_ALWAYS, *(name for name in _WHERE_MEASURED if name in measured)]
        header = ["method", "n", *map(_heading, names), "s / image"]
        lines += ["", f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
        lines += [f"| {' | '.join(_markdown_cells(result, names))} |" for result in group]
        lines += ["", *(f"- {r.cell.method}: {r.note}" for r in group if r.note)]
    return "\n".join(lines).rstrip() + "\n"


def _heading(name: str) -> str:
    *region, measure = name.split("/")
    return " ".join([*region, _SHOWN[measure][0]])


def _markdown_cells(result: Result, names: Sequence[str]) -> list[str]:
    def shown(name: str) -> str:
        if name not in result.figures or math.isnan(result.figures[name].mean):
            return "–"
        _, factor, decimals = _SHOWN[name.rpartition("/")[2]]
        mean, low, high = (f"{factor * x:.{decimals}f}" for x in result.figures[name][:3])
        interval = name.startswith("hole") and result.figures[name].n > 1
        return f"{mean} ({low}–{high})" if interval else mean

    seconds = result.figures.get("seconds")
    return [
        result.cell.method,
        str(result.done),
        *map(shown, names),
        f"{seconds.mean:.3g}" if seconds else "–",
    ]


def grouped(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The lines of each table of which something has been run, by its caption."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(f"{result.cell.data}, {result.cell.holes}", []).append(result)
    return {
        caption: group
        for caption, group in groups.items()
        if any(result.note != NOT_RUN for result in group)
    }


def told(results: Sequence[Result], fact: str) -> list[str]:
    """What the results say of something, in order and each different word once."""
    return sorted({result.facts[fact] for result in results if fact in result.facts})


def compared(result: Result, group: Sequence[Result]) -> dict[str, Estimate]:
    """The figures of a line; the objective of searches only where there are several with one."""
    searches = [other.cell.inpainting.latent for other in group if "objective" in other.figures]
    objectives = {tuple(getattr(search, part) for part in _OBJECTIVE) for search in searches}
    shown = len(searches) > 1 and len(objectives) == 1
    return {k: v for k, v in result.figures.items() if k != "objective" or shown}
