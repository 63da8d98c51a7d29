"""The output folder of an inpainting: the only place that it writes to, and never anybody else's.

images/NAME.png         the completions, under the names of the images
candidates/2/NAME.png   the second best completions, where more than one is kept; and so on
panels/NAME.png         what the report shows of an image, side by side
trails/NAME.png         how the search came there: a row for each start, a column for each step
manifest.jsonl          one JSON object an image, written after its files
metrics.json            the means with their intervals, and what was run
report.html             all of it to look at
inpainting.json         the config that the results belong to
"""

import contextlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ce_jax import images, metrics
from ce_jax.report import Row, Trail, write_report


class OutputError(ValueError):
    """An output folder that holds something else."""


class Results:
    """The results of one inpainting in its folder, old ones of the same config included."""

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], names: Sequence[str], *, overwrite: bool
    ) -> None:
        """Takes possession of the folder.

        Args:
            folder: created if need be.
            identity: everything that the results depend on, as JSON types.
            names: the images, in order; what the folder knows of others is left out.
            overwrite: remove the results that are there.

        Raises:
            OutputError: the folder cannot be written, holds other files, or results of another
                config.
        """
        self.folder = folder
        self._names = names
        self._manifest = folder / "manifest.jsonl"
        try:
            self._claim(identity, overwrite=overwrite)
        except OSError as error:
            raise OutputError(
                f"{folder} cannot be written ({error.strerror}); choose another --output."
            ) from error
        known = self._read()
        self._records = {
            name: known[name]
            for name in names
            if name in known
            and (
                known[name]["status"] != "done"
                or all(file.is_file() for file in self._completions(known[name]))
            )
        }

    def _claim(self, identity: Mapping[str, Any], *, overwrite: bool) -> None:
        folder, record = self.folder, self.folder / "inpainting.json"
        if record.is_file():
            before = _object(record.read_text(encoding="utf-8"))
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
        _write_text(record, json.dumps(identity, indent=2) + "\n")

    @property
    def records(self) -> list[dict[str, Any]]:
        """What the manifest says of the images, in their order; nothing of those not yet tried."""
        return [self._records[name] for name in self._names if name in self._records]

    def is_done(self, name: str) -> bool:
        """Whether this image was completed before, by this config, and its files are there."""
        return name in self._records and self._records[name]["status"] == "done"

    def add(
        self,
        record: Mapping[str, Any],
        ranked: np.ndarray,
        *,
        panel: Sequence[np.ndarray] | None = None,
        strips: np.ndarray | None = None,
    ) -> None:
        """Keeps the completions of an image: the files first, then its line in the manifest.

        Args:
            record: the line; with more than one completion, it has a list of `candidates`.
            ranked: uint8 [k, s, s, 3], the best completion first.
            panel: what the report is to show of the image.
            strips: uint8 [starts, steps, s, s, 3], how the search came there.
        """
        for file, completion in zip(self._completions(record), ranked, strict=True):
            images.write_png(file, completion)
        if panel is not None:
            images.write_png(self._file("panels", record["name"]), np.concatenate(panel, axis=1))
        if strips is not None:
            sheet = images.grid(np.concatenate(strips), columns=strips.shape[1], gap=0)
            images.write_png(self._file("trails", record["name"]), sheet)
        self._append(record)

    def fail(self, name: str, reason: str) -> None:
        """Notes an image that has no completion, and why."""
        self._append({"name": name, "status": "failed", "reason": reason})

    def summarise(self, facts: Mapping[str, str], captions: Sequence[str], *, title: str) -> None:
        """Writes `metrics.json` and `report.html` from everything in the manifest."""
        done = [record for record in self.records if record["status"] == "done"]
        lines = _figures(done)
        _write_text(
            self.folder / "metrics.json",
            json.dumps(
                {
                    "facts": facts,
                    "done": len(done),
                    "failed": len(self.records) - len(done),
                    "figures": {
                        method: {name: estimate._asdict() for name, estimate in line.items()}
                        for method, line in lines.items()
                    },
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
            figures=[{"method": method, **line} for method, line in lines.items()],
            rows=[row for record in done if (row := self._row(record, captions))],
            failures=[
                (record["name"], record["reason"])
                for record in self.records
                if record["status"] != "done"
            ],
        )

    def _row(self, record: Mapping[str, Any], captions: Sequence[str]) -> Row | None:
        file = self._file("panels", record["name"])
        if not file.is_file():
            return None
        panel = images.read(file)
        pictures = np.split(panel, panel.shape[1] // panel.shape[0], axis=1)
        # Without a search there is no objective to show.
        objective = {"score": record["score"]} if record["steps"] else {}
        scores = {**objective, **next(iter(record["figures"].values()), {})}
        return Row(
            name=record["name"],
            # The truth, which comes last, is not known of every image.
            pictures={c: _png(p) for c, p in zip(captions, pictures, strict=False)},
            note=record.get("note", ""),
            scores=scores,
            trail=self._trail(record),
        )

    def _trail(self, record: Mapping[str, Any]) -> Trail | None:
        file = self._file("trails", record["name"])
        if "trail" not in record or not file.is_file():
            return None
        sheet = images.read(file)
        columns = len(record["trail"]["steps"])
        rows = np.split(sheet, sheet.shape[0] * columns // sheet.shape[1])
        strips = [[_png(picture) for picture in np.split(row, columns, axis=1)] for row in rows]
        return Trail(strips=strips, **record["trail"])

    def _completions(self, record: Mapping[str, Any]) -> list[Path]:
        """The files of an image, the best completion first."""
        ranks = range(2, len(record.get("candidates", ())) + 1)
        kinds = ["images", *(f"candidates/{rank}" for rank in ranks)]
        return [self._file(kind, record["name"]) for kind in kinds]

    def _file(self, kind: str, name: str) -> Path:
        return self.folder / kind / f"{name}.png"

    def _append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
        # A file name need not be valid text: what cannot be encoded becomes a JSON escape.
        with self._manifest.open("a", encoding="utf-8", errors="backslashreplace") as manifest:
            manifest.write(line)
        self._records[record["name"]] = dict(record)

    def _read(self) -> dict[str, dict[str, Any]]:
        """The newest line of each image; a line that was cut off or damaged does not count."""
        if not self._manifest.is_file():
            return {}
        text = self._manifest.read_text(encoding="utf-8", errors="replace")
        complete = text[: text.rfind("\n") + 1]
        if complete != text:
            _write_text(self._manifest, complete)
        records = map(_object, complete.split("\n"))
        return {record["name"]: record for record in records if {"name", "status"} <= record.keys()}

    def _clear(self) -> None:
        """Removes what `add` and `summarise` wrote, and nothing that somebody put beside it."""
        files = [
            file
            for name, record in self._read().items()
            for shown in ("panels", "trails")
            for file in (*self._completions(record), self._file(shown, name))
        ]
        for file in files:
            file.unlink(missing_ok=True)
        folders = {up for file in files for up in file.parents if self.folder in up.parents}
        for folder in sorted(folders, reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        for name in ("manifest.jsonl", "metrics.json", "report.html", "inpainting.json"):
            (self.folder / name).unlink(missing_ok=True)


def _figures(done: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, metrics.Estimate]]:
    """Method -> figure -> its mean over all images that have figures."""
    methods = dict.fromkeys(method for record in done for method in record["figures"])
    return {
        method: metrics.summary([r["figures"][method] for r in done if method in r["figures"]])
        for method in methods
    }


def _object(text: str) -> dict[str, Any]:
    """The JSON object in a text; an empty one if that is not what it holds."""
    with contextlib.suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    return {}


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
