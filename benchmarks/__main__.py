"""Times all sides in one run; writes benchmark.json, benchmark.md and two plots.

    python -m benchmarks --out runs/benchmark

Needs JAX, Flax, optax, NumPy, SciPy and PyTorch; what needs more is left out where it is missing.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import torch

from benchmarks import figures, host, page, plots, pytorch, suite
from benchmarks.setting import Setting
from benchmarks.work import Named
from ce_jax.config import SIZES


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the flags, does the work, and reports."""
    options = _options(arguments)
    # Both sides share the memory of a GPU; JAX would take three quarters of it at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # As if TORCHINDUCTOR_FORCE_DISABLE_CACHES had been set before PyTorch was imported.
    torch.compiler.config.force_disable_caches = True
    ours, theirs = jax.default_backend(), pytorch.device().type
    if (ours == "cpu") != (theirs == "cpu"):
        print(
            f"JAX runs on {ours} and PyTorch on {theirs}; install the other for the GPU too, or "
            "keep both off it: JAX_PLATFORMS=cpu CUDA_VISIBLE_DEVICES= python -m benchmarks ...",
            file=sys.stderr,
        )
        sys.exit(2)

    def wanted(title: str) -> bool:
        return title.startswith(figures.CEILING) or options.only in title

    def asked_for(work: Named) -> bool:
        return wanted(f"{work.name}, {work.setting}")

    machine, budget = figures.machine(), suite.Budget(options.minutes)
    bench = suite.Bench(budget, repetitions=options.repetitions, say=_say)
    setting = Setting(size=options.size, width=options.width, steps=options.steps)
    works = suite.plans(setting, options.batch_sizes, host.works(wanted=wanted, begin=budget.begin))
    given = {name: value for name, value in vars(options).items() if name != "out"}
    results = []
    # No variable holds a work, so that it ends before the next one is built.
    for result in map(bench.time, filter(asked_for, works)):
        results.append(result)
        # After each, since a machine may be taken away before the last.
        report = figures.report(results, machine=machine, setting=given)
        page.write(options.out, "benchmark", report, page.markdown(report))
        (options.out / "ratios.svg").write_text(plots.ratios(report))
        (options.out / "cost.svg").write_text(plots.costs(report))
    print((options.out / "benchmark.md").read_text(), end="")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="The same work in JAX and in PyTorch, timed in turns in one run.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for JSON, Markdown and plots")
    add("--minutes", type=float, default=9.0, help="for everything; what does not fit is left out")
    only = "works in whose name this stands, or of networks in name and setting; and the ceiling"
    add("--only", default="", help=only)
    add("--repetitions", type=_positive, default=10, help="timed calls of each side")
    steps = 5 if pytorch.device().type == "cpu" else 50
    add("--steps", type=_positive, default=steps, help="steps in a call; on a GPU more by default")
    add("--size", type=int, choices=SIZES, default=64, help="side of the images in pixels")
    add("--width", type=_positive, default=64, help="channels of the layer next to the image")
    batches, several = [64, 256, 1024], "images in a step, one batch size or several"
    add("--batch-sizes", type=_positive, nargs="+", default=batches, help=several)
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def _say(text: str) -> None:
    print(f"{text} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
