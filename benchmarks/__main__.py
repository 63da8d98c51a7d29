"""Times both sides in one run; writes benchmark.json and benchmark.md, and prints the latter."""

import argparse
import dataclasses
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import torch

from benchmarks import pytorch, timing
from benchmarks.suite import Setting, Work, works
from ce_jax.config import SIZES

SIDES = ("jax", "pytorch")


def main(arguments: Sequence[str]) -> None:
    """Reads the flags, does the work, and reports."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="The same work in JAX and in PyTorch, timed in turns in one run.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for benchmark.json and benchmark.md")
    add("--repetitions", type=_positive, default=10, help="timed calls of each side")
    add("--steps", type=_positive, default=5, help="steps in a call")
    add("--size", type=int, choices=SIZES, default=64, help="side of the images in pixels")
    add("--width", type=_positive, default=64, help="channels of the layer next to the image")
    add("--batch-size", type=_positive, default=64, help="images in a step")
    options = vars(parser.parse_args(arguments))
    out, repetitions = options.pop("out"), options.pop("repetitions")
    if (jax.default_backend() == "cpu") != (pytorch.device().type == "cpu"):
        parser.error(
            f"JAX runs on {jax.default_backend()} and PyTorch on {pytorch.device().type}; "
            "install the other for the GPU too, or keep both off it: "
            "JAX_PLATFORMS=cpu CUDA_VISIBLE_DEVICES= python -m benchmarks ..."
        )
    setting, machine = Setting(**options), _machine()

    results = []
    for work in works(setting):
        print(f"{work.name} ...", file=sys.stderr, flush=True)
        spreads = timing.alternate(
            (work.ours, work.theirs), repetitions=repetitions, steps=setting.steps
        )
        results.append(_result(work, *spreads))
    report = {
        "machine": machine,
        "setting": {"repetitions": repetitions, **dataclasses.asdict(setting)},
        "ceiling_flops_per_second": max(results[0][side]["flops_per_second"] for side in SIDES),
        "works": results,
    }
    page = _markdown(**report)
    out.mkdir(parents=True, exist_ok=True)
    (out / "benchmark.json").write_text(json.dumps(report, indent=2) + "\n")
    (out / "benchmark.md").write_text(page)
    print(page, end="")


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def _machine() -> dict[str, Any]:
    """What the figures hold for; they mean nothing where the load was high before the start."""
    gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if gpu else f"{os.cpu_count()} CPU cores",
        "platform": platform.platform(),
        "arithmetic": "TF32" if gpu else "float32",
        "pytorch_threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    } | {name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy", "torch")}


def _result(work: Work, *spreads: timing.Spread) -> dict[str, Any]:
    """The figures of one work; seconds, but those of the compilation, are for one step."""
    ours, theirs = spreads
    return {
        "name": work.name,
        "flops": work.flops,
        "compile_seconds": work.compile_seconds,
        "ratio_of_medians": theirs.median / ours.median,
    } | {
        side: {
            "seconds": dataclasses.asdict(spread),
            "flops_per_second": work.flops / spread.median,
        }
        for side, spread in zip(SIDES, spreads, strict=True)
    }


def _markdown(
    *,
    machine: dict[str, Any],
    setting: dict[str, int],
    ceiling_flops_per_second: float,
    works: list[dict[str, Any]],
) -> str:
    """The same as a page for people: one row for each work."""
    rows = []
    for work in works:
        cells = [work["name"], *(_milliseconds(**work[side]["seconds"]) for side in SIDES)]
        cells.append(f"**{work['ratio_of_medians']:.2f}**")
        shares = (work[side]["flops_per_second"] / ceiling_flops_per_second for side in SIDES)
        cells += [f"{work['flops'] / 1e9:.3g}", *(f"{share:.0%}" for share in shares)]
        rows.append([*cells, f"{work['compile_seconds']:.1f}"])
    header = [
        "one step of",
        *("JAX, ms", "PyTorch, ms", "PyTorch / JAX"),
        *("GFLOP", "JAX, of ceiling", "PyTorch, of ceiling", "JAX compiles, s"),
    ]
    rule = ["---"] + ["---:"] * (len(header) - 1)
    table = "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))
    return f"""\
# JAX and PyTorch, side by side

{table}

Times are those of one step: median (quartiles; minimum) over calls of several steps, the two sides
in turns. PyTorch is eager. Operations are those of the native convolutions, as XLA counts them;
their ceiling is the matrix product of the faster side,
{ceiling_flops_per_second / 1e9:,.0f} GFLOP/s.

- Setting: {_listed(setting)}
- Machine: {_listed(machine)}
"""


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())


def _milliseconds(
    *, median: float, quartiles: tuple[float, float], minimum: float, samples: Sequence[float]
) -> str:
    lower, upper = quartiles
    return f"{median * 1e3:.4g} ({lower * 1e3:.4g}–{upper * 1e3:.4g}; {minimum * 1e3:.4g})"


if __name__ == "__main__":
    main(sys.argv[1:])
