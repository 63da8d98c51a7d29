"""The report of a training run: one HTML page, made of what lies in the work directory.

It is written anew when the run shows pictures, and when it ends; `report.py` does the same for any
work directory. The curves are thinned. Of the pictures, the newest and corners of a few are part of
the page, and the others are linked to: in a long run all of them are a gigabyte. So the page can be
mailed, but what lies between the corners stays in the folder.
"""

import functools
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from etils import epath
from PIL import Image

from ce_jax import pages
from ce_jax.runs import summary
from ce_jax.runs.curves import PACE

_TITLES = {
    "loss": "Losses",
    "critic": "What the critic gives",
    "psnr": "PSNR over the hole, in dB",
    "validation": "On validation images",
    "share": "Share of a batch",
    PACE: "Images per second",
}
_NOTES = {
    "critic": "The mean probability that it takes real and made images for real ones.",
    "validation": "After the last epoch.",
}

# Corners of the pictures that are part of the page, and the tiles to each side of one.
_CORNERS, _TILES = 8, 3
# The longest sides of a corner and of the newest picture on the page, in pixels.
_CORNER, _NEWEST = 240, 1200


@contextmanager
def reported(workdir: str | os.PathLike) -> Iterator[None]:
    """Writes the report when what is done in here ends, well or not."""
    try:
        yield
    except BaseException:
        with suppress(OSError, ValueError):  # what went wrong before is what matters
            write(workdir)
        raise
    write(workdir)


def write(workdir: str | os.PathLike, *, step: int = 0) -> epath.Path:
    """Write `report.html` of the run in a work directory, and say where.

    Args:
        workdir: of a run that is going on, has ended, or was killed.
        step: that it has done, if that is more than what it has written down.

    Raises:
        CheckpointError: the folder holds no training run.
    """
    run = summary.read(workdir, step=step)
    curves, pictures, pace = run.curves, run.pictures, run.curves.pace()
    left = run.config.steps - run.step
    data = {
        "steps": curves.steps(),
        "curves": {name: curves.of(name) for name in curves.names},
        "marks": sorted({e["step"] for e in run.events if e["event"] == "began" and e["step"] > 0}),
        "pictures": [int(picture.stem) for picture in pictures],
    }
    content = {
        "title": run.workdir.resolve().name,
        "state": summary.state(run),
        "step": run.step,
        "steps": run.config.steps,
        "worked": _duration(curves.seconds(run.config.batch_size)),
        "pace": pace,
        "left": _duration(left * run.config.batch_size / pace) if pace and left > 0 else "",
        "written": pages.moment(datetime.now(UTC)),
        # Short ones first: a long one takes a line of its own.
        "facts": dict(
            sorted(summary.facts(run).items(), key=lambda fact: len(fact[1]) > pages.WIDE)
        ),
        "commands": summary.commands(run),
        "charts": _charts(curves.names),
        "events": [_told(event) for event in run.events],
        "pictures": pictures,
        "newest": _jpeg(pictures[-1], None, _NEWEST) if pictures else None,
        "corners": _corners(pictures, run.config.data.frame.size),
        "config": summary.fields(run),
        "data": data,
    }
    pages.write(run.workdir / "report.html", "run_report.html", content)
    return run.workdir / "report.html"


def _charts(names: Sequence[str]) -> list[dict[str, Any]]:
    """What is drawn: losses first, the pace last; scalars of one measure or prefix together."""
    groups: dict[str, list[str]] = {}
    for name in names:
        key = "psnr" if "psnr" in name else name.partition("/")[0]
        groups.setdefault(PACE if name == PACE else key, []).append(name)
    order = [*_TITLES]
    place = {key: order.index(key) if key in order else len(order) - 1.5 for key in groups}
    return [
        {
            "key": key,
            "title": _TITLES.get(key, key),
            "note": _NOTES.get(key, ""),
            "names": sorted(groups[key]),
        }
        for key in sorted(groups, key=lambda key: place[key])
    ]


def _told(event: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the history as it is read."""
    went_on = event["event"] == "began" and event["step"] > 0
    return {
        "when": pages.moment(datetime.fromisoformat(event["time"])),
        "event": "continued" if went_on else event["event"],
        "step": event["step"],
        "where": ", ".join(str(event[name]) for name in ("devices", "host") if name in event),
        "note": event.get("note", ""),
    }


def _corners(pictures: Sequence[epath.Path], size: int) -> list[dict[str, int | str]]:
    """The first tiles of a few pictures, closer together where more happens: in the beginning."""
    side = _TILES * (size + 2) - 2
    last = len(pictures) - 1
    shares = [(i / (_CORNERS - 1)) ** 2 for i in range(_CORNERS)]
    places = sorted(
        {round(share * last) for share in shares} if last >= _CORNERS else range(last + 1)
    )
    return [
        {"step": int(pictures[i].stem), "place": i, "source": _jpeg(pictures[i], side, _CORNER)}
        for i in places
    ]


def _jpeg(picture: epath.Path, side: int | None, longest: int) -> str:
    return _read_jpeg(picture, picture.stat().mtime, side, longest)


@functools.lru_cache(4 * _CORNERS)
def _read_jpeg(picture: epath.Path, modified: int, side: int | None, longest: int) -> str:
    """A picture, or its first pixels to each side, as an address that holds it."""
    with picture.open("rb") as file, Image.open(file) as image:
        shown = image.crop((0, 0, side, side)) if side else image.copy()
    if max(shown.size) > longest:
        shown.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=88)
    return pages.data_uri(buffer.getvalue(), "image/jpeg")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = {"d": days, "h": hours, "min": minutes}
    return " ".join(f"{n} {unit}" for unit, n in parts.items() if n)
