"""Every command that a page or an experiment tells one to type is one that its program takes.

Nothing is run here: programs read their flags and the experiment. docs/extending.md has a test of
its own, which runs what it says.
"""

import argparse
import importlib
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import tyro

import draw_holes
import inpaint
import report
import train
from ce_jax import commands
from ce_jax.config import Hosts, Inpainting, Table, Training
from ce_jax.convert import __main__ as convert

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted(ROOT.glob("docs/*.md")) if page.name != "extending.md"),
    *sorted(ROOT.glob("configs/*.py")),
    *sorted(ROOT.glob("ce_jax/released/*.md")),
]
FOR_EXAMPLE = {
    "[FIELDS]": "",
    "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT": "0/4",
    "RECIPE": "torch",
    "SHARING": "equal",
    "KIND": "center",
    "LEVEL": "1-6",
    "METHOD": "tv",
    "STEPS": "100",
    "--steps 3N --every N": "--steps 300 --every 100",
}
"""What may stand for the words that a page explains."""


def text_of(page):
    text = re.sub(r"\s*\\+\n\s*", " ", page.read_text(encoding="utf-8"))
    for word, example in FOR_EXAMPLE.items():
        text = text.replace(word, example)
    return text


def commands_of(page):
    text = text_of(page)
    found = re.findall(
        r"(?:^\s*|`)python ((?:\w+\.py|-m ce_jax\.convert) [^`\n]+)", text, re.MULTILINE
    )
    return [re.sub(r" # .*| \[--.*\]", "", command) for command in found]


def read_train(words):
    experiment, overrides = commands.read_experiment(words, Training)
    commands.override(train.Train(tyro.MISSING, experiment, Hosts()), overrides)


def read_inpaint(words):
    experiment, overrides = commands.read_experiment(words, Inpainting, Table)
    if isinstance(experiment, Table):
        commands.override(inpaint.Tabulate(experiment, Hosts()), overrides)
    else:
        inpaint.with_frame_of_model(experiment, overrides)


READERS = {
    "train.py": read_train,
    "inpaint.py": read_inpaint,
    "draw_holes.py": lambda words: tyro.cli(draw_holes.Drawing, args=words),
    "report.py": lambda words: tyro.cli(report.Report, args=words),
    "-m": lambda words: tyro.cli(convert.Command, args=words[1:]),
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_programs_take_the_commands_of_the_pages(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for command in dict.fromkeys(commands_of(page)):
        program, *words = (word for word in shlex.split(command) if not word.startswith("$"))
        monkeypatch.setattr(sys, "argv", [program, *words])
        try:
            READERS[program](words)
        except SystemExit as left:  # --help, or a mistake
            assert not left.code, f"python {command}"


@pytest.fixture
def parse_alone(monkeypatch):
    """Programs of argparse leave with 0 once they have taken their words."""
    parse = argparse.ArgumentParser.parse_args

    def parse_and_leave(parser, words):
        parse(parser, words)
        parser.exit()

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_leave)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_benchmarks_take_the_commands_of_the_pages(page, monkeypatch, parse_alone):
    monkeypatch.chdir(ROOT)
    found = re.findall(r"python -m benchmarks\.?(\w*) ([^`\n]+)", text_of(page))
    for name, words in sorted(found, reverse=True):  # last, and perhaps skipped, what has no name
        if name == "waiting":
            monkeypatch.setattr(sys, "argv", ["inpaint.py", *shlex.split(words)])
            read_inpaint(shlex.split(words))
        else:
            if not name:
                pytest.importorskip("torch", reason="PyTorch is not installed")
            program = importlib.import_module(f"benchmarks.{name or '__main__'}")
            with pytest.raises(SystemExit) as left:
                program.main(shlex.split(words))
            assert not left.value.code, f"python -m benchmarks.{name} {words}"


def test_the_experiment_of_the_page_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (code,) = re.findall("(?s)```python\n(.+?)```", (ROOT / "docs/configs.md").read_text())
    mine = tmp_path / "mine.py"
    mine.write_text(code)
    shutil.copy("configs/dcgan_celeba64.py", tmp_path)
    experiment, _ = commands.read_experiment([str(mine)], Training)
    assert (experiment.data.source, experiment.steps) == ("folder:faces", 20_000)


def test_every_experiment_has_its_line_on_the_page():
    page = (ROOT / "docs/configs.md").read_text()
    for path in ROOT.glob("configs/*.py"):
        assert path.stem.removesuffix("_inpaint") in re.findall(r"`(\w+)`", page), path


def test_there_are_commands_of_every_program():
    programs = {command.split()[0] for page in PAGES for command in commands_of(page)}
    assert programs == READERS.keys()
