"""Poisson blending on one core: images a second and the residual, for each kind of hole.

    python -m benchmarks.blending --out runs/blending

The right-hand side, the solution and the clipping are all in it. With the same hole for all images
it is factored before; otherwise every image brings its own. Processor time, in one thread.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.page import publish
from ce_jax import holes
from ce_jax.blending import poisson
from ce_jax.membranes import forget

KINDS = ("center", "half", "block", "pattern", "free-form:20-30", "random:0.8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the flags, does the work, and reports."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.blending",
        description="Poisson blending on one core, for each kind of hole.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for blending.json and blending.md")
    add("--sizes", type=int, nargs="+", default=[64, 128], help="sides of the images in pixels")
    add("--images", type=int, default=64, help="images in a call")
    add("--repetitions", type=int, default=10, help="timed calls")
    options = parser.parse_args(arguments)
    rows = [
        measure(kind, size, images=options.images, repetitions=options.repetitions, same=same)
        for size in options.sizes
        for kind in KINDS
        for same in (True, False)
    ]
    publish(options.out, "blending", rows, as_markdown(rows))


def measure(kind: str, size: int, *, images: int, repetitions: int, same: bool) -> dict[str, Any]:
    """Blends noise into noise: as hard as anything for a direct solver.

    Args:
        kind: of the holes.
        size: side of the images in pixels.
        images: in a call.
        repetitions: timed calls.
        same: one hole for all images of all calls; else one for each.
    """
    random = np.random.default_rng(0)
    known, proposal = random.uniform(-1, 1, (2, images, size, size, 3))
    keys = jax.random.split(jax.random.key(0), images * (repetitions + 1))
    drawn = np.asarray(holes.draw(holes.parse(kind), keys, size=size))
    drawn = drawn.reshape(repetitions + 1, images, size, size, 1)
    drawn = np.broadcast_to(drawn[:1, :1], drawn.shape) if same else drawn
    seconds = []
    for hole in drawn:
        if not same:
            forget()
        begun = time.process_time()
        poisson(known, proposal, hole)
        seconds.append((time.process_time() - begun) / images)
    low, median, high = np.quantile(seconds[1:], (0.25, 0.5, 0.75))
    return {
        "kind": kind,
        "size": size,
        "hole": "the same" if same else "a new one each",
        "missing": float(drawn.mean()),
        "images_per_second": float(1 / median),
        "quartiles": [float(1 / high), float(1 / low)],
        "residual": residual(known, proposal, drawn[-1]),
    }


def residual(known: np.ndarray, proposal: np.ndarray, hole: np.ndarray) -> float:
    """The largest error of Laplace's equation in a blend, relative to the largest value.

    Of a small part of the contrast, so that nothing is clipped.
    """
    part = 1e-3
    blend = poisson(part * known, part * proposal, hole)
    away = (blend - part * proposal) / part  # harmonic in the hole
    padded = np.pad(away, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    sums = np.sum([np.roll(padded, step, axis) for step in (-1, 1) for axis in (1, 2)], axis=0)
    error = (sums[:, 1:-1, 1:-1] - 4 * away) * hole
    return float(np.abs(error).max() / np.abs(away).max())


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each kind of hole."""
    lines = [
        "| holes | pixels | missing | hole | images/s on one core (quartiles) | residual |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["quartiles"]
        lines.append(
            f"| `{row['kind']}` | {row['size']}² | {row['missing']:.0%} | {row['hole']} | "
            f"{row['images_per_second']:,.0f} ({low:,.0f}–{high:,.0f}) | {row['residual']:.0e} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
