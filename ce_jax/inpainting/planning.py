"""What an inpainting is about to do, and whether there is room for it: known before it begins."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from ce_jax import images
from ce_jax.holes import HoleError, hole_files
from ce_jax.holes.hole_files import HoleFiles
from ce_jax.holes.hole_sets import HoleSet
from ce_jax.inpainting.claims import OutputError
from ce_jax.inpainting.finishing import captions_of
from ce_jax.inpainting.pairing import Pairing
from ce_jax.inpainting.results import Results
from ce_jax.inpainting.shards import WHOLE, Shard
from ce_jax.sources import Source

T = TypeVar("T")

# Bytes of a line of the manifest.
_LINE = 1000
# Images and holes that stand for all.
_MEASURED = 32
_NAMED = 3
_LOSSY = (".jpg", ".jpeg", ".webp")


def lines(
    pairing: Pairing,
    results: Results,
    todo: Sequence[int],
    *,
    needed: int,
    shard: Shard,
) -> Iterator[str]:
    """The plan for people: images and holes, what is done already, where to and how large."""
    config, names = pairing.config, pairing.source.names
    part = "" if shard == WHOLE else f", of which part {shard} is {sum(map(shard.has, names))}"
    left_out = pairing.source.pictures.left_out
    part += f" (left out by ending: {left_out})" if left_out else ""
    yield f"{len(names)} images of {config.images}{part}; holes: {_holes(pairing)}"
    if isinstance(pairing.holes, HoleFiles) and (inverted := _inverted(pairing.holes)):
        yield inverted
    outdated = f" ({results.outdated} were, but changed since or lost)" if results.outdated else ""
    done = sum(map(results.is_done, names))
    yield f"{done} done already, {len(todo)} to do{outdated}: {config.method}, seed {config.seed}"
    free = shutil.disk_usage(results.folder).free
    if lossy := _lossy(pairing):
        yield f"{lossy} of the intact images are lossy (JPEG, WebP): figures measure that too"
    yield f"to {results.folder}: about {readable(needed)} more, {readable(free)} are free"


def needed(pairing: Pairing, todo: Sequence[int], *, shown: int) -> int:
    """Bytes that so many images need, as if nothing could be compressed.

    Of whole photographs, a few stand for all. What the report shows of an image, the page holds
    once more, as text.

    Args:
        pairing: of the images; its config says how many completions of each are written.
        todo: their indices.
        shown: how many of them the report shows, beside the worst.
    """
    config, square = pairing.config, pairing.frame.size**2
    some = evenly(todo, _MEASURED) if pairing.whole else []
    pixels = sum(_pixels(pairing.source, i) for i in some) // len(some) if some else square
    times = 2 if config.output_format == "array_record" else 1
    shown = min(len(todo), shown + config.report_worst)
    panel = len(captions_of(config)) * square
    written = times * len(todo) * config.candidates * (3 * pixels + _LINE)
    return written + shown * 3 * panel * 7 // 3


def evenly(items: Sequence[T], wanted: int) -> list[T]:
    """At most `wanted` of them, as far apart as can be and always the same."""
    wanted = min(len(items), wanted)
    return [items[i * len(items) // wanted] for i in range(wanted)]


def check_room(folder: Path, needed: int) -> None:
    """Makes sure that a folder has room for so many bytes.

    Raises:
        OutputError: less is free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{folder} has {readable(free)} free, but about {readable(needed)} are needed; make "
            "room, or choose another --output."
        )


def readable(count: int) -> str:
    """Bytes for people: 1.5 GB."""
    power = min(4, max(0, len(str(count)) - 1) // 3)
    return f"{count / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def _pixels(source: Source, index: int) -> int:
    """Pixels of a photograph, by its header if it has a file of its own; 0 if it is none."""
    path = source.file(index)
    if path is not None and (pixels := images.pixels_of(path)):
        return pixels
    try:
        return source[index][..., 0].size
    except images.UnreadableImage:
        return 0


def _lossy(pairing: Pairing) -> int:
    """How many images that results are compared with have been compressed with loss."""
    if pairing.config.truth is None and not isinstance(pairing.holes, HoleSet):
        return 0
    truth = pairing.truth or pairing.source
    paths = (truth.file(index) for index in range(len(truth)))
    return sum(path is not None and path.suffix.lower() in _LOSSY for path in paths)


def _inverted(holes: HoleFiles) -> str:
    """What to say of holes most of which look as if white were what is known; else empty."""
    some = evenly(holes.files, _MEASURED)
    white = sum(map(_is_white_around, some))
    if 2 * white <= len(some):
        return ""
    return (
        f"white is what is missing: {white} of the {len(some)} holes looked at have more white "
        "than black; if white is what is known there, invert them first"
    )


def _is_white_around(file: Path) -> bool:
    """Whether a hole is more than half of the picture and touches all four borders."""
    try:
        hole, _ = hole_files.read(file)
    except HoleError:  # which its image tells
        return False
    borders = hole[0], hole[-1], hole[:, 0], hole[:, -1]
    return hole.mean() > 0.5 and all(border.any() for border in borders)


def _holes(pairing: Pairing) -> str:
    config, holes, names = pairing.config, pairing.holes, pairing.source.names
    if isinstance(holes, HoleSet) or holes.by_stem is None:
        return config.holes
    without = [name for name in names if not holes.found(name)]
    idle = [str(file) for file in holes.idle(names)]
    remarks = [
        f"{len(some)} {what} ({', '.join(some[:_NAMED])}{', ...' if len(some) > _NAMED else ''})"
        for some, what in ((without, "images without one"), (idle, "files of no image"))
        if some
    ]
    return "; ".join([f"{len(holes.files)} in {config.holes}", *remarks])
