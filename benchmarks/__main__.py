"""Times all sides in one run; writes benchmark.json, benchmark.md and two plots.

    python -m benchmarks --out runs/benchmark

Needs JAX, Flax, optax, NumPy, SciPy and PyTorch; what needs more is left out where it is missing.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import torch

from benchmarks import figures, pytorch, suite
from benchmarks.page import markdown
from benchmarks.plots import costs, ratios
from benchmarks.setting import Setting
from benchmarks.work import Skipped, Work
from ce_jax.config import SIZES

# Both sides share the memory of a GPU; JAX would take three quarters of it at once.
_SHARE_MEMORY = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

_HOST = ("Poisson blending", "input pipeline", "a folder inpainted")


def main(arguments: Sequence[str]) -> None:
    """Reads the flags, does the work, and reports."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="The same work in JAX and in PyTorch, timed in turns in one run.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for JSON, Markdown and plots")
    add("--minutes", type=float, default=9.0, help="for everything; what does not fit is left out")
    add("--only", default="", help="works whose name has this in it, and the matrix product")
    add("--repetitions", type=_positive, default=10, help="timed calls of each side")
    add(
        "--steps",
        type=_positive,
        default=5 if pytorch.device().type == "cpu" else 50,
        help="steps in a call; unless given, 5 on a CPU and 50 on a GPU",
    )
    add("--size", type=int, choices=SIZES, default=64, help="side of the images in pixels")
    add("--width", type=_positive, default=64, help="channels of the layer next to the image")
    add(
        *("--batch-sizes", "--batch-size"),
        type=_positive,
        nargs="+",
        default=[64, 256, 1024],
        help="images in a step",
    )
    options = parser.parse_args(arguments)
    for name, value in _SHARE_MEMORY.items():
        os.environ.setdefault(name, value)
    # As if TORCHINDUCTOR_FORCE_DISABLE_CACHES had been set before PyTorch was imported.
    torch.compiler.config.force_disable_caches = True
    if (jax.default_backend() == "cpu") != (pytorch.device().type == "cpu"):
        parser.error(
            f"JAX runs on {jax.default_backend()} and PyTorch on {pytorch.device().type}; "
            "install the other for the GPU too, or keep both off it: "
            "JAX_PLATFORMS=cpu CUDA_VISIBLE_DEVICES= python -m benchmarks ..."
        )
    setting = Setting(size=options.size, width=options.width, steps=options.steps)
    machine = figures.machine()
    budget = suite.Budget(options.minutes)
    results = list(
        suite.run(
            suite.plans(setting, options.batch_sizes, _of_the_host(budget, options.only)),
            budget=budget,
            repetitions=options.repetitions,
            wanted=lambda name: name == figures.CEILING or options.only in name,
            say=lambda text: print(f"{text} ...", file=sys.stderr, flush=True),
        )
    )
    given = {name: value for name, value in vars(options).items() if name != "out"}
    report = figures.report(results, machine=machine, setting=given)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "benchmark.json").write_text(json.dumps(report, indent=2) + "\n")
    (options.out / "benchmark.md").write_text(page := markdown(report))
    (options.out / "ratios.svg").write_text(ratios(report))
    (options.out / "cost.svg").write_text(costs(report))
    print(page, end="")


def _of_the_host(budget: suite.Budget, only: str) -> Iterator[Work | Skipped]:
    """What is done without a network; it may need what is not installed.

    Such a work is there as soon as it is asked for, and none is asked for without need.
    """
    if not any(only in name for name in _HOST):
        return
    try:
        from benchmarks import host

        works = host.works()
        while not (reason := budget.is_spent):
            if (work := next(works, None)) is None:
                return
            yield work
            del work  # with its files and processes, before the next one is asked for
    except Exception as error:  # a library that is not there, or one that fails
        reason = f"{type(error).__name__}: {error}"
    yield Skipped(name=_HOST[-1], setting="and what comes before it", reason=reason)


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


if __name__ == "__main__":
    main(sys.argv[1:])
