"""What a user can do wrong ends in one line that says how to do it right, and nothing is lost."""

import dataclasses
import os
import re
import sys
import time
from pathlib import Path

import pytest
import tiny

from ce_jax import commands
from ce_jax.config import Frame, Inpainting

ROOT = Path(__file__).parents[1]
SMOKE = {"train.py": "configs/smoke.py", "inpaint.py": "configs/smoke_inpaint.py"}


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


def ending_with(error):
    def main(_):
        raise error

    return main


def test_running_out_of_memory_is_answered_with_a_smaller_batch(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["here/inpaint.py"])
    error = RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nAnd a table.")
    assert commands.run(ending_with(error)) == 2
    told = "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.; lower --batch-size, "
    assert capsys.readouterr().err == (
        f"inpaint.py: {told}or in the file of a table the batch_size of its entries\n"
    )
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
    assert Path(kept).stat().st_mode & 0o777 == 0o700
    assert not list(Path(kept).iterdir())
    theirs = cache_after_a_start(monkeypatch, HOME=home, JAX_COMPILATION_CACHE_DIR="theirs")
    assert theirs == "theirs"


def test_what_was_compiled_and_nobody_has_asked_for_in_a_month_goes(monkeypatch, tmp_path):
    folder, day, now = tmp_path / "ce_jax" / "xla", 24 * 3600, time.time()
    folder.mkdir(parents=True)
    for name, asked, written in (("old", 31, 31), ("asked for", 29, 99), ("new", 0, 0)):
        (folder / name).touch()
        os.utime(folder / name, (now - asked * day, now - written * day))
    cache_after_a_start(monkeypatch, XDG_CACHE_HOME=tmp_path)
    assert {file.name for file in folder.iterdir()} == {"asked for", "new"}


def test_a_home_that_cannot_be_written_is_no_obstacle(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    assert cache_after_a_start(monkeypatch, HOME=tmp_path / "file") is None


def test_an_interruption_at_once_is_no_traceback(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert commands.run(ending_with(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "train.py: interrupted\n"
