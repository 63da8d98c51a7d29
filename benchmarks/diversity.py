"""How unlike each other the images of a source are: 1 where all are the same, less the more differ.

    python -m benchmarks.diversity samples:celeba64[:256]
    python -m benchmarks.diversity folder:celeba/train[:256] --box 12 25 76 89

The mean SSIM of pairs, each image in one of them (Odena et al. 2017 have MS-SSIM). A generator that
has collapsed has more than the photographs that it was trained on.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from ce_jax import commands, data, metrics
from ce_jax.config import Frame


def likeness(images: np.ndarray) -> metrics.Estimate:
    """The mean SSIM of the first and the second, the third and the fourth of images, and so on.

    Args:
        images: uint8 [n, s, s, 3]; of an odd number, the last is in no pair.

    Raises:
        ValueError: fewer than two.
    """
    if len(images) < 2:
        raise ValueError(
            "one image is like nothing; name two or more, as in samples:celeba64[:256]"
        )
    first, second = images[0:-1:2], images[1::2]
    everywhere = np.ones((*first.shape[:3], 1), bool)
    found = metrics.figures(first, second, everywhere)["image/ssim"]
    return metrics.summary({"ssim": found.tolist()})["ssim"]


def main(arguments: Sequence[str]) -> int:
    """Prints the figure of one source."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.diversity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", help="as --images of inpaint.py")
    parser.add_argument("--size", type=int, default=64, help="side in pixels; 64")
    parser.add_argument("--box", type=int, nargs=4, help="left, top, right, bottom; default: all")
    options = parser.parse_args(arguments)
    frame = Frame(size=options.size, box=options.box and tuple(options.box))
    found = likeness(np.asarray(data.collection(options.source, frame)))
    pairs = f"{found.n} pairs"
    print(f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f}), {pairs} of {options.source}")
    return commands.DONE


if __name__ == "__main__":
    sys.exit(commands.run(main))
