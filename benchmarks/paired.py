"""Two methods on the same images: whether one is better than the other, image by image.

    python -m benchmarks.paired completed/both completed/context-encoder

What makes an image easy or hard is the same for both. So the intervals of two means can overlap
where one method is better on nearly every image; that of the mean difference tells.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ce_jax import commands, metrics
from ce_jax.inpainting.manifest import Manifest

_FIGURES = ("hole/psnr", "hole/ssim", "hole/l1", "hole/l2")
_LESS_IS_BETTER = {"hole/l1", "hole/l2"}


def figures_of(folder: Path) -> dict[str, Mapping[str, float]]:
    """The figures of every image that an inpainting has measured, by name.

    Raises:
        ValueError: the folder holds none.
    """
    records = Manifest(folder).records() if folder.is_dir() else ()
    measured = {r["name"]: r["figures"] for r in records if r.get("figures")}
    if not measured:
        raise ValueError(f"{folder} holds no image that was measured; name an output of inpaint.py")
    return {name: next(iter(figures.values())) for name, figures in measured.items()}


def compared(ours: Mapping[str, Mapping], theirs: Mapping[str, Mapping]) -> list[str]:
    """A row of a Markdown table for each figure: mean difference, interval, share of wins.

    Raises:
        ValueError: both have not measured the same images.
    """
    if differing := sorted(ours.keys() ^ theirs.keys()):
        raise ValueError(f"{differing[0]} was measured in one of the folders and not in the other")
    rows = []
    for figure in _FIGURES:
        # A figure that is no number, as the PSNR of equal images, is not written down.
        pairs = [[of[name].get(figure, np.nan) for of in (ours, theirs)] for name in sorted(ours)]
        mine, other = np.asarray(pairs, np.float64).T
        both = np.isfinite(mine) & np.isfinite(other)
        if not both.any():
            rows.append(f"| {figure} | n/a | n/a | 0 |")
            continue
        difference = (mine - other)[both]
        estimate = metrics.summary({figure: difference.tolist()})[figure]
        better = difference < 0 if figure in _LESS_IS_BETTER else difference > 0
        rows.append(
            f"| {figure} | {estimate.mean:+.3g} ({estimate.low:.3g} to {estimate.high:.3g}) "
            f"| {np.mean(better):.0%} | {estimate.n} |"
        )
    return rows


def main(arguments: Sequence[str]) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paired",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("ours", type=Path, help="an output folder of inpaint.py, or a table's cell")
    parser.add_argument("theirs", type=Path, help="another one, of the same images and holes")
    options = parser.parse_args(arguments)
    rows = compared(figures_of(options.ours), figures_of(options.theirs))
    print("| figure | difference (95 % interval) | ours is better | n |\n|---|---|---:|---:|")
    print("\n".join(rows))
    return commands.DONE


if __name__ == "__main__":
    sys.exit(commands.run(main))
