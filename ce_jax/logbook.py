"""What a training run writes down while it works: scalars, pictures, and a progress bar.

    scalars.jsonl      one JSON object a line: step, images/s, and every scalar of that step
    tensorboard/       the same for TensorBoard, with the pictures
    pictures/STEP.png  a grid of fixed latents or of fixed holes

Nothing here makes the device wait: scalars are read one call late, when they are long computed,
and pictures are fetched and encoded by a thread.
"""

import json
import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
from tensorboardX import SummaryWriter
from tqdm import tqdm

from ce_jax import files, images


class Diverged(ArithmeticError):
    """A scalar of a run is no longer a number; the message names the step and the scalar."""


class Logbook:
    """Writes what a run reports from step `start` on; a context manager that closes its files."""

    def __init__(
        self, workdir: Path, *, start: int, steps: int, batch_size: int, every: int
    ) -> None:
        self._workdir, self._batch_size, self._every = workdir, batch_size, every
        self._scalars = _continued(workdir / "scalars.jsonl", start)
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
        columns = {name: column.tolist() for name, column in jax.device_get(dict(scalars)).items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        end, now = start + len(rows), time.monotonic()
        before, then = self._since
        pace = (end - before) * self._batch_size / max(now - then, 1e-9)
        for step, values in enumerate(rows, start + 1):
            for name, value in values.items():
                if not math.isfinite(value):
                    raise Diverged(f"step {step}: {name} is {value}")
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


def _continued(path: Path, start: int):
    """Opens a JSON-lines file for appending, without the lines after step `start`.

    Those belong to steps that a stopped run had reported but not yet saved; it will do them again.
    """
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= start]
        files.write_text(path, "".join(kept))
    return path.open("a")
