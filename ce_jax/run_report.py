"""The report of a training run: one HTML page, made of what lies in the work directory.

It is written anew when the run shows pictures, and when it ends; `report.py` does the same for any
work directory. The curves are thinned. Of the pictures, the newest and corners of a few are part of
the page, and the others are linked to: in a long run all of them are a gigabyte. So the page can be
mailed, but what lies between the corners stays in the folder.
"""

import dataclasses
import functools
import io
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, get_args

import jax
from etils import epath
from PIL import Image

from ce_jax import checkpointing, config, files, history, pages
from ce_jax.checkpointing import CheckpointError
from ce_jax.config import Model, Training
from ce_jax.curves import PACE, Curves

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
_INPAINTS = {
    "Dcgan": "configs/latent_search.py",
    "Vae": "configs/latent_search.py",
    "LatentEncoder": "configs/latent_search_fast.py",
    "ContextEncoder": "configs/context_encoder.py",
    "L2Gan": "configs/context_encoder.py",
}

# Corners of the pictures that are part of the page, and the tiles to each side of one.
_CORNERS, _TILES = 8, 3
# The longest sides of a corner and of the newest picture on the page, in pixels.
_CORNER, _NEWEST = 240, 1200

# Seconds without a word after which a run that has not said that it ended is not called running.
_SILENCE = 15 * 60


@contextmanager
def reported(workdir: str | os.PathLike) -> Iterator[None]:
    """Writes the report when what is done in here ends, well or not; by one process of many."""
    first = jax.process_index() == 0
    try:
        yield
    except BaseException:
        with suppress(OSError, ValueError):  # what went wrong before is what matters
            if first:
                write(workdir)
        raise
    if first:
        write(workdir)


def write(workdir: str | os.PathLike, *, curves: Curves | None = None, step: int = 0) -> epath.Path:
    """Write `report.html` of the run in a work directory, and say where.

    Args:
        workdir: of a run that is going on, has ended, or was killed; also of an older version.
        curves: its scalars, if they have been read already.
        step: that it has done, if that is more than what it has written down.

    Raises:
        CheckpointError: the folder holds no training run.
    """
    workdir = files.place(workdir)
    plain = _read_config(workdir)
    curves = curves or Curves(files.json_objects(workdir / "scalars.jsonl"))
    events = history.read(workdir)
    began = next((event for event in reversed(events) if event["event"] == "began"), {})
    step = max(step, curves.step, *(event["step"] for event in events[-1:]))
    total = plain.get("steps", 0)
    # Those of later steps were made before the run was killed; it will make them again.
    found = (path for path in workdir.glob("pictures/*.png") if path.stem.isdecimal())
    pictures = sorted(path for path in found if int(path.stem) <= step)
    state = _state(events, workdir, done=step >= total)
    data = {
        "steps": curves.steps(),
        "curves": {name: curves.of(name) for name in curves.names},
        "marks": sorted({e["step"] for e in events if e["event"] == "began" and e["step"] > 0}),
        "pictures": [p.name for p in pictures],
    }
    content = {
        "title": workdir.resolve().name,
        "state": state,
        "step": step,
        "steps": total,
        "worked": _duration(curves.seconds(plain.get("batch_size", 0))),
        "pace": curves.pace(),
        "left": _left(curves, total - step, plain.get("batch_size", 0)),
        "written": _moment(history.now()),
        "facts": _facts(plain, began, checkpointing.saved_steps(workdir)),
        "commands": _commands(workdir, plain, began, done=state.word == "finished"),
        "charts": _charts(curves.names),
        "events": [_told(event) for event in events],
        "pictures": pictures,
        "newest": _jpeg(pictures[-1], None, _NEWEST) if pictures else None,
        "corners": _corners(pictures, plain),
        "config": _fields(plain),
        "data": data,
    }
    pages.write(workdir / "report.html", "run_report.html", content)
    return workdir / "report.html"


def _read_config(workdir: epath.Path) -> dict[str, Any]:
    record = workdir / "config.json"
    if not record.is_file():
        raise CheckpointError(f"{workdir} holds no training run (no config.json in it).")
    plain = files.json_object(record.read_bytes().decode(errors="replace"))
    if not isinstance(plain.get("model"), dict):
        raise CheckpointError(f"{record} is not the config of a training run; restore that file.")
    return plain


class _State(NamedTuple):
    """How a run stands: a word for it, and what else is to be said."""

    word: str
    note: str = ""


def _state(events: Sequence[Mapping[str, Any]], workdir: epath.Path, *, done: bool) -> _State:
    last = events[-1] if events else {"event": "began"}
    if last["event"] != "began":
        return _State(last["event"], str(last.get("note", "")))
    if done:
        return _State("finished")
    written = (workdir / name for name in ("config.json", "history.jsonl", "scalars.jsonl"))
    heard = max(path.stat().mtime for path in written if path.is_file())
    heard = datetime.fromtimestamp(heard, UTC)
    if (history.now() - heard).total_seconds() < _SILENCE:
        return _State("running")
    return _State("stopped or killed", f"Nothing was heard of it since {_moment(heard)}.")


def _facts(
    plain: Mapping[str, Any], began: Mapping[str, Any], saved: Sequence[int]
) -> dict[str, str]:
    model, data = plain["model"], plain.get("data", {})
    count = began.get("images")
    parameters = began.get("parameters", {})
    facts = {
        "model": f"{model.get('kind')}, {data.get('frame', {}).get('size')} pixels",
        "images": data.get("source", "") + (f" ({count:,})" if count else ""),
        "validation images": data.get("validation") or "",
        "parameters": ", ".join(f"{n:,} {name}" for name, n in parameters.items()),
        "batch size": str(plain.get("batch_size", "")),
        "seed": str(plain.get("seed", "")),
        "devices": began.get("devices", ""),
        "host": began.get("host", ""),
        "processes": str(began.get("processes", 1)) if began.get("processes", 1) > 1 else "",
        "checkpoints": ", ".join(f"{step:,}" for step in saved) or "none yet",
        "versions": ", ".join(f"{k} {v}" for k, v in began.get("versions", {}).items()),
    }
    # Short ones first: a long one takes a line of its own.
    known = {name: value for name, value in facts.items() if value}
    return dict(sorted(known.items(), key=lambda fact: len(fact[1]) > pages.WIDE))


def _commands(
    workdir: epath.Path, plain: Mapping[str, Any], began: Mapping[str, Any], *, done: bool
) -> dict[str, str]:
    """What can be typed next, by what it does."""
    commands = {}
    if began.get("command"):
        commands["made with" if done else "to go on"] = began["command"]
    if experiment := _INPAINTS.get(plain["model"].get("kind", "")):
        commands["to inpaint with it"] = (
            f"python inpaint.py {experiment} --model {shlex.quote(str(workdir))} "
            "--images folder:broken --holes holes/ --output completed"
        )
    return commands


class _Chart(NamedTuple):
    """Scalars that are drawn together."""

    key: str
    title: str
    note: str
    names: list[str]


def _charts(names: Sequence[str]) -> list[_Chart]:
    """Losses first, the pace last; scalars with one measure or one prefix together."""
    groups: dict[str, list[str]] = {}
    for name in names:
        key = "psnr" if "psnr" in name else name.partition("/")[0]
        groups.setdefault(PACE if name == PACE else key, []).append(name)
    order = [*_TITLES]
    place = {key: order.index(key) if key in order else len(order) - 1.5 for key in groups}
    return [
        _Chart(key, _TITLES.get(key, key), _NOTES.get(key, ""), sorted(groups[key]))
        for key in sorted(groups, key=lambda key: place[key])
    ]


class _Told(NamedTuple):
    """A line of the history as it is read."""

    when: str
    event: str
    step: int
    where: str
    note: str


def _told(event: Mapping[str, Any]) -> _Told:
    went_on = event["event"] == "began" and event["step"] > 0
    return _Told(
        _moment(datetime.fromisoformat(event["time"])),
        "continued" if went_on else event["event"],
        event["step"],
        ", ".join(str(event[name]) for name in ("devices", "host") if name in event),
        event.get("note", ""),
    )


class _Corner(NamedTuple):
    """A small part of a picture, in the page itself."""

    step: int
    place: int
    source: str


def _corners(pictures: Sequence[epath.Path], plain: Mapping[str, Any]) -> list[_Corner]:
    """The first tiles of a few pictures, closer together where more happens: in the beginning."""
    size = plain.get("data", {}).get("frame", {}).get("size", 64)
    side = _TILES * (size + 2) - 2
    last = len(pictures) - 1
    shares = [(i / (_CORNERS - 1)) ** 2 for i in range(_CORNERS)]
    places = sorted(
        {round(share * last) for share in shares} if last >= _CORNERS else range(last + 1)
    )
    return [_Corner(int(pictures[i].stem), i, _jpeg(pictures[i], side, _CORNER)) for i in places]


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


class _Field(NamedTuple):
    """A field of the config; whether it was chosen, or is what it would have been anyway."""

    name: str
    value: str
    chosen: bool


def _fields(plain: Mapping[str, Any]) -> dict[str, list[_Field]]:
    """All fields by the part that they belong to; those of an older version as they were."""
    # A version that knew fewer fields did what their defaults say.
    with suppress(ValueError):
        plain = config.to_dict(config.training_from_dict(dict(plain)))
    kinds = {kind.__name__: kind for kind in get_args(Model)}
    defaults = dict(_flat(_defaults(Training)))
    defaults |= _flat({"model": _defaults(kinds.get(plain["model"].get("kind", "")))})
    parts: dict[str, list[_Field]] = {}
    for name, value in _flat(plain):
        part, _, field = name.rpartition(".")
        chosen = json.dumps(value) != json.dumps(defaults.get(name, value))
        parts.setdefault(part, []).append(_Field(field, _read_out(value), chosen))
    return parts


def _flat(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in plain.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _defaults(kind: type | None) -> dict[str, Any]:
    if kind is None:
        return {}
    fields = {field.name: field.default for field in dataclasses.fields(kind)}
    return {
        name: dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # pyright: ignore[reportArgumentType]
        for name, value in fields.items()
        if value is not dataclasses.MISSING
    }


def _read_out(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_read_out, value))
    return value if isinstance(value, str) else json.dumps(value).replace("null", "none")


def _left(curves: Curves, steps: int, batch_size: int) -> str:
    pace = curves.pace()
    return _duration(steps * batch_size / pace) if pace and steps > 0 else ""


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = {"d": days, "h": hours, "min": minutes}
    return " ".join(f"{n} {unit}" for unit, n in parts.items() if n)


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
