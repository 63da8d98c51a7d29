"""When a run began, when it ended, and on what: `history.jsonl` in its work directory.

A line says what happened (`event`), at which step and when. `began` also says what the rest of the
run was then done with; the others are `finished`, `stopped`, and what else can end it. A run that
was killed has no line for that.
"""

import hashlib
import json
import os
import platform
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import jax
from etils import epath

from ce_jax import files
from ce_jax.runs.workdirs import CheckpointError, saved_steps

_PACKAGES = ("ce_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def read(workdir: str | os.PathLike) -> list[dict[str, Any]]:
    """All that happened to a run, in order; what lacks event, step or time is left out."""
    return list(filter(_is_whole, files.json_objects(_file(workdir))))


def add(workdir: str | os.PathLike, event: str, step: int, **facts: Any) -> None:
    """Says that something happened now, and what else is to be known of it."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    line = {"event": event, "step": step, "time": moment, **facts}
    lines = [*files.json_objects(_file(workdir)), line]
    files.write_text(_file(workdir), "".join(json.dumps(line) + "\n" for line in lines))


def of_images(count: int, names: Sequence[str]) -> dict[str, Any]:
    """What `began` says of the images of a run: their number, and a digest of all names in it."""
    said = "\n".join(names).encode(errors="replace")
    return {"images": count, "names": hashlib.sha256(said).hexdigest()[:16]}


def require_same_images(workdir: str | os.PathLike, seen: Mapping[str, Any]) -> None:
    """Makes sure that a run goes on with the images that it was begun with, as far as it says.

    Raises:
        CheckpointError: it has checkpoints, and these are not its images.
    """
    began = next((one for one in reversed(read(workdir)) if "images" in one), {})
    if saved_steps(workdir) and any(began.get(name, seen[name]) != seen[name] for name in seen):
        now = seen["images"] if seen["images"] != began["images"] else "as many of other names"
        raise CheckpointError(
            f"{workdir} holds a run on {began['images']} images, and now there are {now}; "
            f"give the old ones back, or begin another --workdir with --start-from {workdir}."
        )


def setting() -> dict[str, Any]:
    """The host, its devices and the versions of what a run is done with."""
    return {
        "host": socket.gethostname(),
        "processes": jax.process_count(),
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "versions": {"python": platform.python_version(), **_installed()},
    }


def _is_whole(line: Mapping[str, Any]) -> bool:
    try:
        datetime.fromisoformat(line["time"])
    except (KeyError, TypeError, ValueError):
        return False
    return "event" in line and isinstance(line.get("step"), int)


def _file(workdir: str | os.PathLike) -> epath.Path:
    return epath.Path(workdir) / "history.jsonl"


def _installed() -> dict[str, str]:
    """Versions; a package that lies there without having been installed has none."""
    found = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
