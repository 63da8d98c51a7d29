"""The report: one HTML page to look at completions, with the figures beside the pictures.

The page is complete in itself, pictures included: it can be moved, mailed and opened without a
network. Figures are called `REGION/MEASURE`, such as `hole/psnr`.
"""

import dataclasses
import io
import itertools
import math
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from ce_jax import images, pages
from ce_jax.inpainting.manifest import Manifest, Record
from ce_jax.metrics import Estimate

_LABELS = {"psnr": "PSNR", "ssim": "SSIM", "l1": "L1", "l2": "L2"}
_LABELS |= {"lpips": "LPIPS", "fid": "FID", "kid": "KID"}
_DECIMALS = {"psnr": 2, "ssim": 3, "l1": 4, "l2": 4, "context": 2, "prior": 5}
_DECIMALS |= {"lpips": 4, "fid": 2, "kid": 5}
_MORE_IS_BETTER = ("psnr", "ssim")
_ERROR_TIMES = 2  # Yeh et al. 2017, figure 12

# Sides in pixels on the page: small pictures are enlarged by a whole factor, large ones shrunk.
_ENLARGE_TO = 128
_SHRINK_TO = 256

# Sides of the drawing of a trail in its own units, and what stays empty around it.
_PLOT, _MARGIN = (320, 240), 16


@dataclasses.dataclass(frozen=True)
class Trail:
    """How a search came to an image, start by start, the best first.

    Attributes:
        steps: [n], at which it was looked at.
        strips: PNG files as bytes, [shown][n]; of all starts, or of the best alone.
        context: [starts][n], the context loss there.
        prior: [starts][n], the weighted prior loss there.
        plane: [starts][points][2], the way of z in the plane of its two leading principal
            components.
        share: of the variance of z that this plane holds.
    """

    steps: Sequence[int]
    strips: Sequence[Sequence[bytes]]
    context: Sequence[Sequence[float]]
    prior: Sequence[Sequence[float]]
    plane: Sequence[Sequence[Sequence[float]]]
    share: float


@dataclasses.dataclass(frozen=True)
class Row:
    """One image and everything the report shows of it.

    Attributes:
        name: of the image.
        pictures: PNG files as bytes, by caption, in the order in which they are shown.
        note: one line about this image.
        scores: its figures; the rows of a report can be sorted by any of them.
        trail: how a search came there.
        group: what it belongs to; the reader can look at one group of rows at a time.
    """

    name: str
    pictures: Mapping[str, bytes]
    note: str = ""
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    trail: Trail | None = None
    group: str = ""


class Line(NamedTuple):
    """What a table says of a method: its mean figures, by name, and a remark on what is missing."""

    method: str
    figures: Mapping[str, Estimate]
    note: str = ""


def row_of(
    manifest: Manifest, record: Record, captions: Sequence[str], *, group: str = ""
) -> Row | None:
    """What a report shows of an image; None without its panel.

    Args:
        manifest: of its folder.
        record: its line.
        captions: of the pictures in its panel; the truth, which comes last, may be missing.
        group: what the row belongs to.
    """
    file = manifest.file("panels", record["name"])
    if not file.is_file():
        return None
    panel = images.read(file)
    pictures = np.split(panel, panel.shape[1] // panel.shape[0], axis=1)
    pictures = dict(zip(captions, pictures, strict=False))
    if "truth" in pictures:
        error = np.abs(pictures["completion"].astype(int) - pictures["truth"])
        error = np.minimum(_ERROR_TIMES * error, 255).astype(np.uint8)
        pictures[f"error, {_ERROR_TIMES} times"] = error
    # Without a search there is no objective to show.
    objective = {"score": record["score"]} if record["steps"] else {}
    return Row(
        name=record["name"],
        pictures={caption: _png(picture) for caption, picture in pictures.items()},
        note=record.get("note", ""),
        scores={**objective, **next(iter(record["figures"].values()), {})},
        trail=_trail(manifest, record),
        group=group,
    )


def _trail(manifest: Manifest, record: Record) -> Trail | None:
    file = manifest.file("trails", record["name"])
    if "trail" not in record or not file.is_file():
        return None
    sheet = images.read(file)
    columns = len(record["trail"]["steps"])
    rows = np.split(sheet, sheet.shape[0] * columns // sheet.shape[1])
    strips = [[_png(picture) for picture in np.split(row, columns, axis=1)] for row in rows]
    return Trail(strips=strips, **record["trail"])


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write_report(
    path: str | os.PathLike,
    *,
    title: str,
    completed: int,
    facts: Mapping[str, str],
    figures: Mapping[str, Sequence[Line]],
    rows: Sequence[Row],
    failures: Sequence[tuple[str, str]],
    examples: Mapping[str, Sequence[Row]] | None = None,
) -> None:
    """Write what was run, how good it was, every image, and what failed, as one HTML page.

    The best of each column of a table is marked: the highest PSNR and SSIM, the lowest of all
    others, among the lines over the most images. The file appears whole or not at all; an existing
    one is replaced.

    Args:
        path: of the page; its folder is created.
        title: of the page.
        completed: how many images have a result; `rows` may show fewer.
        facts: what was run (command, model, holes, seed, versions, ...), in the order shown.
        figures: tables by their captions, each of one line per method.
        rows: one per image.
        failures: the name of every image that was not completed, and the reason.
        examples: images that a table is shown with, by its caption.
    """
    lines = [line for table in figures.values() for line in table]
    columns = _columns(key for line in lines for key in line.figures)
    content = {
        "title": title,
        "completed": completed,
        "facts": facts,
        "figures": figures,
        "examples": examples or {},
        "columns": columns,
        "best": {
            caption: {one.name: _best(table, one) for group in columns.values() for one in group}
            for caption, table in figures.items()
        },
        "rows": rows,
        "groups": [group for group in dict.fromkeys(row.group for row in rows) if group],
        "plot": _PLOT,
        "scores": _columns(key for row in rows for key in row.scores),
        "failures": failures,
        "number": _number,
        "picture": _picture,
        "value": _value,
        "drawing": _drawing,
    }
    pages.write(path, "report.html", content)


class _Column(NamedTuple):
    name: str
    measure: str
    label: str
    more_is_better: bool


def _columns(names: Iterable[str]) -> dict[str, list[_Column]]:
    """The columns by region, both in the order in which they first appear."""
    regions = {}
    for name in dict.fromkeys(names):
        region, _, measure = name.rpartition("/")
        label, more_is_better = _LABELS.get(measure, measure), measure in _MORE_IS_BETTER
        regions.setdefault(region, []).append(_Column(name, measure, label, more_is_better))
    return regions


def _best(table: Sequence[Line], column: _Column) -> float:
    """The best mean of a column; nan, which equals no mean, where there is nothing to compare.

    Of means over as many images as any: who served only the easy ones is not compared with others.
    """
    estimates = [line.figures.get(column.name) for line in table]
    numbers = [one.n for one in estimates if one is not None]
    means = [one.mean for one in estimates if one is not None and one.n == max(numbers) > 0]
    if len(means) < 2:
        return math.nan
    return max(means) if column.more_is_better else min(means)


class _Picture(NamedTuple):
    source: str
    width: int
    height: int
    pixelated: bool


def _picture(png: bytes) -> _Picture:
    """A picture as a data: URI, with the size in which it is shown."""
    width, height = struct.unpack(">II", png[16:24])
    longest = max(width, height)
    factor = max(1, _ENLARGE_TO // longest) if longest <= _SHRINK_TO else _SHRINK_TO / longest
    return _Picture(
        source=pages.data_uri(png, "image/png"),
        width=round(width * factor),
        height=round(height * factor),
        pixelated=longest <= _SHRINK_TO,
    )


class _Way(NamedTuple):
    """One start of a trail as it is drawn: its pieces from point to point, and both of its ends.

    A piece is x, y, x, y and how late it is, from 0 to 1.
    """

    rank: int
    pieces: list[tuple[float, float, float, float, float]]
    start: tuple[float, float]
    end: tuple[float, float]


def _drawing(trail: Trail) -> list[_Way]:
    """The ways of all starts within _PLOT, to one scale in both directions, the best on top."""
    points = [point for way in trail.plane for point in way]
    (left, right), (bottom, top) = ((min(side), max(side)) for side in zip(*points, strict=True))
    width, height = (side - 2 * _MARGIN for side in _PLOT)
    scale = min(width / (right - left or 1), height / (top - bottom or 1))

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            round(_PLOT[0] / 2 + scale * (x - (left + right) / 2), 1),
            round(_PLOT[1] / 2 - scale * (y - (bottom + top) / 2), 1),
        )

    ways = []
    for rank, way in enumerate(trail.plane, 1):
        places = [place(*point) for point in way]
        last = len(places) - 1
        pieces = [
            (*one, *other, round(i / last, 3))
            for i, (one, other) in enumerate(itertools.pairwise(places), 1)
        ]
        ways.append(_Way(rank, pieces, places[0], places[-1]))
    return ways[::-1]


def _number(value: float, measure: str) -> str:
    """A figure as it is read."""
    if math.isnan(value):
        return "\N{EN DASH}"
    decimals = _DECIMALS.get(measure)
    text = f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"
    return text.replace("inf", "\N{INFINITY}").replace("-", "\N{MINUS SIGN}")


def _value(value: float) -> str:
    """A figure as the script of the page sorts it; nan is empty."""
    return "" if math.isnan(value) else str(float(value)).replace("inf", "Infinity")
