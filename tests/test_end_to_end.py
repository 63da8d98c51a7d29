"""Both programs as a user starts them: train, be stopped, continue, inpaint, look at the report."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ce_jax import images
from ce_jax.sources import open_source

ROOT = Path(__file__).parents[1]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


def start(program, *arguments):
    return subprocess.Popen(
        [sys.executable, program, *map(str, arguments)],
        cwd=ROOT,
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


def reported(workdir):
    """The steps that a run has reported so far."""
    file = workdir / "scalars.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line)["step"] for line in lines]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained") / "smoke"
    code, out = finish(start("train.py", "configs/smoke.py", "--workdir", workdir))
    assert (code, out) == (0, f"step 4 of 4, saved in {workdir}\n")
    return workdir


@pytest.fixture(scope="module")
def completed(trained, tmp_path_factory):
    output = tmp_path_factory.mktemp("completed") / "smoke"
    arguments = ("configs/smoke_inpaint.py", "--model", trained, "--output", output)
    code, out = finish(start("inpaint.py", *arguments))
    told = f"20 of 20 images completed, 0 failed; report: {output}/report.html\n"
    assert (code, out) == (0, told)
    return output


def test_training_leaves_checkpoints_scalars_and_pictures(trained):
    assert sorted(path.name for path in (trained / "checkpoints").iterdir()) == ["2", "4"]
    assert sorted(path.name for path in (trained / "pictures").iterdir()) == [
        "00000002.png",
        "00000004.png",
    ]
    assert reported(trained) == [1, 2, 3, 4]
    assert any((trained / "tensorboard").iterdir())


def test_a_training_that_is_stopped_saves_and_the_same_command_continues(trained, tmp_path):
    workdir = tmp_path / "stopped"
    arguments = ("configs/smoke.py", "--workdir", workdir, "--checkpoint-every", "99999")
    process = start("train.py", *arguments, "--steps", "99999")
    while process.poll() is None and not reported(workdir):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    code, out = finish(process)
    last = reported(workdir)[-1]
    told = f"step {last} of 99999, saved in {workdir}; the same command continues\n"
    assert (code, out) == (75, told)
    assert [path.name for path in (workdir / "checkpoints").iterdir()] == [str(last)]

    code, out = finish(start("train.py", *arguments, "--steps", last + 2))
    assert (code, out) == (0, f"step {last + 2} of {last + 2}, saved in {workdir}\n")
    assert reported(workdir) == list(range(1, last + 3))


def test_every_completion_keeps_the_known_pixels_of_its_framed_photograph(completed):
    digits = open_source("bundled:digits[:20]")
    known = np.ones((32, 32), bool)
    known[8:-8, 8:-8] = False
    for index, name in enumerate(digits.names):
        completion = images.read(completed / "images" / f"{name}.png")
        framed = images.frame(digits[index], size=32)
        assert np.array_equal(completion[known], framed[known])
        assert not np.array_equal(completion, framed)


def test_manifest_metrics_and_report_tell_of_every_image(completed):
    names = [f"{number:06}" for number in range(20)]
    lines = (completed / "manifest.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [(record["name"], record["status"]) for record in records] == [
        (name, "done") for name in names
    ]
    assert all(record["steps"] == 5 and record["seconds"] > 0 for record in records)
    figures = json.loads((completed / "metrics.json").read_text())["figures"]
    assert set(figures) == {"latent", "laplace"}
    page = (completed / "report.html").read_text()
    assert re.findall("<h3>(.+)</h3>", page) == names
    assert page.count("<img src=") == 20 * 6


def test_the_same_command_again_has_nothing_left_to_do(trained, completed):
    before = {path: path.stat().st_mtime_ns for path in (completed / "images").iterdir()}
    arguments = ("configs/smoke_inpaint.py", "--model", trained, "--output", completed)
    code, _ = finish(start("inpaint.py", *arguments))
    assert code == 0
    assert before == {path: path.stat().st_mtime_ns for path in (completed / "images").iterdir()}


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_a_browser_shows_the_report_without_complaint(completed, tmp_path):
    options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --dump-dom "
    options += "--disable-background-networking --disable-component-update --disable-sync "
    options += f"--enable-logging=stderr --user-data-dir={tmp_path / 'profile'}"
    address = f"{(completed / 'report.html').as_uri()}#sort=hole/psnr&first=worst"
    shown = subprocess.run(
        [str(BROWSER), *options.split(), address],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert "CONSOLE" not in shown.stderr
    values = re.findall(
        '<td class="sorted" data-column="hole/psnr" data-value="(.+?)">'
        '|<td data-column="hole/psnr" data-value="(.+?)" class="sorted">',
        shown.stdout,
    )
    psnr = [float(one or other) for one, other in values]
    assert len(psnr) == 20
    assert psnr == sorted(psnr)
