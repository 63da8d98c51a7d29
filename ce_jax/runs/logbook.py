"""What a training run writes down while it works: scalars, pictures, and a progress bar.

    scalars.jsonl      one JSON object a line: step, images/s, and every scalar of that step
    tensorboard/       the same for TensorBoard, with the pictures and the config
    pictures/STEP.png  a grid of fixed latents or of fixed holes
    history.jsonl      when the run began, on what, and how it ended (see `history`)
    report.html        all of it to look at (see `run_report`)

Nothing here makes the device wait: scalars are read one call late, when they are long computed;
pictures are fetched and encoded, and the report is written, by a thread.
"""

import json
import math
import os
import textwrap
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import jax
import numpy as np
from etils import epath
from tensorboardX import SummaryWriter, record_writer
from tqdm import tqdm

from ce_jax import files, images
from ce_jax.config import Training
from ce_jax.runs import history, run_report
from ce_jax.runs.curves import PACE

# Seconds after which TensorBoard is told at the latest; what it has not been told, a kill -9 takes.
_FLUSH_EVERY = 10
# Seconds between two reports while a run goes on; it writes the last one when it ends.
_REPORT_EVERY = 30


class Diverged(ArithmeticError):
    """A scalar of a run, or its state, is no longer a number; the message names the step."""


class Logbook:
    """Writes what a run reports from step `start` on; a context manager that closes its files."""

    def __init__(
        self,
        workdir: epath.Path,
        config: Training,
        *,
        start: int,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Opens the files of a work directory; what a killed run wrote after `start` is dropped.

        Args:
            workdir: created if need be.
            config: of the run, which says how often there is a line of scalars.
            start: the step from which the run goes on.
            facts: what else the history is to say of this beginning.
        """
        self._workdir, self._config, self._step = workdir, config, start
        self._scalars = _continued(workdir / "scalars.jsonl", start)
        history.add(workdir, "began", start, **history.setting(), **(facts or {}))
        if files.is_remote(workdir):
            scheme = str(workdir).partition("://")[0]
            record_writer.register_writer_factory(scheme, _Uploaded)
        # TensorBoard then forgets what a killed run has told it of steps that are done again.
        self._board = SummaryWriter(
            str(workdir / "tensorboard"), purge_step=start + 1, flush_secs=_FLUSH_EVERY
        )
        if (workdir / "config.json").is_file():
            # As Markdown has code, which TensorBoard shows as it is.
            record = textwrap.indent((workdir / "config.json").read_text(), "    ")
            self._board.add_text("config", record, start)
        self._bar = tqdm(
            total=config.steps,
            initial=start,
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5,
            smoothing=0.1,
        )
        self._painter = ThreadPoolExecutor(1)
        self._paintings = []
        self._since = (start, time.monotonic())
        self._reported = -math.inf

    def __enter__(self) -> "Logbook":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        self._bar.close()
        self._painter.shutdown()
        self._scalars.close()
        self._board.close()
        if kind is None:
            event = "finished" if self._step >= self._config.steps else "stopped"
            history.add(self._workdir, event, self._step)
        else:
            event = "diverged" if issubclass(kind, Diverged) else "failed"
            note = f"{kind.__name__}: {error}".rstrip(": ").partition("\n")[0]
            history.add(self._workdir, event, self._step, note=note)
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
        pace = (end - before) * self._config.batch_size / max(now - then, 1e-9)
        for step, values in enumerate(rows, start + 1):
            _require_numbers(step, values)
            self._bar.update()
            if step % self._config.log_every == 0:
                self._write(step, {PACE: float(f"{pace:.4g}"), **values})
                self._since = (end, now)
        self._step = end

    def _write(self, step: int, values: dict[str, float]) -> None:
        self._scalars.write(json.dumps({"step": step, **values}).encode() + b"\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        losses = {k.removeprefix("loss/"): f"{v:.3f}" for k, v in values.items() if "loss/" in k}
        self._bar.set_postfix({PACE: f"{values[PACE]:.3g}", **losses})

    def keep(self) -> None:
        """Sees to it that what was written is there for whoever continues from here."""
        self._scalars.flush()
        if isinstance(self._scalars, _Uploaded):
            self._board.flush()

    def picture(self, step: int, rows: jax.Array) -> None:
        """Takes a grid of pictures [n, columns, h, w, 3] in [-1, 1]; returns at once."""
        self._paintings = [one for one in self._paintings if not one.done() or one.exception()]
        due = time.monotonic() - self._reported >= _REPORT_EVERY
        if due:  # the page reads what has been written down
            self._scalars.flush()
            self._reported = time.monotonic()
        self._paintings.append(self._painter.submit(self._paint, step, rows, report=due))

    def _paint(self, step: int, rows: jax.Array, *, report: bool) -> None:
        tiles = images.to_uint8(np.asarray(rows))
        count, columns = tiles.shape[:2]
        across = columns * max(1, round(math.sqrt(count / columns)))
        grid = images.grid(tiles.reshape(-1, *tiles.shape[2:]), columns=across)
        images.write_png(self._workdir / "pictures" / f"{step:08d}.png", grid)
        if not files.is_remote(self._workdir):  # there, all of the board is sent again each time
            self._board.add_image("pictures", grid, step, dataformats="HWC")
        if report:
            run_report.write(self._workdir, step=step)


class Onlooker:
    """What the other processes of a run make of what the first one writes down: nothing.

    They only look whether all scalars are numbers, so that all processes end with the same error.
    """

    def write(self, start: int, scalars: Mapping[str, jax.Array]) -> None:
        """Raises Diverged as a logbook does, of scalars [n] each."""
        for step, values in enumerate(_rows(scalars), start + 1):
            _require_numbers(step, values)

    def keep(self) -> None:
        """Nothing was written."""

    def picture(self, step: int, rows: jax.Array) -> None:
        """Nobody looks at [n, columns, h, w, 3]."""


def _rows(scalars: Mapping[str, jax.Array]) -> list[dict[str, float]]:
    """Scalars [n] of n steps, as the scalars of each."""
    columns = {name: column.tolist() for name, column in jax.device_get(dict(scalars)).items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _require_numbers(step: int, values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise Diverged(f"step {step}: {name} is {value}")


class _Uploaded:
    """A file in an object store, which adds nothing to one: all of it is written again.

    Scalars go there by the same way as all else, and so does what tensorboardX writes.
    """

    @staticmethod
    def directory_check(path: str) -> None:
        """Folders there are but names."""

    @classmethod
    def open(cls, path: str) -> "_Uploaded":
        return cls(path)

    def __init__(self, path: str | os.PathLike, content: bytes = b"") -> None:
        self._path, self._content = epath.Path(path), bytearray(content)

    def write(self, content: bytes) -> None:
        self._content += content

    def flush(self) -> None:
        self._path.write_bytes(bytes(self._content))

    close = flush


def _continued(path: epath.Path, start: int) -> IO[bytes] | _Uploaded:
    """Opens a JSON-lines file for appending, without the lines after step `start`.

    Those belong to steps that a stopped run had reported but not yet saved; it will do them again.
    """
    kept = ""
    if path.exists():
        lines = path.read_bytes().decode(errors="replace").splitlines(keepends=True)
        kept = "".join(line for line in lines if _step(line) <= start)
        files.write_text(path, kept)
    return _Uploaded(path, kept.encode()) if files.is_remote(path) else open(path, "ab", 0)


def _step(line: str) -> float:
    """That of a whole line; beyond all steps, if it was cut off or damaged."""
    step = files.json_object(line).get("step") if line.endswith("\n") else None
    return step if isinstance(step, int) else math.inf
