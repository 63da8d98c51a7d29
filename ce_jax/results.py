"""The output folder of an inpainting: the only place that it writes to, and never anybody else's.

images/NAME.png   the completions, under the names of the images
panels/NAME.png   what the report shows of an image, side by side
manifest.jsonl    one JSON object an image, written after its file
metrics.json      the means with their intervals, and what was run
report.html       all of it to look at
inpainting.json   the config that the results belong to
"""

import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ce_jax import images, metrics
from ce_jax.report import Row, write_report

OURS = ("images", "panels", "manifest.jsonl", "metrics.json", "report.html", "inpainting.json")


class OutputError(ValueError):
    """An output folder that holds something else."""


class Results:
    """The results of one inpainting in its folder, old ones of the same config included."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], *, overwrite: bool) -> None:
        """Takes possession of the folder.

        Args:
            folder: created if need be.
            identity: everything that the results depend on, as JSON types.
            overwrite: remove the results of another config.

        Raises:
            OutputError: the folder holds other files, or results of another config.
        """
        self.folder = folder
        self._manifest = folder / "manifest.jsonl"
        record = folder / "inpainting.json"
        if record.is_file():
            before = json.loads(record.read_text())
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
        self.records = self._read()

    def is_done(self, name: str) -> bool:
        """Whether this image was completed before, by this config, and its file is there."""
        record = self.records.get(name)
        return (
            record is not None
            and record["status"] == "done"
            and self._file("images", name).is_file()
        )

    def add(
        self, record: Mapping[str, Any], completion: np.ndarray, panel: Sequence[np.ndarray] | None
    ) -> None:
        """Keeps a completion, uint8 [h, w, 3]: the files first, then its line in the manifest."""
        images.write_png(self._file("images", record["name"]), completion)
        if panel is not None:
            images.write_png(self._file("panels", record["name"]), np.concatenate(panel, axis=1))
        self._append(record)

    def fail(self, name: str, reason: str) -> None:
        """Notes an image that has no completion, and why."""
        self._append({"name": name, "status": "failed", "reason": reason})

    def summarise(self, facts: Mapping[str, str], captions: Sequence[str], *, title: str) -> None:
        """Writes `metrics.json` and `report.html` from everything in the manifest."""
        done = [record for record in self.records.values() if record["status"] == "done"]
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
            facts=facts,
            figures=[{"method": method, **line} for method, line in lines.items()],
            rows=[row for record in done if (row := self._row(record, captions))],
            failures=[
                (record["name"], record["reason"])
                for record in self.records.values()
                if record["status"] != "done"
            ],
        )

    def _row(self, record: Mapping[str, Any], captions: Sequence[str]) -> Row | None:
        file = self._file("panels", record["name"])
        if not file.is_file():
            return None
        panel = images.read(file)
        pictures = np.split(panel, panel.shape[1] // panel.shape[0], axis=1)
        scores = {"score": record["score"], **next(iter(record["figures"].values()), {})}
        return Row(
            name=record["name"],
            pictures={c: _png(p) for c, p in zip(captions, pictures, strict=True)},
            note=record.get("note", ""),
            scores=scores,
        )

    def _file(self, kind: str, name: str) -> Path:
        return self.folder / kind / f"{name}.png"

    def _append(self, record: Mapping[str, Any]) -> None:
        with self._manifest.open("a", encoding="utf-8") as manifest:
            manifest.write(json.dumps(record, ensure_ascii=False) + "\n")
        self.records[record["name"]] = dict(record)

    def _read(self) -> dict[str, dict[str, Any]]:
        """The newest line of each image; a last line that was cut off does not count."""
        if not self._manifest.is_file():
            return {}
        text = self._manifest.read_text(encoding="utf-8")
        complete = text[: text.rfind("\n") + 1]
        if complete != text:
            _write_text(self._manifest, complete)
        records = map(json.loads, complete.splitlines())
        return {record["name"]: record for record in records}

    def _clear(self) -> None:
        for name in OURS:
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _figures(done: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, metrics.Estimate]]:
    """Method -> figure -> its mean over all images that have figures."""
    methods = dict.fromkeys(method for record in done for method in record["figures"])
    return {
        method: metrics.summary([r["figures"][method] for r in done if method in r["figures"]])
        for method in methods
    }


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
