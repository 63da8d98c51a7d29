"""From times to figures: rates, ratios, and shares of the ceiling."""

import dataclasses
import os
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import spread
from benchmarks.work import OURS, Skipped, Timed

CEILING = "matrix product"


def machine() -> dict[str, Any]:
    """What the figures hold for; they mean nothing where the load was high before the start."""
    gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if gpu else f"{os.cpu_count()} CPU cores",
        "processor": _processor(),
        "platform": f"{platform.system()} {platform.machine()}",
        "arithmetic": "TF32, and bfloat16 where a side says so" if gpu else "float32",
        "pytorch threads": torch.get_num_threads(),
        "load average before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    } | _versions("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "torch")


def _processor() -> str:
    """Its name as Linux tells it, or what kind it is."""
    told = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", told.read_text() if told.exists() else "")
    return named[1] if named else platform.machine()


def _versions(*names: str) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def report(
    results: Sequence[Timed | Skipped], *, machine: Mapping[str, Any], setting: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything, as JSON has it: what was done and what was not."""
    done = [_figures(result) for result in results if isinstance(result, Timed)]
    ceilings = _ceilings(done)
    for work in done:
        for name, side in work["sides"].items():
            top = ceilings.get(_precision(name))
            rate = side["flops_per_second"]
            side["share_of_ceiling"] = rate / top if rate and top else None
    return {
        "machine": dict(machine),
        "setting": dict(setting),
        "ceilings_flops_per_second": ceilings,
        "works": done,
        "skipped": [dataclasses.asdict(r) for r in results if isinstance(r, Skipped)],
    }


def _figures(timed: Timed) -> dict[str, Any]:
    """The figures of one work; seconds, but those of the compilation, are for one step."""
    work, sides = timed.work, {}
    for name, side in work.sides.items():
        found, ours = timed.spreads[name], _ours(name, list(work.sides))
        sides[name] = {
            "seconds": dataclasses.asdict(found),
            "images_per_second": work.images / (work.steps * found.median),
            "flops_per_second": work.flops and work.flops / found.median,
            "compile_seconds": side.compile_seconds,
            "peak_bytes": side.peak_bytes,
        }
        if ours is not None:
            pairs = zip(found.samples, timed.spreads[ours].samples, strict=True)
            ratio = spread([theirs / ours for theirs, ours in pairs])
            sides[name]["times_ours"] = {"ours": ours, **dataclasses.asdict(ratio)}
    return {
        "name": work.name,
        "setting": work.setting,
        "images": work.images,
        "steps": work.steps,
        "flops": work.flops,
        "sides": sides,
        "missing": dict(work.missing),
        "alike": work.alike,
    }


def _ours(name: str, names: Sequence[str]) -> str | None:
    """Which of ours another side stands beside: that of its precision, if it is there."""
    if name.startswith(OURS):
        return None
    ours = (n for n in names if n.startswith(OURS) and _precision(n) == _precision(name))
    return next(ours, None)


def _precision(side: str) -> str:
    return "bfloat16" if "bf16" in side else "float32"


def _ceilings(works: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The matrix product of the faster side, for each precision."""
    found: dict[str, float] = {}
    for work in works:
        if work["name"] == CEILING:
            for name, side in work["sides"].items():
                kind = _precision(name)
                found[kind] = max(found.get(kind, 0.0), side["flops_per_second"])
    return found
