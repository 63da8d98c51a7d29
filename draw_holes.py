"""Writes holes for other programs: python draw_holes.py HOLES --images SOURCE --output DIR ..."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from ce_jax import commands
from ce_jax.config.rules import SEED, require


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Draws the hole of every image, as inpaint.py would, into a folder: NAME.png, white = fill."""

    holes: Annotated[str, tyro.conf.Positional]
    """set:NAME, or a hole kind, as for inpaint.py."""
    images: str
    """The images to draw holes for; sources as for inpaint.py. Their names alone are read."""
    output: str
    """A new folder for the holes and for holes.json, which says what they are."""
    size: int = 64
    """Side of the holes in pixels."""
    seed: int = 0
    """Seed of a hole kind; a set has its own."""


def main(arguments: list[str]) -> int:
    """Draws the holes, and says what the set hashes to.

    Raises:
        ValueError: a value is impossible, or the holes are files already or would be among images.
    """
    options = tyro.cli(Drawing, args=arguments, prog="draw_holes.py")
    options = replace(options, output=str(Path(options.output).expanduser()))
    require(options.size >= 1, "size", options.size, "at least 1")
    require(SEED.holds(options.seed), "seed", options.seed, SEED.name)
    from ce_jax import sources
    from ce_jax.holes import hole_files

    holes = hole_files.resolve(options.holes, seed=options.seed)
    if isinstance(holes, hole_files.HoleFiles):
        raise ValueError(f"holes {options.holes} are files already")
    names = sources.open_source(options.images).names
    sources.keep_apart(options.images, options.output)
    hash_of_set = hole_files.write(holes, names, Path(options.output), size=options.size)
    print(f"{len(names)} holes in {options.output}; hole set {hash_of_set}")
    return commands.DONE


if __name__ == "__main__":
    sys.exit(commands.run(main))
