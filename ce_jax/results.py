"""The output folder of an inpainting: the only place that it writes to, and never anybody else's.

manifest.jsonl    one JSON object an image, and the pictures that it speaks of (see `manifest`)
metrics.json      the means with their intervals, what was run, and the captions of the panels
report.html       all of it to look at
inpainting.json   the config that the results belong to
.lock             held by whoever is writing; the file itself means nothing
"""

import bisect
import json
import math
import time
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Self

import numpy as np

from ce_jax import files, images, metrics, packing
from ce_jax.finishing import Finished
from ce_jax.manifest import Manifest, Record
from ce_jax.metrics import Estimate
from ce_jax.pairing import Failure
from ce_jax.perceptual import SetFigures
from ce_jax.report import Line, write_report
from ce_jax.shards import WHOLE, Shard

# Files are waited for together, which a disk does in little more time than for one of them.
_WRITERS = 8
# Seconds that others may need to take possession of a folder that is to be shared with them.
_PATIENCE = 10
_OURS = ("manifest.jsonl", "metrics.json", "report.html", "inpainting.json")


class OutputError(ValueError):
    """An output folder that cannot be written to, or holds something else."""


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
            overwrite: remove the results that are there.
            shard: the part of the images that is added to; the other parts are others'.
            is_current: whether what an image was made from is still what a line says.

        Raises:
            OutputError: the folder cannot be written, holds other files, or results of another
                config, or another process is writing to it.
        """
        self.folder = folder
        self._names, self._shown, self._worst = names, shown, worst
        self._shard, self._manifest = shard, Manifest(folder, shard)
        self._added: list[Record] = []
        self._writing: list[tuple[str, Path, Future[None]]] = []
        with ExitStack() as held:
            try:
                self._claim(identity, held, overwrite=overwrite)
            except OSError as error:
                raise OutputError(
                    f"{folder} cannot be written ({error.strerror}); choose another --output."
                ) from error
            self._writers = held.enter_context(ThreadPoolExecutor(_WRITERS))
            self._read(is_current)
            self._held = held.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _claim(self, identity: Mapping[str, Any], held: ExitStack, *, overwrite: bool) -> None:
        """Takes the folder, alone; with a shard, lets others in once it is ours."""
        self._refuse_others(identity, overwrite=overwrite)
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = held.enter_context((self.folder / ".lock").open("a+"))
        alone = self._take(lock)
        if alone:
            # Now that nobody else can: it may have changed in the meantime.
            self._refuse_others(identity, overwrite=overwrite)
            if overwrite:
                self._clear()
            files.sweep(self.folder)
            files.write_text(self.folder / "inpainting.json", json.dumps(identity, indent=2) + "\n")
        else:
            self._refuse_others(identity, overwrite=False)
        if self._shard == WHOLE:
            self._manifest.merge()
        else:
            self._share(lock, held)
        self._manifest.mend()

    def _take(self, lock: IO) -> bool:
        """Holds the folder: alone if possible, else, with a shard, beside others with shards."""
        deadline = time.monotonic() + _PATIENCE
        while not files.hold(lock):
            if self._shard == WHOLE or time.monotonic() > deadline:
                raise OutputError(
                    f"{self.folder} is being written to by another process; wait until it has "
                    "ended, or choose another --output."
                )
            # Whoever comes first holds it alone for the moment in which it becomes theirs.
            if files.hold(lock, shared=True) and (self.folder / "inpainting.json").is_file():
                return False
            time.sleep(0.05)
        return True

    def _share(self, lock: IO, held: ExitStack) -> None:
        files.hold(lock, shared=True)
        others = [path.name for path in self._manifest.parts() if self._of_other_count(path)]
        if others:
            raise OutputError(
                f"{self.folder} holds {others[0]}, a part of another number of shards than "
                f"{self._shard.count}; run once without --shard, which merges the parts."
            )
        part = held.enter_context(self._manifest.path.open("a"))
        if not files.hold(part):
            raise OutputError(
                f"shard {self._shard} of {self.folder} is being written by another process; give "
                "each process a --shard of its own."
            )

    def _of_other_count(self, part: Path) -> bool:
        return not part.name.endswith(f"-of-{self._shard.count}.jsonl")

    def _refuse_others(self, identity: Mapping[str, Any], *, overwrite: bool) -> None:
        folder, record = self.folder, self.folder / "inpainting.json"
        if record.is_file():
            before = files.json_object(record.read_text(encoding="utf-8"))
            # What an older version did not know of, was off.
            changed = sorted(
                k
                for k in before.keys() | identity.keys()
                if (before.get(k) or None) != (identity.get(k) or None)
            )
            if changed and not overwrite:
                name = changed[0]
                raise OutputError(
                    f"{folder} holds results with another {' and '.join(changed)} ({name}: "
                    f"{before.get(name)!r} there, {identity.get(name)!r} now); "
                    "choose another --output, or --overwrite."
                )
        elif folder.exists() and not all(map(files.is_passing, folder.iterdir())):
            raise OutputError(f"{folder} holds other files; choose a new or empty --output.")

    def _read(self, is_current: Callable[[Record], bool]) -> None:
        """What is known of the images, without what was lost or made from other files."""
        known = self._manifest.read()
        known = [known[name] for name in self._names if name in known]

        def is_kept(record: Record) -> bool:
            if record["status"] != "done" or not self._shard.has(record["name"]):
                return True
            there = all(file.is_file() for file in self._manifest.completions(record))
            return there and is_current(record)

        kept = list(self._writers.map(is_kept, known))
        self.outdated = kept.count(False)
        self._records = {
            record["name"]: record for record, is_kept in zip(known, kept, strict=True) if is_kept
        }
        self._psnr = sorted(map(psnr_of, self._records.values()))

    @property
    def records(self) -> list[dict[str, Any]]:
        """What the manifest says of the images, in their order; nothing of those not yet tried."""
        return [self._records[name] for name in self._names if name in self._records]

    def is_done(self, name: str) -> bool:
        """Whether this image was completed before, by this config, and its files are there."""
        return name in self._records and self._records[name]["status"] == "done"

    def add(self, finished: Finished, *, write: Callable[[Path, np.ndarray], None]) -> None:
        """Writes the completions of an image; `commit` then adds its line to the manifest.

        Args:
            finished: its panel is made only if the report may show it.
            write: what writes a completion to its file.
        """
        record, file = finished.record, self._manifest.file
        name = record["name"]
        for path, completion in zip(
            self._manifest.completions(record), finished.ranked, strict=True
        ):
            self._begin(name, write, path, completion)
        if name in self._shown or psnr_of(record) < self._worst_so_far():
            panel = np.concatenate(finished.panel(), axis=1)
            self._begin(name, images.write_png, file("panels", name), panel)
        if finished.strips is not None:
            sheet = np.concatenate(finished.strips)
            sheet = images.grid(sheet, columns=finished.strips.shape[1], gap=0)
            self._begin(name, images.write_png, file("trails", name), sheet)
        bisect.insort(self._psnr, psnr_of(record))
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
        for name, _, future in self._writing:
            try:
                future.result()
            except images.UnreadableImage as error:
                failed[name] = {"name": name, "status": "failed", "reason": str(error)}
        written = [path for name, path, _ in self._writing if name not in failed]
        for folder in {up for path in written for up in path.parents}:
            if folder.is_relative_to(self.folder):
                files.sync_folder(folder)
        added = [failed.get(record["name"], record) for record in self._added]
        self._manifest.append(added)
        self._records |= {record["name"]: dict(record) for record in added}
        self._added, self._writing = [], []

    def _begin(
        self, name: str, write: Callable[[Path, np.ndarray], None], path: Path, image: np.ndarray
    ) -> None:
        self._writing.append((name, path, self._writers.submit(write, path, image)))

    def refresh(self) -> bool:
        """Reads what others have added; whether all images are accounted for."""
        if self._shard != WHOLE:
            known = self._manifest.read()
            self._records = {name: known[name] for name in self._names if name in known}
            self._psnr = sorted(map(psnr_of, self._records.values()))
        return len(self._records) == len(self._names)

    def completion(self, name: str) -> np.ndarray:
        """The best completion of an image that is done, uint8 [s, s, 3]."""
        return images.read(self._manifest.file("images", name))

    def of_set(self, method: str, facts: Mapping[str, str], *, count: int) -> SetFigures | None:
        """Figures of a set of so many images as they were last written, if with these facts."""
        file = self.folder / "metrics.json"
        before = files.json_object(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if any(before.get("facts", {}).get(name) != value for name, value in facts.items()):
            return None
        found = before.get("figures", {}).get(method, {})
        figures = {k: Estimate.from_json(v) for k, v in found.items() if k.startswith("set/")}
        if not figures or any(one.n != count for one in figures.values()):
            return None
        return SetFigures(figures, before.get("remarks", {}).get(method, ""))

    def summarise(
        self,
        facts: Mapping[str, str],
        captions: Sequence[str],
        *,
        title: str,
        of_sets: Mapping[str, SetFigures] = MappingProxyType({}),
    ) -> None:
        """Writes `metrics.json` and `report.html` from everything in the manifest.

        Args:
            facts: what was run.
            captions: of the pictures in a panel.
            title: of the report.
            of_sets: figures of all completions of a method together, where they are known.
        """
        done = [record for record in self.records if record["status"] == "done"]
        lines = _figures(done)
        for method, of_set in of_sets.items():
            lines[method] = {**lines.get(method, {}), **of_set.figures}
        remarks = {method: of_set.remark for method, of_set in of_sets.items()}
        limit = self._worst_so_far()
        seen = [r for r in done if r["name"] in self._shown or psnr_of(r) <= limit]
        files.write_text(
            self.folder / "metrics.json",
            json.dumps(
                {
                    "facts": facts,
                    "captions": captions,
                    "done": len(done),
                    "failed": len(self.records) - len(done),
                    "figures": {
                        method: {name: estimate.to_json() for name, estimate in line.items()}
                        for method, line in lines.items()
                    },
                    "remarks": remarks,
                },
                indent=2,
            )
            + "\n",
        )
        write_report(
            self.folder / "report.html",
            title=title,
            completed=len(done),
            facts=facts,
            figures={"": [Line(one, line, remarks.get(one, "")) for one, line in lines.items()]},
            rows=[row for record in seen if (row := self._manifest.row(record, captions))],
            failures=[
                (record["name"], record["reason"])
                for record in self.records
                if record["status"] != "done"
            ],
        )

    def _worst_so_far(self) -> float:
        """The PSNR below which an image is one of the worst; infinite while there are few."""
        if self._worst == 0:
            return -math.inf
        return self._psnr[self._worst - 1] if len(self._psnr) >= self._worst else math.inf

    def _clear(self) -> None:
        """Removes what `add` and `summarise` wrote, and nothing that somebody put beside it."""
        written = [
            file
            for name, record in self._manifest.read().items()
            for kind in ("panels", "trails")
            for file in (*self._manifest.completions(record), self._manifest.file(kind, name))
        ]
        for file in written:
            file.unlink(missing_ok=True)
        folders = {up for file in written for up in file.parents if self.folder in up.parents}
        for folder in sorted(folders, reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        packing.remove(self.folder)
        for path in (*self._manifest.parts(), *(self.folder / name for name in _OURS)):
            path.unlink(missing_ok=True)


def psnr_of(record: Record) -> float:
    """PSNR of an image over the hole, in dB; infinite where it is not known."""
    figures = next(iter(record.get("figures", {}).values()), {})
    return figures.get("hole/psnr", math.inf)


def _figures(done: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Estimate]]:
    """Method -> figure -> its mean over all images that have figures."""
    methods = dict.fromkeys(method for record in done for method in record["figures"])
    return {
        method: metrics.summary([r["figures"][method] for r in done if method in r["figures"]])
        for method in methods
    }
