"""What an inpainting keeps of each image: a line in `manifest.jsonl`, written after its files.

images/NAME.png         the completions, under the names of the images
candidates/2/NAME.png   the second best completions, where more than one is kept; and so on
panels/NAME.png         what a report shows of an image, side by side
trails/NAME.png         how a search came there: a row for each start, a column for each step
"""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ce_jax import files, images
from ce_jax.report import Row, Trail

Record = Mapping[str, Any]

_ERROR_TIMES = 2  # Yeh et al. 2017, figure 12


class Manifest:
    """The manifest of a folder, and the files that it speaks of."""

    def __init__(self, folder: Path) -> None:
        """Of a folder that may hold none yet."""
        self.folder = folder
        self.path = folder / "manifest.jsonl"

    def read(self) -> dict[str, dict[str, Any]]:
        """The newest line of each image, by name; one that was cut off or damaged is no line."""
        if not self.path.is_file():
            return {}
        text = self.path.read_text(encoding="utf-8", errors="replace")
        records = map(json_object, text[: text.rfind("\n") + 1].split("\n"))
        return {record["name"]: record for record in records if {"name", "status"} <= record.keys()}

    def mend(self) -> None:
        """Removes a last line that was cut off, so that the next one begins a line of its own."""
        if not self.path.is_file():
            return
        text = self.path.read_text(encoding="utf-8", errors="replace")
        complete = text[: text.rfind("\n") + 1]
        if complete != text:
            files.write_text(self.path, complete)

    def append(self, record: Record) -> None:
        """Adds a line."""
        line = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
        # A file name need not be valid text: what cannot be encoded becomes a JSON escape.
        with self.path.open("a", encoding="utf-8", errors="backslashreplace") as manifest:
            manifest.write(line)

    def file(self, kind: str, name: str) -> Path:
        """Where the picture of a kind of an image stands."""
        return self.folder / kind / f"{name}.png"

    def completions(self, record: Record) -> list[Path]:
        """The files of an image, the best completion first."""
        ranks = range(2, len(record.get("candidates", ())) + 1)
        kinds = ["images", *(f"candidates/{rank}" for rank in ranks)]
        return [self.file(kind, record["name"]) for kind in kinds]

    def row(self, record: Record, captions: Sequence[str], *, group: str = "") -> Row | None:
        """What a report shows of an image; None without its panel.

        Args:
            record: its line.
            captions: of the pictures in its panel; the truth, which comes last, may be missing.
            group: what the row belongs to.
        """
        file = self.file("panels", record["name"])
        if not file.is_file():
            return None
        panel = images.read(file)
        pictures = np.split(panel, panel.shape[1] // panel.shape[0], axis=1)
        pictures = dict(zip(captions, pictures, strict=False))
        if "truth" in pictures:
            error = np.abs(pictures["completion"].astype(int) - pictures["truth"])
            error = np.minimum(_ERROR_TIMES * error, 255).astype(np.uint8)
            pictures[f"error, {_ERROR_TIMES} times"] = error
        # Without a search there is no objective to show.
        objective = {"score": record["score"]} if record["steps"] else {}
        return Row(
            name=record["name"],
            pictures={caption: _png(picture) for caption, picture in pictures.items()},
            note=record.get("note", ""),
            scores={**objective, **next(iter(record["figures"].values()), {})},
            trail=self._trail(record),
            group=group,
        )

    def _trail(self, record: Record) -> Trail | None:
        file = self.file("trails", record["name"])
        if "trail" not in record or not file.is_file():
            return None
        sheet = images.read(file)
        columns = len(record["trail"]["steps"])
        rows = np.split(sheet, sheet.shape[0] * columns // sheet.shape[1])
        strips = [[_png(picture) for picture in np.split(row, columns, axis=1)] for row in rows]
        return Trail(strips=strips, **record["trail"])


def json_object(text: str) -> dict[str, Any]:
    """The JSON object in a text; an empty one if that is not what it holds."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()
