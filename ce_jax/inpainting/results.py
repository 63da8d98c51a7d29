"""The output folder of an inpainting: the only place that it writes to.

manifest.jsonl    one JSON object an image, and the pictures that it speaks of (see `manifest`)
metrics.json      the means with their intervals, what was run, and the captions of the panels
report.html       all of it to look at

Of an image that is done no more is held in memory than where its line stands, so that a run over
many needs no more than one over few.
"""

import heapq
import json
import math
from array import array
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np

from ce_jax import files, images, metrics
from ce_jax.inpainting import claims
from ce_jax.inpainting.finishing import Finished
from ce_jax.inpainting.manifest import Manifest, Position, Record
from ce_jax.inpainting.pairing import Failure
from ce_jax.inpainting.perceptual import SetFigures, digest
from ce_jax.inpainting.report import Line, row_of, write_report
from ce_jax.inpainting.shards import WHOLE, Shard
from ce_jax.metrics import Estimate

# Files are waited for together, which a disk does in little more time than for one of them.
_WRITERS = 8
# Lines that are looked at together when a run goes on.
_AT_ONCE = 4096


class Results:
    """The results of one inpainting in its folder, old ones of the same config included.

    A context manager: while it is open, the folder is held, and no other process gets it.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        names: Sequence[str],
        *,
        shown: Container[str],
        worst: int,
        overwrite: bool = False,
        shard: Shard = WHOLE,
        is_current: Callable[[Record], bool] = lambda record: True,
    ) -> None:
        """Takes possession of the folder, or of a part of it beside others with other parts.

        Args:
            folder: created if need be.
            identity: everything that the results depend on, as JSON types.
            names: the images, in order; what the folder knows of others is left out.
            shown: the images that the report shows.
            worst: how many it shows besides, of those with the lowest PSNR over the hole.
            overwrite: remove results of another config.
            shard: the part of the images that is added to; the other parts are others'.
            is_current: whether what an image was made from is still what a line says.

        Raises:
            OutputError: as `claims.claim`.
        """
        self.folder = folder
        self._stale: set[str] = set()
        self._names, self._shown, self._worst = names, shown, worst
        self._shard, self._manifest = shard, Manifest(folder, shard)
        self._forget()
        self._added: list[Record] = []
        self._writing: list[tuple[str, Path, Future[None]]] = []
        with ExitStack() as held:
            held.enter_context(claims.claim(folder, identity, shard=shard, overwrite=overwrite))
            self._writers = held.enter_context(ThreadPoolExecutor(_WRITERS))
            self._read(is_current)
            self._held = held.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _forget(self) -> None:
        self._lines: dict[str, Position] = {}
        self._done: set[str] = set()
        self._lowest: list[float] = []  # a heap of the worst, with the sign turned

    def _remember(self, record: Record, line: Position) -> None:
        name, status = record["name"], record["status"]
        self._lines[name] = line
        (self._done.add if status == "done" else self._done.discard)(name)
        heapq.heappush(self._lowest, -psnr_of(record))
        if len(self._lowest) > self._worst:
            heapq.heappop(self._lowest)

    def _read(self, is_current: Callable[[Record], bool]) -> None:
        """What is known of the images, without what was lost or made from other files."""
        found = self._manifest.find()
        known = [found[name] for name in self._names if name in found]

        def look(line: Position) -> Record | None:
            record = next(self._manifest.read([line]))
            if record["status"] != "done" or not self._shard.has(record["name"]):
                return record
            there = all(file.is_file() for file in self._manifest.completions(record))
            return record if there and is_current(record) else None

        for first in range(0, len(known), _AT_ONCE):
            lines = known[first : first + _AT_ONCE]
            for line, record in zip(lines, self._writers.map(look, lines), strict=True):
                if record is not None:
                    self._remember(record, line)
        self._stale = found.keys() & set(self._names) - self._lines.keys()

    @property
    def outdated(self) -> int:
        """How many were done, but are not there any more or were made from other files."""
        return len(self._stale)

    def records(self) -> Iterator[Record]:
        """What the manifest says of the images, in their order; nothing of those not yet tried."""
        known = (self._lines[name] for name in self._names if name in self._lines)
        return self._manifest.read(known)

    def is_done(self, name: str) -> bool:
        """Whether this image was completed before, by this config, and its files are there."""
        return name in self._done

    def is_tried(self, name: str) -> bool:
        """Whether this image was completed, or has failed."""
        return name in self._lines

    def add(self, finished: Finished, *, write: Callable[[Path, np.ndarray], None]) -> None:
        """Writes the completions of an image; `commit` then adds its line to the manifest.

        Args:
            finished: its panel is made only if the report may show it.
            write: what writes a completion to its file.
        """
        record, file = finished.record, self._manifest.file
        name = record["name"]
        paths = self._manifest.completions(record)
        for path, completion in zip(paths, finished.ranked, strict=True):
            self._begin(name, write, path, completion)
        if name in self._shown or psnr_of(record) < self._worst_so_far():
            panel = np.concatenate(finished.panel(), axis=1)
            self._begin(name, images.write_png, file("panels", name), panel)
        if finished.strips is not None:
            sheet = np.concatenate(finished.strips)
            sheet = images.grid(sheet, columns=finished.strips.shape[1], gap=0)
            self._begin(name, images.write_png, file("trails", name), sheet)
        self._added.append(record)

    def fail(self, failure: Failure) -> None:
        """Notes an image that has no completion, and why."""
        record = {"name": failure.name, "status": "failed", "reason": failure.reason}
        self._added.append(record | ({"restarts": failure.restarts} if failure.restarts else {}))

    def commit(self) -> None:
        """Adds the lines of all images since the last time, once their files are on the disk."""
        if not self._added:
            return
        failed = {}
        for name, path, future in self._writing:
            try:
                future.result()
            except images.UnreadableImage as error:
                failed[name] = {"name": name, "status": "failed", "reason": str(error)}
            except OSError as error:
                if not files.is_about_name(error):
                    raise
                reason = f"{path}: cannot be written ({error.strerror})"
                failed[name] = {"name": name, "status": "failed", "reason": reason}
        written = [path for name, path, _ in self._writing if name not in failed]
        for folder in {up for path in written for up in path.parents}:
            if folder.is_relative_to(self.folder):
                files.sync_folder(folder)
        added = [failed.get(record["name"], record) for record in self._added]
        # What an earlier run has left of those that fail now is no completion of theirs.
        for record in added:
            for file in self._manifest.written(record["name"]) if "reason" in record else ():
                file.unlink()
        lines = self._manifest.append(added)
        for record in added:
            self._remember(record, lines[record["name"]])
            self._stale.discard(record["name"])
        self._added, self._writing = [], []

    def _begin(
        self, name: str, write: Callable[[Path, np.ndarray], None], path: Path, image: np.ndarray
    ) -> None:
        self._writing.append((name, path, self._writers.submit(write, path, image)))

    def refresh(self) -> bool:
        """Reads what others have added; whether all images are accounted for."""
        if self._shard != WHOLE:
            found = self._manifest.find()
            lines = [found[one] for one in self._names if one in found and one not in self._stale]
            self._forget()
            for line, record in zip(lines, self._manifest.read(lines), strict=True):
                self._remember(record, line)
        return len(self._lines) == len(self._names)

    def completion(self, name: str) -> np.ndarray:
        """The best completion of an image that is done, uint8 [s, s, 3]."""
        return images.read(self._manifest.file("images", name))

    def summarise(
        self,
        facts: Mapping[str, str],
        captions: Sequence[str],
        *,
        title: str,
        of_set: SetFigures | None,
        resamples: int,
    ) -> None:
        """Writes `metrics.json` and `report.html` from everything in the manifest.

        Args:
            facts: what was run.
            captions: of the pictures in a panel.
            title: of the report.
            of_set: figures of all completions of the method together, where they are known.
            resamples: as for `metrics.summary`.
        """
        lines, failures, seen = self._surveyed(resamples)
        remarks = {}
        if of_set is not None:
            lines[of_set.method] = {**lines.get(of_set.method, {}), **of_set.figures}
            remarks[of_set.method] = of_set.remark
        summary = {
            "facts": facts,
            "captions": captions,
            "done": len(self._done),
            "failed": len(failures),
            "figures": {
                method: {name: estimate.to_json() for name, estimate in line.items()}
                for method, line in lines.items()
            },
            "remarks": remarks,
        }
        if of_set is not None:
            summary["measured"] = digest(self.records())
        files.write_text(self.folder / "metrics.json", json.dumps(summary, indent=2) + "\n")
        write_report(
            self.folder / "report.html",
            title=title,
            completed=len(self._done),
            facts=facts,
            figures={"": [Line(one, line, remarks.get(one, "")) for one, line in lines.items()]},
            rows=[row for record in seen if (row := row_of(self._manifest, record, captions))],
            failures=failures,
        )

    def _surveyed(
        self, resamples: int
    ) -> tuple[dict[str, dict[str, Estimate]], list[tuple[str, str]], list[Record]]:
        """The means of each method; who failed, and why; and the images that the report shows."""
        limit = self._worst_so_far()
        columns = defaultdict(lambda: defaultdict(lambda: array("d")))
        failures, seen = [], []
        for record in self.records():
            if record["status"] != "done":
                failures.append((record["name"], record["reason"]))
                continue
            for method, measured in record["figures"].items():
                for name, value in measured.items():
                    columns[method][name].append(value)
            psnr = psnr_of(record)
            if record["name"] in self._shown or (psnr < math.inf and psnr <= limit):
                seen.append(record)
        means = {
            method: metrics.summary(each, resamples=resamples) for method, each in columns.items()
        }
        return means, failures, seen

    def _worst_so_far(self) -> float:
        """The PSNR below which an image is one of the worst; infinite while there are few."""
        if self._worst == 0:
            return -math.inf
        return -self._lowest[0] if len(self._lowest) == self._worst else math.inf


def psnr_of(record: Record) -> float:
    """PSNR of an image over the hole, in dB; infinite where it is not known."""
    figures = next(iter(record.get("figures", {}).values()), {})
    return figures.get("hole/psnr", math.inf)
