"""What an inpainting keeps of each image: a line in `manifest.jsonl`, written after its files.

Of several processes that share the work, each has a part of its own, manifest.0-of-4.jsonl and so
on, until they are merged.

images/NAME.png         the completions, under the names of the images
candidates/2/NAME.png   the second best completions, where more than one is kept; and so on
panels/NAME.png         what a report shows of an image, side by side
trails/NAME.png         how a search came there: a row for each start, a column for each step
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from ce_jax import files
from ce_jax.inpainting.shards import WHOLE, Shard

Record = Mapping[str, Any]

_OPEN_AT_ONCE = 256


class OutputError(ValueError):
    """An output folder that cannot be written to, or holds something else."""


class Position(NamedTuple):
    """Where a line begins, in bytes."""

    path: Path
    start: int


class Manifest:
    """The manifest of a folder, and the files that it speaks of."""

    def __init__(self, folder: Path, shard: Shard = WHOLE) -> None:
        """Of a folder that may hold none yet; lines are added to the part of the shard."""
        self.folder = folder
        self.whole = folder / "manifest.jsonl"
        self.path = self.whole if shard == WHOLE else folder / f"manifest.{shard}.jsonl"

    def parts(self) -> list[Path]:
        """What several processes have added and nobody has merged yet."""
        return sorted(self.folder.glob("manifest.*-of-*.jsonl"))

    def find(self) -> dict[str, Position]:
        """The newest line of each image, by name; one that was cut off or damaged is no line.

        Nor is one whose name leads out of the folder: files are read, and removed, by their names.
        """
        found = {}
        for path in filter(Path.is_file, (self.whole, *self.parts())):
            start = 0
            with path.open("rb") as lines:
                for text in lines:
                    record = files.json_object(text) if text.endswith(b"\n") else {}
                    if {"name", "status"} <= record.keys() and _is_within(record["name"]):
                        found[record["name"]] = Position(path, start)
                    start += len(text)
        return found

    def read(self, lines: Iterable[Position]) -> Iterator[dict[str, Any]]:
        """What lines say, one after another; of few files, each is opened once."""
        with ExitStack() as held:
            opened: dict[Path, IO[bytes]] = {}
            for path, start in lines:
                if path not in opened:
                    if len(opened) == _OPEN_AT_ONCE:
                        held.close()
                        opened.clear()
                    opened[path] = held.enter_context(path.open("rb"))
                opened[path].seek(start)
                yield files.json_object(opened[path].readline())

    def records(self) -> Iterator[Record]:
        """What the newest line of each image says, in the order in which they were first tried."""
        return self.read(self.find().values())

    def completed(self) -> Iterator[Record]:
        """What is said of the images that are done."""
        return (record for record in self.records() if record["status"] == "done")

    def mend(self) -> None:
        """Removes a last line that was cut off, so that the next one begins a line of its own."""
        if self.path.is_file():
            os.truncate(self.path, len(_complete(self.path)))

    def append(self, records: Iterable[Record]) -> dict[str, Position]:
        """Adds lines, which are on the disk when it returns; it says where."""
        added = {}
        with self.path.open("ab") as manifest:
            for record in records:
                added[record["name"]] = Position(self.path, manifest.tell())
                text = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
                # A file name need not be valid text: what cannot be encoded becomes an escape.
                manifest.write(text.encode(errors="backslashreplace"))
            manifest.flush()
            os.fsync(manifest.fileno())
        return added

    def merge(self) -> None:
        """Makes one manifest of all parts; none of them may still be written to."""
        if parts := self.parts():
            with files.replacing(self.whole) as merged, merged.open("wb") as file:
                for path in (self.whole, *parts):
                    file.write(_complete(path))
            files.sync_folder(self.folder)
            for path in parts:
                path.unlink()

    def file(self, kind: str, name: str) -> Path:
        """Where the picture of a kind of an image stands."""
        return self.folder / kind / f"{name}.png"

    def completions(self, record: Record) -> list[Path]:
        """The files of an image, the best completion first."""
        ranks = range(2, len(record.get("candidates", ())) + 1)
        kinds = ["images", *(f"candidates/{rank}" for rank in ranks)]
        return [self.file(kind, record["name"]) for kind in kinds]

    def written(self, name: str) -> list[Path]:
        """The files of an image that are there, whichever run wrote them.

        Of one that failed it may be none, or have a name that is too long.
        """
        ranks = (path.name for path in self.folder.glob("candidates/[0-9]*"))
        kinds = ["images", "panels", "trails", *(f"candidates/{rank}" for rank in ranks)]
        return [file for kind in kinds if os.path.isfile(file := self.file(kind, name))]


def made_of(record: Record) -> bytes:
    """What the completion of an image was made of, to tell it from that of a changed one."""
    said = {what: record.get(what) for what in ("name", "files", "hole")}
    return json.dumps(said, sort_keys=True).encode()


def _is_within(name: object) -> bool:
    """Whether a name is one of a picture, and stays below the folder that it is looked up in."""
    if not isinstance(name, str):
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _complete(path: Path) -> bytes:
    """The complete lines of a file, which need not exist."""
    content = path.read_bytes() if path.is_file() else b""
    return content[: content.rfind(b"\n") + 1]
