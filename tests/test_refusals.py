"""What can be known before the work begins is said in one line, and nothing is written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from folders import photographs
from processes import ROOT


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--holes centre", "did you mean center?"),
        ("--holes random:80", "'random:80': 80 is not a share above 0 and below 1"),
        ("--holes center:32", "does not fit into 32 pixels; use 1 to 31"),
        ("--holes {tmp}/nowhere.png", "nowhere.png' are neither a file or folder that exists"),
        ("--holes {tmp}/empty", "the folder holds no pictures"),
        ("--holes {tmp}/text.png", "text.png: not an image"),
        ("--images foldr:{tmp}", "unknown source 'foldr' (meant: folder?)"),
        ("--images {tmp}/empty", "for images in it: folder:"),
        ("--images folder:{tmp}/empty", "it holds no files"),
        ("--images folder:{tmp}/nowhere", "is not a folder"),
        ("--images bundled:digit", "(meant: digits?)"),
        ("--images bundled:digits[5:5]", "is empty: bundled:digits has 1797 images"),
        ("--images npz:{tmp}/text.png", "not a readable npz archive"),
        ("--truth folder:{tmp}/nowhere", "is not a folder"),
        ("--batch-size 12", "multiple of the number of devices (8); try 8 or 16"),
        ("--batch-size 3", "try 8."),
        ("--frame.size 64", "was trained on 32-pixel images"),
        ("--method context-encoder", "which is a Dcgan; name another --model or --method"),
        ("--model {tmp}/nowhere", "nowhere holds no training run"),
        ("--model {tmp}/untouched", "has no checkpoint yet; train first"),
        ("--model {tmp}/wider", "do not belong together"),
        ("--model {tmp}/unknown", "config.json cannot be read"),
        ("--model {tmp}/torn", "config.json cannot be read"),
        ("--output {tmp}/text.png", "text.png cannot be written"),
        ("--output {tmp}/text.png/out", "out cannot be written"),
        ("--output {tmp}", "holds other files; choose a new or empty --output"),
        ("--overwrite --output {tmp}", "holds other files; choose a new or empty --output"),
    ],
)
def test_an_inpainting_that_cannot_begin_says_why_and_writes_nothing(
    command, model, tmp_path, arguments, told
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    record = json.loads((Path(model) / "config.json").read_text())
    for name, change in {"wider": {"width": 8}, "unknown": {"kind": "Magic"}}.items():
        (tmp_path / name).mkdir()
        changed = record | {"model": record["model"] | change}
        (tmp_path / name / "config.json").write_text(json.dumps(changed))
        (tmp_path / name / "checkpoints").symlink_to(Path(model) / "checkpoints")
    for name, text in {"untouched": json.dumps(record), "torn": json.dumps(record)[:90]}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    before = sorted(tmp_path.rglob("*"))

    usual = ("--model", model, "--output", tmp_path / "out", "--images", "bundled:digits[:3]")
    given = arguments.format(tmp=tmp_path).split()
    code, out, error = command("inpaint.py", "configs/smoke_inpaint.py", *usual, *given)
    assert (code, out) == (2, "")
    assert told in error
    assert error.startswith("inpaint.py: ")
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--data.source folder:{tmp}/empty", "it holds no files"),
        ("--data.source bundled:digits[:9]", "9 images, fewer than one batch of 16"),
        ("--data.source mat:{tmp}/text.mat", "not a readable MATLAB file"),
        ("--batch-size 20", "try 16 or 24"),
        ("--workdir {tmp}", "is not empty and holds no training run"),
        ("--workdir {tmp}/text.mat", "text.mat"),
        ("--data.source folder:{tmp}/in --workdir {tmp}/in/run", "lie in one another"),
    ],
)
def test_a_training_that_cannot_begin_says_why(command, tmp_path, arguments, told):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mat").write_text("no matrix")
    photographs(tmp_path / "in", "a")
    given = arguments.format(tmp=tmp_path).split()
    usual = ("--workdir", tmp_path / "run")
    code, out, error = command("train.py", "configs/smoke.py", *usual, *given)
    assert (code, out) == (2, "")
    assert not (tmp_path / "run").exists()
    assert told in error
    assert error.startswith("train.py: ")
    assert error.count("\n") == 1


def test_a_real_process_ends_with_one_line_and_without_a_traceback(model, tmp_path):
    another = shutil.copytree(model, tmp_path / "another")
    text = (another / "config.json").read_text()
    (another / "config.json").write_text(text.replace('"width": 4', '"width": 8'))
    for arguments, told in {
        ("configs/smoke_inpaint.py", "--model", another): "do not belong together",
        ("configs/smoke.py",): "configs/smoke.py is not for this program",
    }.items():
        ended = subprocess.run(
            [sys.executable, "inpaint.py", *arguments], cwd=ROOT, capture_output=True, text=True
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        assert told in ended.stderr
        assert ended.stderr.count("\n") == 1
