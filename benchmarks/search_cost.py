"""What each latent search of configs/table_search.py costs on the devices, an image.

    python -m benchmarks.search_cost --out runs/search

A batch of noise with a hole in the middle is searched for, compiled before; from the known pixels
on the device to the proposal, without the host's part. The quality of the same searches is in the
table that the config makes.
"""

import argparse
import runpy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.page import publish
from ce_jax import holes, sharding
from ce_jax.completion import methods
from ce_jax.config import Inpainting, Table
from ce_jax.runs import loading


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the flags, does the work, and reports."""
    table: Table = runpy.run_path("configs/table_search.py")["get_config"]()
    searches = {
        entry.method: entry.inpainting
        for entry in table.entries
        if entry.inpainting.method == "latent"
    }
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search_cost",
        description="Device time of latent searches, against the first of them.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for search.json and search.md")
    add("--batch-size", type=int, default=32, help="images in a batch")
    add("--repetitions", type=int, default=3, help="timed batches; the median is taken")
    names = {"choices": searches, "default": list(searches), "metavar": "SEARCH"}
    add("--only", nargs="+", **names, help="searches to time, by name")
    options = parser.parse_args(arguments)
    rows = [{"search": name, **cost(searches[name], options)} for name in options.only]
    publish(options.out, "search", rows, as_markdown(rows))


def cost(inpainting: Inpainting, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the devices for an image, of each repetition."""
    trained = loading.networks_of(inpainting)
    assert trained is not None
    complete = methods.build(inpainting, trained, sharding.make_mesh())
    count, size = options.batch_size, trained.config.data.frame.size
    images = np.random.default_rng(0).uniform(-1, 1, (count, size, size, 3)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), count)
    hole = holes.draw(holes.parse("center"), keys, size=size)
    images, hole = jax.device_put((images, hole))
    seconds = []
    for repetition in range(options.repetitions + 1):
        key = jax.random.split(jax.random.key(repetition), count)
        begun = time.monotonic()
        jax.block_until_ready(complete(images, hole, key))
        seconds.append((time.monotonic() - begun) / count)
    return {"steps": inpainting.latent.steps, "seconds": seconds[1:]}  # the first one compiles


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each search; how many times faster than the first."""
    lines = ["| search | device ms an image | times faster |", "|---|---|---|"]
    first = np.median(rows[0]["seconds"])
    for row in rows:
        median = np.median(row["seconds"])
        lines.append(f"| {row['search']} | {1000 * median:,.1f} | {first / median:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
