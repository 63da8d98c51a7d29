"""What a training run says of itself: its work directory, read."""

import dataclasses
import json
import math
import os
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from etils import epath

from ce_jax import config, files, pages
from ce_jax.config import Dcgan, Training
from ce_jax.runs import history, workdirs
from ce_jax.runs.curves import Curves

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
        config: its experiment.
        events: its history.
        curves: its scalars.
        step: the last one that it has done.
        pictures: what it has shown up to there, in order.
    """

    workdir: epath.Path
    config: Training
    events: Sequence[Mapping[str, Any]]
    curves: Curves
    step: int
    pictures: Sequence[epath.Path]

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
    experiment = workdirs.read_config(workdir)
    curves = Curves(files.json_objects(workdir / "scalars.jsonl"))
    events = history.read(workdir)
    step = max(step, curves.step, *(event["step"] for event in events[-1:]))
    # Those of later steps were made before the run was killed; it will make them again.
    pictures = [path for path in workdirs.pictures(workdir) if int(path.stem) <= step]
    return Run(workdir, experiment, events, curves, step, pictures)


class State(NamedTuple):
    """How a run stands: a word for it, and what else is to be said."""

    word: str
    note: str = ""


def state(run: Run) -> State:
    """What a run said last, unless it has been silent for so long that it must have ended."""
    last = run.events[-1] if run.events else {"event": "began"}
    if last["event"] != "began":
        return State(last["event"], str(last.get("note", "")))
    if run.step >= run.config.steps:
        return State("finished")
    written = [run.workdir / name for name in ("config.json", "history.jsonl", "scalars.jsonl")]
    heard = max(path.stat().mtime for path in (*written, *run.pictures[-1:]) if path.is_file())
    heard = datetime.fromtimestamp(heard, UTC)
    between_lines = run.config.log_every * run.config.batch_size / (run.curves.pace() or math.inf)
    if (datetime.now(UTC) - heard).total_seconds() < max(_SILENCE, 3 * between_lines):
        return State("running")
    return State("stopped or killed", f"Nothing was heard of it since {pages.moment(heard)}.")


def facts(run: Run) -> dict[str, str]:
    """On what, with what and by what it was done, as far as that is known."""
    experiment, began = run.config, run.began
    data = experiment.data
    count, processes = began.get("images"), began.get("processes", 1)
    saved = workdirs.saved_steps(run.workdir)
    told = {
        "model": f"{type(experiment.model).__name__}, {data.frame.size} pixels",
        "images": data.source + (f" ({count:,})" if count else ""),
        "validation images": data.validation or "",
        "parameters": ", ".join(f"{n:,} {of}" for of, n in began.get("parameters", {}).items()),
        "batch size": str(experiment.batch_size),
        "seed": str(experiment.seed),
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
    experiment = INPAINTS[type(run.config.model).__name__]
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
    """All fields by the part that they belong to."""
    usual = config.to_dict(Training(model=Dcgan()))
    usual["model"] = dataclasses.asdict(type(run.config.model)())
    defaults = config.flat(usual)
    parts: dict[str, list[Field]] = {}
    for name, value in config.flat(config.to_dict(run.config)).items():
        part, _, field = name.rpartition(".")
        chosen = json.dumps(value) != json.dumps(defaults.get(name, value))
        parts.setdefault(part, []).append(Field(field, _read_out(value), chosen))
    return parts


def _read_out(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_read_out, value))
    return value if isinstance(value, str) else json.dumps(value).replace("null", "none")
