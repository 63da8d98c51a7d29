"""`folder:PATH`: images in a folder and its sub-folders."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ce_jax.files import printable, walk
from ce_jax.images import ENDINGS
from ce_jax.sources.source import Files, Opened, SourceError


def open_folder(location: str, spec: str) -> Opened:
    """All images under a folder.

    Raises:
        SourceError: no folder, one that cannot be listed, or no images in it.
    """
    folder = Path(location).expanduser()
    if not location or not folder.is_dir():
        raise SourceError(f"{spec!r}: {location!r} is not a folder")
    try:
        files = list(walk(folder))
    except OSError as error:
        raise SourceError(f"{error.filename}: cannot be listed ({error.strerror})") from error
    paths = [path for path in files if path.suffix.lower() in ENDINGS]
    if not paths:
        seen = ", ".join(str(path.relative_to(folder)) for path in files[:5])
        raise SourceError(
            f"{spec!r}: no images ({' '.join(ENDINGS)}) in {folder}; "
            + (f"of {len(files)} files the first are: {seen}" if files else "it holds no files")
        )
    others = Counter(path.suffix.lower() or "without one" for path in files)
    left_out = ", ".join(
        f"{count} {ending}" for ending, count in others.most_common() if ending not in ENDINGS
    )
    return _unique([path.relative_to(folder) for path in paths]), Files(paths, left_out)


def _unique(paths: Sequence[Path]) -> Sequence[str]:
    """Names for relative paths: without extension where that is unique, else with, else counted."""
    # Undecodable bytes and line breaks in file names would break manifests later.
    shared = Counter(printable(path.with_suffix("")).casefold() for path in paths)
    taken: set[str] = set()
    names = []
    for path in paths:
        stem = printable(path.with_suffix(""))
        base = candidate = stem if shared[stem.casefold()] == 1 else printable(path)
        count = 1
        while candidate.casefold() in taken:
            count += 1
            candidate = f"{base}-{count}"
        taken.add(candidate.casefold())
        names.append(candidate)
    return names
