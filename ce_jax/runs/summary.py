"""What a training run says of itself: its work directory, read; also that of an older version."""

import dataclasses
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, get_args

from etils import epath

from ce_jax import config, files, pages
from ce_jax.config import Dcgan, Model, Training
from ce_jax.runs import history, workdirs
from ce_jax.runs.curves import Curves
from ce_jax.runs.workdirs import CheckpointError

INPAINTS = {
    "Dcgan": "configs/latent_search.py",
    "Vae": "configs/latent_search.py",
    "LatentEncoder": "configs/latent_search_beyond.py",
    "ContextEncoder": "configs/context_encoder.py",
    "L2Gan": "configs/context_encoder.py",
}
"""The experiment that inpaints with a model, by its kind."""

# Seconds without a word after which a run that has not said that it ended is not called running.
_SILENCE = 15 * 60


class Run(NamedTuple):
    """A run as it was written down.

    Attributes:
        workdir: where.
        plain: its config, as plain JSON types.
        events: its history.
        curves: its scalars.
        step: the last one that it has done.
        pictures: what it has shown up to there, in order.
    """

    workdir: epath.Path
    plain: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    curves: Curves
    step: int
    pictures: Sequence[epath.Path]

    @property
    def steps(self) -> int:
        """How many it is to do."""
        return self.plain.get("steps", 0)

    @property
    def batch_size(self) -> int:
        """Images in a step."""
        return self.plain.get("batch_size", 0)

    @property
    def began(self) -> Mapping[str, Any]:
        """How it began the last time."""
        return next((one for one in reversed(self.events) if one["event"] == "began"), {})


def read(workdir: str | os.PathLike, *, step: int = 0) -> Run:
    """A run that is going on, has ended, or was killed.

    Args:
        workdir: where it is kept.
        step: that it has done, if that is more than what it has written down.

    Raises:
        CheckpointError: the folder holds no training run.
    """
    workdir = files.place(workdir)
    plain = _read_config(workdir)
    curves = Curves(files.json_objects(workdir / "scalars.jsonl"))
    events = history.read(workdir)
    step = max(step, curves.step, *(event["step"] for event in events[-1:]))
    # Those of later steps were made before the run was killed; it will make them again.
    found = (path for path in workdir.glob("pictures/*.png") if path.stem.isdecimal())
    pictures = sorted(path for path in found if int(path.stem) <= step)
    return Run(workdir, plain, events, curves, step, pictures)


def _read_config(workdir: epath.Path) -> dict[str, Any]:
    record = workdirs.record_of(workdir)
    plain = files.json_object(record.read_bytes())
    if not isinstance(plain.get("model"), dict):
        raise CheckpointError(f"{record} is not the config of a training run; restore that file.")
    return plain


class State(NamedTuple):
    """How a run stands: a word for it, and what else is to be said."""

    word: str
    note: str = ""


def state(run: Run) -> State:
    """What a run said last, unless it has been silent for so long that it must have ended."""
    last = run.events[-1] if run.events else {"event": "began"}
    if last["event"] != "began":
        return State(last["event"], str(last.get("note", "")))
    if run.step >= run.steps:
        return State("finished")
    written = (run.workdir / name for name in ("config.json", "history.jsonl", "scalars.jsonl"))
    heard = max(path.stat().mtime for path in written if path.is_file())
    heard = datetime.fromtimestamp(heard, UTC)
    if (datetime.now(UTC) - heard).total_seconds() < _SILENCE:
        return State("running")
    return State("stopped or killed", f"Nothing was heard of it since {pages.moment(heard)}.")


def facts(run: Run) -> dict[str, str]:
    """On what, with what and by what it was done, as far as that is known."""
    plain, began = run.plain, run.began
    model, data = plain["model"], plain.get("data", {})
    count, processes = began.get("images"), began.get("processes", 1)
    saved = workdirs.saved_steps(run.workdir)
    told = {
        "model": f"{model.get('kind')}, {data.get('frame', {}).get('size')} pixels",
        "images": data.get("source", "") + (f" ({count:,})" if count else ""),
        "validation images": data.get("validation") or "",
        "parameters": ", ".join(f"{n:,} {of}" for of, n in began.get("parameters", {}).items()),
        "batch size": str(plain.get("batch_size", "")),
        "seed": str(plain.get("seed", "")),
        "devices": began.get("devices", ""),
        "host": began.get("host", ""),
        "processes": str(processes) if processes > 1 else "",
        "checkpoints": ", ".join(f"{step:,}" for step in saved) or "none yet",
        "versions": ", ".join(f"{k} {v}" for k, v in began.get("versions", {}).items()),
    }
    return {name: value for name, value in told.items() if value}


def commands(run: Run) -> dict[str, str]:
    """What can be typed next, by what it does."""
    found = {}
    if command := run.began.get("command"):
        found["made with" if state(run).word == "finished" else "to go on"] = command
    if experiment := INPAINTS.get(run.plain["model"].get("kind", "")):
        found["to inpaint with it"] = (
            f"python inpaint.py {experiment} --model {shlex.quote(str(run.workdir))} "
            "--images folder:broken --holes holes/ --output completed"
        )
    return found


class Field(NamedTuple):
    """A field of the config; whether it was chosen, or is what it would have been anyway."""

    name: str
    value: str
    chosen: bool


def fields(run: Run) -> dict[str, list[Field]]:
    """All fields by the part that they belong to; those of an older version as they were."""
    plain = dict(run.plain)
    # A version that knew fewer fields did what their defaults say.
    with suppress(ValueError):
        plain = config.to_dict(config.training_from_dict(plain))
    kinds = {kind.__name__: kind for kind in get_args(Model)}
    kind = kinds.get(plain["model"].get("kind", ""))
    usual = config.to_dict(Training(model=Dcgan()))
    usual["model"] = dataclasses.asdict(kind()) if kind else {}
    defaults = config.flat(usual)
    parts: dict[str, list[Field]] = {}
    for name, value in config.flat(plain).items():
        part, _, field = name.rpartition(".")
        chosen = json.dumps(value) != json.dumps(defaults.get(name, value))
        parts.setdefault(part, []).append(Field(field, _read_out(value), chosen))
    return parts


def _read_out(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_read_out, value))
    return value if isinstance(value, str) else json.dumps(value).replace("null", "none")
