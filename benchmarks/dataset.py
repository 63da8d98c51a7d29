"""Inpainting whole folders: images a second and peak memory against their number.

    python -m benchmarks.dataset --out runs/dataset

Folders of small PNG files (hard links to a few, so that they take no room) are completed by
inpaint.py in a process of its own: by Laplace fill, which is nearly nothing, so that what is left
is the price of reading, blending, writing and remembering. Images a second are those after the
first batch of 100, from its last file to that of the run: without the start of the program.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.page import publish
from ce_jax.images import write_png

_DISTINCT, _SIZE, _BATCH = 64, 64, 100


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the flags, does the work, and reports."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dataset",
        description="Folders of images completed, against their number.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for dataset.json and dataset.md")
    counts, least = [1_000, 10_000, 50_000], 2 * _BATCH
    add("--counts", type=int, nargs="+", default=counts, help=f"images in a run, from {least} on")
    add("--repetitions", type=int, default=3, help="runs of each, of which the median is taken")
    options = parser.parse_args(arguments)
    if min(options.counts) < least:
        parser.error(f"--counts must be at least {least}: images are counted after {_BATCH}")
    options.out.mkdir(parents=True, exist_ok=True)
    runs: dict[int, list[dict[str, Any]]] = {count: [] for count in options.counts}
    for _ in range(options.repetitions):
        for count in options.counts:  # in turns, so that what else the machine does meets all
            with tempfile.TemporaryDirectory(dir=options.out) as folder:
                runs[count].append(complete(count, Path(folder)))
    rows = [{"images": count, "runs": each} for count, each in runs.items()]
    publish(options.out, "dataset", rows, as_markdown(rows))


def complete(count: int, folder: Path) -> dict[str, Any]:
    """One run over so many images; folder is empty."""
    random = np.random.default_rng(0)
    (folder / "broken").mkdir()
    for number in range(count):
        file = folder / "broken" / f"{number:06}.png"
        if number < _DISTINCT:
            noise = random.integers(0, 256, (_SIZE // 8, _SIZE // 8, 3), np.uint8)
            write_png(file, noise.repeat(8, axis=0).repeat(8, axis=1))
        else:
            os.link(folder / "broken" / f"{number % _DISTINCT:06}.png", file)
    command = [sys.executable, "inpaint.py", "configs/laplace.py"]
    command += ["--images", f"folder:{folder / 'broken'}", "--holes", "center"]
    command += ["--batch-size", str(_BATCH), "--output", str(folder / "completed")]
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    written = sorted(os.stat(file).st_mtime for file in (folder / "completed/images").iterdir())
    assert len(written) == count
    return {
        "seconds": time.monotonic() - begun,
        "images_per_second": (count - _BATCH) / (written[-1] - written[_BATCH - 1]),
        "peak_megabytes": used.ru_maxrss / 1024,
    }


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each number of images: medians over the runs."""
    lines = ["| images | images/s | peak memory, MB | whole run, s |", "|---|---|---|---|"]
    for row in rows:
        names = ("images_per_second", "peak_megabytes", "seconds")
        rate, memory, seconds = (np.median([run[name] for run in row["runs"]]) for name in names)
        lines.append(f"| {row['images']:,} | {rate:,.0f} | {memory:,.0f} | {seconds:,.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
