"""What a training run writes down while it works: scalars, pictures, and a progress bar.

    scalars.jsonl      one JSON object a line: step, images/s, and every scalar of that step
    tensorboard/       the same for TensorBoard, with the pictures
    pictures/STEP.png  a grid of fixed latents or of fixed holes

Nothing here makes the device wait: scalars are read one call late, when they are long computed,
and pictures are fetched and encoded by a thread.
"""

import io
import json
import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import jax
import numpy as np
from etils import epath
from tensorboardX import SummaryWriter, record_writer
from tqdm import tqdm

from ce_jax import files, images


class Diverged(ArithmeticError):
    """A scalar of a run is no longer a number; the message names the step and the scalar."""


class Logbook:
    """Writes what a run reports from step `start` on; a context manager that closes its files."""

    def __init__(
        self, workdir: epath.Path, *, start: int, steps: int, batch_size: int, every: int
    ) -> None:
        self._workdir, self._batch_size, self._every = workdir, batch_size, every
        self._scalars = _continued(workdir / "scalars.jsonl", start)
        if files.is_remote(workdir):
            scheme = str(workdir).partition("://")[0]
            record_writer.register_writer_factory(scheme, _UploadedBoard)
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=start or None)
        self._bar = tqdm(
            total=steps,
            initial=start,
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5,
            smoothing=0.1,
        )
        self._painter = ThreadPoolExecutor(1)
        self._paintings = []
        self._since = (start, time.monotonic())

    def __enter__(self) -> "Logbook":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        self._painter.shutdown()
        self._scalars.close()
        self._board.close()
        for painting in self._paintings:
            painting.result()

    def write(self, start: int, scalars: Mapping[str, jax.Array]) -> None:
        """Takes down the scalars, [n] each, of the n steps that were done from step `start` on.

        Raises:
            Diverged: one of them is NaN or infinite.
        """
        rows = _rows(scalars)
        end, now = start + len(rows), time.monotonic()
        before, then = self._since
        pace = (end - before) * self._batch_size / max(now - then, 1e-9)
        for step, values in enumerate(rows, start + 1):
            _require_numbers(step, values)
            self._bar.update()
            if step % self._every == 0:
                self._write(step, {"images/s": round(pace, 1), **values})
                self._since = (end, now)

    def _write(self, step: int, values: dict[str, float]) -> None:
        self._scalars.write(json.dumps({"step": step, **values}) + "\n")
        self._scalars.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        losses = {k.removeprefix("loss/"): f"{v:.3f}" for k, v in values.items() if "loss/" in k}
        self._bar.set_postfix({"images/s": f"{values['images/s']:.0f}", **losses})

    def keep(self) -> None:
        """Sees to it that what was written is there for whoever continues from here."""
        if isinstance(self._scalars, _Uploaded):
            self._scalars.upload()
            self._board.flush()

    def picture(self, step: int, rows: jax.Array) -> None:
        """Takes a grid of pictures [n, columns, h, w, 3] in [-1, 1]; returns at once."""
        self._paintings.append(self._painter.submit(self._paint, step, rows))

    def _paint(self, step: int, rows: jax.Array) -> None:
        tiles = images.to_uint8(np.asarray(rows))
        count, columns = tiles.shape[:2]
        across = columns * max(1, round(math.sqrt(count / columns)))
        grid = images.grid(tiles.reshape(-1, *tiles.shape[2:]), columns=across)
        images.write_png(self._workdir / "pictures" / f"{step:08d}.png", grid)
        self._board.add_image("pictures", grid, step, dataformats="HWC")


class Onlooker:
    """What the other processes of a run make of what the first one writes down: nothing.

    They only look whether all scalars are numbers, so that all processes end with the same error.
    """

    def __enter__(self) -> "Onlooker":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, start: int, scalars: Mapping[str, jax.Array]) -> None:
        """Raises Diverged as a logbook does."""
        for step, values in enumerate(_rows(scalars), start + 1):
            _require_numbers(step, values)

    def keep(self) -> None:
        """Nothing was written."""

    def picture(self, step: int, rows: jax.Array) -> None:
        """Nobody looks."""


def _rows(scalars: Mapping[str, jax.Array]) -> list[dict[str, float]]:
    """Scalars [n] of n steps, as the scalars of each."""
    columns = {name: column.tolist() for name, column in jax.device_get(dict(scalars)).items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _require_numbers(step: int, values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise Diverged(f"step {step}: {name} is {value}")


class _Uploaded(io.StringIO):
    """A text for an object store, which adds nothing to a file: all of it is written again."""

    def __init__(self, path: epath.Path, text: str) -> None:
        super().__init__()
        self._path = path
        self.write(text)

    def upload(self) -> None:
        files.write_text(self._path, self.getvalue())

    def close(self) -> None:
        if not self.closed:
            self.upload()
        super().close()


class _UploadedBoard:
    """A file of tensorboardX in an object store, by way of the library that all else goes."""

    @staticmethod
    def directory_check(path: str) -> None:
        """Folders there are but names."""

    @classmethod
    def open(cls, path: str) -> "_UploadedBoard":
        return cls(path)

    def __init__(self, path: str) -> None:
        self._path, self._content = epath.Path(path), io.BytesIO()

    def write(self, content: bytes) -> None:
        self._content.write(content)

    def flush(self) -> None:
        self._path.write_bytes(self._content.getvalue())

    def close(self) -> None:
        self.flush()


def _continued(path: epath.Path, start: int) -> IO[str]:
    """Opens a JSON-lines file for appending, without the lines after step `start`.

    Those belong to steps that a stopped run had reported but not yet saved; it will do them again.
    """
    kept = ""
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)
        kept = "".join(
            line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= start
        )
        files.write_text(path, kept)
    return _Uploaded(path, kept) if files.is_remote(path) else path.open("a")
