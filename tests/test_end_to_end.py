"""Both programs as a user starts them: train, be stopped, continue, inpaint, look at the report."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import browser
import numpy as np
import pytest
import tiny
from processes import scalars

from ce_jax import images
from ce_jax.batch import inpaint
from ce_jax.config import Frame, Inpainting
from ce_jax.sources import open_source

ROOT = Path(__file__).parents[1]


def start(program, *arguments):
    return subprocess.Popen(
        [sys.executable, program, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": " ".join(f"--{k}={v}" for k, v in tiny.QUICKLY.items())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Exit code and standard output; nothing a user would take for a crash may be in the other."""
    out, error = process.communicate()
    assert "Traceback" not in error, error
    assert "Warning" not in error, error
    return process.returncode, out


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def reported(workdir):
    """The steps that a run has reported so far."""
    written = (workdir / "scalars.jsonl").exists()
    return [line["step"] for line in scalars(workdir)] if written else []


def assert_completed(output):
    """The folder of `configs/smoke_inpaint.py`, and the report in it."""
    digits = open_source("bundled:digits[:20]")
    assert names_in(output / "images") == [f"{name}.png" for name in digits.names]
    known = np.ones((32, 32), bool)
    known[8:-8, 8:-8] = False
    for index, name in enumerate(digits.names):
        completion = images.read(output / "images" / f"{name}.png")
        framed = images.frame(digits[index], Frame(size=32))
        assert np.array_equal(completion[known], framed[known])
        assert not np.array_equal(completion, framed)

    records = [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]
    assert [record["name"] for record in records] == digits.names
    assert {(record["status"], record["steps"]) for record in records} == {("done", 5)}
    figures = json.loads((output / "metrics.json").read_text())["figures"]
    assert set(figures) == {"latent", "laplace"}
    page = (output / "report.html").read_text()
    assert re.findall("<h3>(.+)</h3>", page) == digits.names
    assert page.count("<img src=") == 20 * 7


def test_from_a_training_that_is_continued_to_the_report(tmp_path, command):
    """Both programs in this process, on so small a network that little is to be compiled."""
    workdir, output = tmp_path / "trained", tmp_path / "completed"
    network = ("--model.width", "4", "--model.latent", "8", "--steps-per-call", "1")
    for steps in (2, 3):
        arguments = ("configs/smoke.py", "--workdir", workdir, *network, "--steps", steps)
        with tiny.quickly():
            code, out, error = command("train.py", *arguments)
        assert (code, out) == (0, f"step {steps} of {steps}, saved in {workdir}\n")
        assert "Warning" not in error
    assert reported(workdir) == [1, 2, 3]
    assert names_in(workdir / "checkpoints") == ["2", "3"]

    arguments = ("configs/smoke_inpaint.py", "--model", workdir, "--output", output)
    with tiny.quickly():
        code, out, error = command("inpaint.py", *arguments)
    told = f"20 of 20 images completed, 0 failed; report: {output}/report.html\n"
    assert (code, out) == (0, told)
    assert "Warning" not in error
    assert_completed(output)


@pytest.mark.slow
def test_from_a_training_that_is_stopped_and_continued_to_the_report(tmp_path):
    workdir, output = tmp_path / "trained", tmp_path / "completed"
    arguments = ("configs/smoke.py", "--workdir", workdir, "--checkpoint-every", "99999")
    process = start("train.py", *arguments, "--steps", "99999")
    while process.poll() is None and not reported(workdir):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    code, out = finish(process)
    last = reported(workdir)[-1]
    told = f"step {last} of 99999, saved in {workdir}; the same command continues\n"
    assert (code, out) == (75, told)
    assert names_in(workdir / "checkpoints") == [str(last)]

    steps = last + 2
    code, out = finish(start("train.py", *arguments, "--steps", steps))
    assert (code, out) == (0, f"step {steps} of {steps}, saved in {workdir}\n")
    assert reported(workdir) == list(range(1, steps + 1))
    assert names_in(workdir / "checkpoints") == sorted([str(last), str(steps)])
    pictured = sorted({*range(2, steps + 1, 2), steps})
    assert names_in(workdir / "pictures") == [f"{step:08}.png" for step in pictured]
    assert len(names_in(workdir / "tensorboard")) == 2

    arguments = ("configs/smoke_inpaint.py", "--model", workdir, "--output", output)
    code, out = finish(start("inpaint.py", *arguments))
    told = f"20 of 20 images completed, 0 failed; report: {output}/report.html\n"
    assert (code, out) == (0, told)
    assert_completed(output)


@browser.needed
def test_a_browser_shows_the_report_without_complaint(tmp_path):
    output = tmp_path / "completed"
    digits = Inpainting(images="bundled:digits[:6]", output=str(output), method="laplace")
    inpaint(replace(digits, frame=Frame(size=32), batch_size=8))
    page = (output / "report.html").read_text(encoding="utf-8")
    dom = browser.opened(page, tmp_path, place="sort=hole/psnr")
    cells = re.findall('<td data-column="hole/psnr" data-value="(.+?)" class="sorted', dom)
    values = [float(value) for value in cells]
    assert len(values) == 6
    assert values == sorted(values)  # the worst first
