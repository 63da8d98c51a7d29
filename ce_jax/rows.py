"""From what lies in an output folder to what a report shows of an image."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ce_jax import images
from ce_jax.manifest import Manifest, Record
from ce_jax.report import Row, Trail

_ERROR_TIMES = 2  # Yeh et al. 2017, figure 12


def row_of(
    manifest: Manifest, record: Record, captions: Sequence[str], *, group: str = ""
) -> Row | None:
    """What a report shows of an image; None without its panel.

    Args:
        manifest: of its folder.
        record: its line.
        captions: of the pictures in its panel; the truth, which comes last, may be missing.
        group: what the row belongs to.
    """
    file = manifest.file("panels", record["name"])
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
        trail=_trail(manifest, record),
        group=group,
    )


def _trail(manifest: Manifest, record: Record) -> Trail | None:
    file = manifest.file("trails", record["name"])
    if "trail" not in record or not file.is_file():
        return None
    sheet = images.read(file)
    columns = len(record["trail"]["steps"])
    rows = np.split(sheet, sheet.shape[0] * columns // sheet.shape[1])
    strips = [[_png(picture) for picture in np.split(row, columns, axis=1)] for row in rows]
    return Trail(strips=strips, **record["trail"])


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()
