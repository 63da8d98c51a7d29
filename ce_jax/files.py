"""Files that are there either wholly or not at all, whatever happens while they are written.

A path may lie in an object store (gs://, s3://), where every file is whole by itself.
"""

import errno
import fcntl
import json
import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import IO, Any

from etils import epath

_ABOUT_A_NAME = (
    *(errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
)
_PASSING = re.compile(r"\.lock|\.[0-9a-f]{32}\.tmp")


# What reads and writes there, for epath and for orbax.
_STORES = {"gs": "gcsfs", "s3": "s3fs"}


class PlaceError(ValueError):
    """A place where no files can be kept."""


def place(path: str | os.PathLike) -> epath.Path:
    """A folder or file on a disk or in an object store; `~` is the home of the user.

    Raises:
        PlaceError: it is in a store of an unknown kind, or the library of its kind is missing.
    """
    scheme, _, _ = os.fspath(path).partition("://")
    if is_remote(path):
        if scheme not in _STORES:
            raise PlaceError(f"{path}: there is no {scheme}://; known are gs:// and s3://.")
        library = _STORES[scheme]
        if find_spec(library) is None:
            raise PlaceError(f"{path} needs {library}: pip install {library}")
    return epath.Path(path).expanduser()


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path lies in an object store."""
    return "://" in os.fspath(path)


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A path to write to, beside `path`, which takes its place when all went well.

    Parent folders are created; an existing file is replaced. What is in the file is on the disk
    before it has its name; that it has its name, only after `sync_folder`.
    """
    if is_remote(path):
        with tempfile.TemporaryDirectory() as folder:
            yield (local := Path(folder, "file"))
            epath.Path(path).write_bytes(local.read_bytes())
        return
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def printable(path: PurePath) -> str:
    """A relative path as manifests name what is there: letters that cannot be printed are `_`."""
    return "".join(letter if letter.isprintable() else "_" for letter in path.as_posix())


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text; what is no text in a file name (lone surrogates) becomes an escape."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    if not is_remote(path):
        sync_folder(Path(path).parent)


def json_object(text: str | bytes) -> dict[str, Any]:
    """The JSON object in a text; an empty one if that is not what it holds."""
    try:
        found = json.loads(text.decode(errors="replace") if isinstance(text, bytes) else text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def json_objects(path: str | os.PathLike) -> Iterator[dict[str, Any]]:
    """The JSON objects in a file, one a line; one that was cut off or damaged is no line.

    They are read one after another, however many; none, where there is no file.
    """
    if (path := epath.Path(path)).is_file():
        with path.open("rb") as file:
            yield from filter(None, map(json_object, file))


def sync(path: Path) -> None:
    """Waits until what is in a file is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk.

    One call serves all files that were written there before: it costs as much as one of them.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hold(file: IO, *, shared: bool = False) -> bool:
    """Whether this open file is now ours, or shared among those who also only share it.

    The system lets go of it when the file is closed, and so with the process, however that ends.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_about_name(error: OSError) -> bool:
    """Whether a disk refuses the name of one file; all else that it says is about every file."""
    return error.errno in _ABOUT_A_NAME


def is_passing(path: Path | epath.Path) -> bool:
    """Whether a file is a lock or the beginning of another, and nothing that was to be kept."""
    return _PASSING.fullmatch(path.name) is not None


def walk(folder: Path, *, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Visible files under a folder in order of name; no link is followed back up.

    Raises:
        OSError: a folder cannot be listed.
    """
    here = os.path.realpath(folder)
    if here in above:
        return
    for path in (folder / name for name in sorted(os.listdir(folder)) if name[0] != "."):
        if path.is_dir():
            yield from walk(path, above=above | {here})
        else:
            yield path


def sweep(folder: Path) -> None:
    """Removes beginnings of files that a process left when it was killed; locks stay."""
    for path in folder.rglob(".*.tmp"):
        if is_passing(path):
            path.unlink(missing_ok=True)
