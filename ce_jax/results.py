"""The output folder of an inpainting: the only place that it writes to, and never anybody else's.

manifest.jsonl    one JSON object an image, and the pictures that it speaks of (see `manifest`)
metrics.json      the means with their intervals, what was run, and the captions of the panels
report.html       all of it to look at
inpainting.json   the config that the results belong to
"""

import bisect
import json
import math
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ce_jax import files, images, metrics
from ce_jax.manifest import Manifest, Record, json_object
from ce_jax.metrics import Estimate
from ce_jax.perceptual import SetFigures
from ce_jax.report import Line, write_report


class OutputError(ValueError):
    """An output folder that holds something else."""


class Results:
    """The results of one inpainting in its folder, old ones of the same config included."""

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        names: Sequence[str],
        *,
        shown: Container[str],
        worst: int,
        overwrite: bool,
    ) -> None:
        """Takes possession of the folder.

        Args:
            folder: created if need be.
            identity: everything that the results depend on, as JSON types.
            names: the images, in order; what the folder knows of others is left out.
            shown: the images that the report shows.
            worst: how many it shows besides, of those with the lowest PSNR over the hole.
            overwrite: remove the results that are there.

        Raises:
            OutputError: the folder cannot be written, holds other files, or results of another
                config.
        """
        self.folder = folder
        self._names, self._shown, self._worst = names, shown, worst
        self._manifest = Manifest(folder)
        try:
            self._claim(identity, overwrite=overwrite)
        except OSError as error:
            raise OutputError(
                f"{folder} cannot be written ({error.strerror}); choose another --output."
            ) from error
        self._manifest.mend()
        known = self._manifest.read()
        self._records = {
            name: known[name]
            for name in names
            if name in known
            and (
                known[name]["status"] != "done"
                or all(file.is_file() for file in self._manifest.completions(known[name]))
            )
        }
        self._psnr = sorted(map(psnr_of, self._records.values()))

    def _claim(self, identity: Mapping[str, Any], *, overwrite: bool) -> None:
        folder, record = self.folder, self.folder / "inpainting.json"
        if record.is_file():
            before = json_object(record.read_text(encoding="utf-8"))
            changed = sorted(
                k for k in before.keys() | identity.keys() if before.get(k) != identity.get(k)
            )
            if overwrite:
                self._clear()
            elif changed:
                name = changed[0]
                raise OutputError(
                    f"{folder} holds results with another {' and '.join(changed)} ({name}: "
                    f"{before.get(name)!r} there, {identity.get(name)!r} now); "
                    "choose another --output, or --overwrite."
                )
        elif folder.exists() and any(folder.iterdir()):
            raise OutputError(f"{folder} holds other files; choose a new or empty --output.")
        folder.mkdir(parents=True, exist_ok=True)
        files.write_text(record, json.dumps(identity, indent=2) + "\n")

    @property
    def records(self) -> list[dict[str, Any]]:
        """What the manifest says of the images, in their order; nothing of those not yet tried."""
        return [self._records[name] for name in self._names if name in self._records]

    def is_done(self, name: str) -> bool:
        """Whether this image was completed before, by this config, and its files are there."""
        return name in self._records and self._records[name]["status"] == "done"

    def add(
        self,
        record: Record,
        ranked: np.ndarray,
        panel: Sequence[np.ndarray],
        *,
        strips: np.ndarray | None = None,
    ) -> None:
        """Keeps the completions of an image: the files first, then its line in the manifest.

        Args:
            record: the line; with more than one completion, it has a list of `candidates`.
            ranked: uint8 [k, s, s, 3], the best completion first.
            panel: what the report would show of the image; kept if it may.
            strips: uint8 [starts, steps, s, s, 3], how the search came there.
        """
        name, file = record["name"], self._manifest.file
        for path, completion in zip(self._manifest.completions(record), ranked, strict=True):
            images.write_png(path, completion)
        if name in self._shown or psnr_of(record) < self._worst_so_far():
            images.write_png(file("panels", name), np.concatenate(panel, axis=1))
        if strips is not None:
            sheet = images.grid(np.concatenate(strips), columns=strips.shape[1], gap=0)
            images.write_png(file("trails", name), sheet)
        bisect.insort(self._psnr, psnr_of(record))
        self._append(record)

    def fail(self, name: str, reason: str) -> None:
        """Notes an image that has no completion, and why."""
        self._append({"name": name, "status": "failed", "reason": reason})

    def completion(self, name: str) -> np.ndarray:
        """The best completion of an image that is done, uint8 [s, s, 3]."""
        return images.read(self._manifest.file("images", name))

    def of_set(self, method: str, facts: Mapping[str, str], *, count: int) -> SetFigures | None:
        """Figures of a set of so many images as they were last written, if with these facts."""
        file = self.folder / "metrics.json"
        before = json_object(file.read_text(encoding="utf-8")) if file.is_file() else {}
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

    def _append(self, record: Record) -> None:
        self._manifest.append(record)
        self._records[record["name"]] = dict(record)

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
        for name in ("manifest.jsonl", "metrics.json", "report.html", "inpainting.json"):
            (self.folder / name).unlink(missing_ok=True)


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
