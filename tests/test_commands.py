"""What a user can do wrong ends in one line that says how to do it right, and nothing is lost."""

import dataclasses
import importlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import untrained

from ce_jax import commands, images, training
from ce_jax.config import Frame, Inpainting

ROOT = Path(__file__).parents[1]
SMOKE = {"train.py": "configs/smoke.py", "inpaint.py": "configs/smoke_inpaint.py"}


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs a program in this process: its exit code, and what it wrote to either output."""

    def run(program, *arguments):
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        try:
            code = commands.run(importlib.import_module(Path(program).stem).main)
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return untrained.workdir(tmp_path_factory.mktemp("model") / "dcgan", tiny.dcgan())


def photographs(folder, count, broken=0):
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 256, (32, 32, 3), np.uint8)
        images.write_png(folder / f"{number:02}.png", pixels)
    for number in range(broken):
        (folder / f"broken{number}.png").write_bytes(b"no picture")
    return f"folder:{folder}"


def laplace(source, output, *more):
    """Arguments of an inpainting without a network."""
    method = ("--method", "laplace", "--model", "None", "--frame.size", "32")
    return SMOKE["inpaint.py"], *method, "--images", source, "--output", output, *more


# Reading an experiment


@pytest.mark.parametrize("program", SMOKE)
@pytest.mark.parametrize("arguments", [(), ("--help",), ("--steps", "3")])
def test_without_an_experiment_the_user_is_told_to_name_one(command, program, arguments):
    code, out, error = command(program, *arguments)
    assert (code, out) == (2, "")
    assert error.startswith(f"{program}: name an experiment first, as in configs/smoke.py")


@pytest.mark.parametrize("path", ["configs/smok.py", "configs", "configs/"])
def test_a_missing_experiment_is_answered_with_those_that_exist(command, path):
    code, _, error = command("train.py", path)
    assert code == 2
    assert "no experiment configs" in error
    assert "configs/smoke.py, configs/smoke_inpaint.py" in error


def test_nothing_is_suggested_where_nothing_is(command, tmp_path):
    code, _, error = command("train.py", tmp_path / "nowhere" / "mine.py")
    assert (code, error) == (2, f"train.py: no experiment {tmp_path}/nowhere/mine.py\n")


@pytest.mark.parametrize(
    ("program", "text", "told"),
    [
        ("train.py", "experiment = 1\n", "its get_config() must return Training"),
        ("inpaint.py", "def get_config():\n    return 3\n", "must return Inpainting"),
        ("train.py", "def get_config(:\n", "SyntaxError: invalid syntax (mine.py, line 1)"),
        ("train.py", "import nothing_at_all\n", "No module named 'nothing_at_all'"),
        ("train.py", "get_config = 3\n", "TypeError: 'int' object is not callable"),
        (
            "train.py",
            "from ce_jax.config import *\nget_config = lambda: Training(modle=Dcgan())\n",
            "unexpected keyword argument 'modle'",
        ),
        (
            "train.py",
            "from ce_jax.config import *\nget_config = lambda: Training(model=Dcgan(width=0))\n",
            "model.width must be at least 1, got 0",
        ),
    ],
)
def test_a_file_that_is_no_experiment_is_named_with_the_reason(
    command, tmp_path, program, text, told
):
    (tmp_path / "mine.py").write_text(text)
    code, out, error = command(program, tmp_path / "mine.py")
    assert (code, out) == (2, "")
    assert error.startswith(f"{program}: {tmp_path / 'mine.py'}")
    assert told in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("program", SMOKE)
def test_the_experiment_of_the_other_program_is_refused(command, program):
    (other,) = set(SMOKE.values()) - {SMOKE[program]}
    code, _, error = command(program, other)
    assert code == 2
    assert f"{other} is not for this program" in error


# Overriding it


def options(experiment):
    """Every field of an experiment, as it is written on the command line."""
    for field in dataclasses.fields(experiment):
        name, value = field.name.replace("_", "-"), getattr(experiment, field.name)
        if dataclasses.is_dataclass(value):
            yield from (f"{name}.{inner}" for inner in options(value))
        else:
            yield name


@pytest.mark.parametrize(
    ("program", "experiment"),
    [("train.py", tiny.dcgan()), ("inpaint.py", Inpainting(model="m", frame=Frame()))],
)
def test_help_lists_every_field(command, program, experiment):
    code, out, _ = command(program, SMOKE[program], "--help")
    assert code == 0
    listed = set(re.findall(r"^[│ ]+--([a-z0-9.-]+)", out, re.MULTILINE))
    assert set(options(experiment)) - listed == set()


@pytest.mark.parametrize(
    ("program", "arguments", "told"),
    [
        ("inpaint.py", "--latnt.steps 3", "--latent.steps"),
        ("inpaint.py", "--latent.window 4", "latent.window must be odd and positive, got 4"),
        ("inpaint.py", "--latent.steps many", "many"),
        ("inpaint.py", "--method magic", "context-encoder"),
        ("inpaint.py", "--model None", "--model DIR"),
        ("inpaint.py", "--frame.size 48", "one of 32, 64, 128"),
        ("train.py", "--workdir w --steps 0", "steps must be at least 1, got 0"),
        ("train.py", "--workdir w --generator.rate -1", "rate must be positive, got -1"),
        ("train.py", "--workdir w --model.widht 3", "--model.width"),
        ("train.py", "--steps 3", "--workdir"),
    ],
)
def test_wrong_options_are_named_with_the_right_ones(command, program, arguments, told):
    code, _, error = command(program, SMOKE[program], *arguments.split())
    assert code == 2
    assert told in " ".join(error.replace("│", " ").split())


# What can be known before the work begins


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
    code, out, error = command("inpaint.py", SMOKE["inpaint.py"], *usual, *given)
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
    photographs(tmp_path / "in", 1)
    given = arguments.format(tmp=tmp_path).split()
    usual = ("--workdir", tmp_path / "run")
    code, out, error = command("train.py", SMOKE["train.py"], *usual, *given)
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


def ending_with(error):
    def main(_):
        raise error

    return main


def test_running_out_of_memory_is_answered_with_a_smaller_batch(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["here/inpaint.py"])
    error = RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nAnd a table.")
    assert commands.run(ending_with(error)) == 2
    told = "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.; lower --batch-size"
    assert capsys.readouterr().err == f"inpaint.py: {told}\n"
    with pytest.raises(RuntimeError, match="a defect"):
        commands.run(ending_with(RuntimeError("a defect")))


@pytest.mark.parametrize(("theirs", "threads"), [(None, 1), ("3", 3)])
def test_small_matrices_are_not_shared_among_threads_unless_asked(monkeypatch, theirs, threads):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", theirs or "")
    if theirs is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    assert commands.run(lambda _: int(os.environ["OPENBLAS_NUM_THREADS"])) == threads


def cache_after_a_start(monkeypatch, **environment):
    """Where the next start looks for what XLA has compiled."""
    for name in ("JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    return commands.run(lambda _: os.environ.get("JAX_COMPILATION_CACHE_DIR"))


def test_what_was_compiled_is_kept_in_the_cache_of_the_user(monkeypatch, tmp_path):
    home, other = tmp_path / "home", tmp_path / "other"
    kept = cache_after_a_start(monkeypatch, HOME=home)
    assert kept == str(home / ".cache" / "ce_jax" / "xla")
    kept = cache_after_a_start(monkeypatch, HOME=home, XDG_CACHE_HOME=other)
    assert kept == str(other / "ce_jax" / "xla")
    assert Path(kept).is_dir()
    assert not list(Path(kept).iterdir())
    theirs = cache_after_a_start(monkeypatch, HOME=home, JAX_COMPILATION_CACHE_DIR="theirs")
    assert theirs == "theirs"


def test_a_home_that_cannot_be_written_is_no_obstacle(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    assert cache_after_a_start(monkeypatch, HOME=tmp_path / "file") is None


def test_an_interruption_at_once_is_no_traceback(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert commands.run(ending_with(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "train.py: interrupted\n"


# Exit codes and signals


@pytest.mark.parametrize(("good", "broken", "code"), [(2, 0, 0), (2, 1, 3), (0, 2, 4)])
def test_the_exit_code_tells_how_many_images_were_completed(command, tmp_path, good, broken, code):
    source = photographs(tmp_path / "in", good, broken)
    ended, out, _ = command("inpaint.py", *laplace(source, tmp_path / "out"))
    assert ended == code
    told = f"{good} of {good + broken} images completed, {broken} failed; report: "
    assert out == f"{told}{tmp_path}/out/report.html\n"
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize(("step", "code"), [(3, 75), (4, 0), (7, 0)])
def test_the_exit_code_tells_whether_training_should_go_on(command, monkeypatch, step, code):
    monkeypatch.setattr(training, "train", lambda *_, **__: step)
    ended, out, _ = command("train.py", SMOKE["train.py"], "--workdir", "w")
    assert ended == code
    assert out.startswith(f"step {step} of 4, saved in w")
    assert ("the same command continues" in out) == (code == 75)


def test_a_run_too_short_to_profile_says_so(command, monkeypatch):
    monkeypatch.setattr(training, "train", lambda *_, **__: 4)
    ended, out, _ = command("train.py", SMOKE["train.py"], "--workdir", "w", "--profile")
    assert ended == 0
    assert "too short a run to profile" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request_and_the_second_takes_effect(number, capfd):
    before = signal.getsignal(number)
    with commands.interruptible() as stopped:
        assert not stopped()
        os.kill(os.getpid(), number)
        assert stopped()
        assert signal.getsignal(number) is before
    assert signal.getsignal(number) is before
    assert "once more to stop at once" in capfd.readouterr().err


def test_an_inpainting_that_is_stopped_keeps_what_is_done_and_continues(
    command, tmp_path, monkeypatch
):
    arguments = laplace(photographs(tmp_path / "in", 20), tmp_path / "out")
    write, written = images.write_png, itertools.count()

    def write_and_stop(*file):
        write(*file)
        if next(written) == 0:  # of several threads, one
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(images, "write_png", write_and_stop)
        code, out, error = command("inpaint.py", *arguments)
    assert code == 75
    assert "16 of 20 images completed" in out
    assert "the same command continues" in out
    assert "Traceback" not in error
    code, out, _ = command("inpaint.py", *arguments)
    assert (code, out.split(";")[0]) == (0, "20 of 20 images completed, 0 failed")


def test_holes_are_drawn_for_other_programs(command, tmp_path):
    source = photographs(tmp_path / "in", 2)
    drawing = "draw_holes.py", "block:9", "--images", source, "--size", "16", "--output"
    code, out, error = command(*drawing, tmp_path / "holes")
    assert (code, error) == (0, "")
    said = json.loads((tmp_path / "holes" / "holes.json").read_text())
    assert out == f"2 holes in {tmp_path / 'holes'}; hole set {said['hash']}\n"
    assert images.read(tmp_path / "holes" / "01.png").sum() == 9 * 9 * 3 * 255


@pytest.mark.parametrize(
    ("holes", "more", "told"),
    [
        ("set:half", (), r"no hole set 'half'; did you mean set:yeh2017-half\? sets are yeh2017-c"),
        ("block:9", ("--size", "0"), "size must be at least 1, got 0"),
        ("block:9", ("--seed", "-1"), "seed must be in"),
        ("block:99", (), "'block:99' does not fit into 64 pixels"),
        (".", (), r"holes \. "),
    ],
)
def test_holes_that_cannot_be_drawn_are_refused_in_one_line(command, tmp_path, holes, more, told):
    source = photographs(tmp_path / "in", 1)
    output = tmp_path / "holes"
    code, out, error = command(
        "draw_holes.py", holes, "--images", source, "--output", output, *more
    )
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert re.match(f"draw_holes.py: .*{told}", error)
    assert not output.exists()
