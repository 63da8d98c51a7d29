"""The report: one HTML page to look at completions, with the figures beside the pictures.

The page is complete in itself: pictures are inlined, style and script are part of the template,
and its content security policy forbids everything else. It can be moved, mailed and opened without
a network. Figures are called `REGION/MEASURE`, such as `hole/psnr`.
"""

import base64
import dataclasses
import math
import os
import struct
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from ce_jax.metrics import Estimate

_LABELS = {"psnr": "PSNR", "ssim": "SSIM", "l1": "L1", "l2": "L2"}
_DECIMALS = {"psnr": 2, "ssim": 3, "l1": 4, "l2": 4}
_MORE_IS_BETTER = ("psnr", "ssim")

# Sides in pixels on the page: small pictures are enlarged by a whole factor, large ones shrunk.
_ENLARGE_TO = 128
_SHRINK_TO = 256


@dataclasses.dataclass(frozen=True)
class Row:
    """One image and everything the report shows of it.

    Attributes:
        name: of the image.
        pictures: PNG files as bytes, by caption, in the order in which they are shown.
        note: one line about this image.
        scores: its figures; the rows of a report can be sorted by any of them.
    """

    name: str
    pictures: Mapping[str, bytes]
    note: str = ""
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)


def write_report(
    path: str | os.PathLike,
    *,
    title: str,
    completed: int,
    facts: Mapping[str, str],
    figures: Sequence[Mapping[str, str | Estimate]],
    rows: Sequence[Row],
    failures: Sequence[tuple[str, str]],
) -> None:
    """Write what was run, how good it was, every image, and what failed, as one HTML page.

    The best of each column of figures is marked: the highest PSNR and SSIM, the lowest of all
    others. The file appears whole or not at all; an existing one is replaced.

    Args:
        path: of the page; its folder is created.
        title: of the page.
        completed: how many images have a result; `rows` may show fewer.
        facts: what was run (command, model, holes, seed, versions, ...), in the order shown.
        figures: one mapping per method: its name under `method`, an `Estimate` per figure.
        rows: one per image.
        failures: the name of every image that was not completed, and the reason.

    Raises:
        ValueError: a picture is not a PNG file.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ce_jax"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "picture": _picture, "value": _value}
    columns = _columns(key for line in figures for key in line if key != "method")
    page = environment.get_template("report.html").stream(
        title=title,
        completed=completed,
        facts=facts,
        figures=figures,
        columns=columns,
        best={one.name: _best(figures, one) for group in columns.values() for one in group},
        rows=rows,
        scores=_columns(key for row in rows for key in row.scores),
        failures=failures,
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        # File names need not be valid text: what cannot be written is shown as an escape.
        page.dump(str(temporary), encoding="utf-8", errors="backslashreplace")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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


def _best(figures: Sequence[Mapping[str, str | Estimate]], column: _Column) -> float:
    """The best mean of a column; nan, which equals no mean, where there is nothing to compare."""
    estimates = [line.get(column.name) for line in figures]
    means = [one.mean for one in estimates if isinstance(one, Estimate) and one.n > 0]
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
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError(f"pictures of a report must be PNG files, got one that starts {png[:8]}")
    width, height = struct.unpack(">II", png[16:24])
    longest = max(width, height)
    factor = max(1, _ENLARGE_TO // longest) if longest <= _SHRINK_TO else _SHRINK_TO / longest
    return _Picture(
        source="data:image/png;base64," + base64.b64encode(png).decode("ascii"),
        width=round(width * factor),
        height=round(height * factor),
        pixelated=longest <= _SHRINK_TO,
    )


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
