"""What a file was when it was read, so that a later change under the same name is noticed."""

import functools
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

# More than the threads that read ahead: one file that serves many images is read through once.
_REMEMBERED = 64


class Stamp(NamedTuple):
    """Size in bytes, time of the last change in ns, and the SHA-256 of the content."""

    size: int
    modified: int
    sha256: str


def stamp(path: Path) -> Stamp:
    """Of a file that is about to be read: a change from here on shows as another stamp."""
    status = os.stat(path)
    sha256 = _sha256(path, status.st_size, status.st_mtime_ns)
    return Stamp(status.st_size, status.st_mtime_ns, sha256)


def unchanged(before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Path]) -> bool:
    """Whether these are the files that were read before, by their roles."""
    return before.keys() == now.keys() and all(
        is_still(now[role], Stamp(**known)) for role, known in before.items()
    )


def is_still(path: Path, known: Stamp) -> bool:
    """Whether a file is there, and what it was.

    One of the same size and time is the same, as for make and rsync; of any other, the content
    decides.
    """
    try:
        status = os.stat(path)
        if (status.st_size, status.st_mtime_ns) == (known.size, known.modified):
            return True
        return status.st_size == known.size and stamp(path).sha256 == known.sha256
    except OSError:
        return False


@functools.lru_cache(_REMEMBERED)
def _sha256(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
