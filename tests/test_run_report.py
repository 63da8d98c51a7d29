"""The report of a run says what lies in its folder, whatever became of the run, and no more."""

import dataclasses
import json
import os
import re
import sys

import browser
import numpy as np
import pytest
import tiny
from test_report import HOSTILE, Tags

import report
from ce_jax import commands, config, images
from ce_jax.config import Data, Frame, Training
from ce_jax.runs import history, run_report
from ce_jax.runs.workdirs import CheckpointError

BEGAN = {
    "event": "began",
    "time": "2026-01-02T03:04:05+00:00",
    "host": "a-host",
    "devices": "8 x cpu",
    "versions": {"jax": "0.10"},
    "images": 12345,
    "parameters": {"generator": 6789},
    "command": "python train.py configs/dcgan_celeba64.py --workdir 'runs/a b'",
}


def ended(event, step, **more):
    return {"event": event, "step": step, "time": "2026-01-02T04:05:06+00:00", **more}


@pytest.fixture
def folder(tmp_path):
    """Makes the work directory of a run that was never done."""

    def make(*, events=(), steps=range(20, 101, 20), pictures=(50, 100), source="", **changes):
        workdir = tmp_path / "run"
        data = Data(source=source or "bundled:digits", frame=Frame(size=32))
        plain = config.to_dict(tiny.dcgan(steps=100, data=data, **changes))
        workdir.mkdir()
        (workdir / "config.json").write_text(json.dumps(plain))
        lines = [
            {"step": step, "images/s": 16.0, "loss/critic": 2.0 / step, "loss/generator": step}
            for step in steps
        ]
        scalars = "".join(json.dumps(line) + "\n" for line in lines)
        (workdir / "scalars.jsonl").write_text(scalars + '{"step": 120, "loss/cri')
        (workdir / "history.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
        for step in pictures:
            tiles = np.full((9, 32, 32, 3), step % 256, np.uint8)
            grid = images.grid(tiles, columns=3)
            images.write_png(workdir / "pictures" / f"{step:08d}.png", grid)
        (workdir / "checkpoints" / "100").mkdir(parents=True)
        return workdir

    return make


def written(workdir):
    return run_report.write(workdir).read_text()


def text_of(page):
    return " ".join(Tags(page).text.split())


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*)<', page)[1])


def test_everything_that_is_known_of_a_run_is_on_its_page(folder):
    workdir = folder(events=[BEGAN | {"step": 0}, ended("finished", 100)])
    page = written(workdir)
    text = text_of(page)
    for told in (
        "Step 100 of 100, finished; 2 min of work, 16 images/s",
        "bundled:digits (12,345)",
        "6,789 generator",
        "8 x cpu",
        "a-host",
        "jax 0.10",
        "python train.py configs/dcgan_celeba64.py --workdir 'runs/a b'",
        f"python inpaint.py configs/latent_search.py --model {workdir} --images",
        "2026-01-02 03:04 UTCbegan08 x cpu, a-host",
        "2026-01-02 04:05 UTCfinished100",
    ):
        assert told in text
    data = data_of(page)
    assert data["steps"] == [20, 40, 60, 80, 100]  # the last line was cut off
    assert data["curves"]["loss/generator"] == {"mean": [20, 40, 60, 80, 100]}
    assert data["pictures"] == [50, 100]


@pytest.mark.parametrize(
    ("events", "hours", "told"),
    [
        ([], 0, "Step 60 of 100, running; 1 min of work, 16 images/s, 1 min to go"),
        ([], 1, "Step 60 of 100, stopped or killed;"),
        ([BEGAN | {"step": 0}], 0, "Step 60 of 100, running;"),
        ([BEGAN | {"step": 0}], 1, "Nothing was heard of it since 20"),
        ([BEGAN | {"step": 0}, ended("stopped", 64)], 0, "Step 64 of 100, stopped;"),
        ([ended("diverged", 64, note="step 65: loss is inf")], 0, "step 65: loss is inf"),
        ([ended("stopped", 80), BEGAN | {"step": 50}], 0, "Step 60 of 100, running;"),
    ],
)
def test_how_a_run_stands_is_told_by_what_it_said_last_and_when(folder, events, hours, told):
    workdir = folder(events=events, steps=range(20, 61, 20))
    for path in workdir.rglob("*"):
        then = os.stat(path).st_mtime - 3600 * hours
        os.utime(path, (then, then))
    page = written(workdir)
    assert told in text_of(page)
    assert data_of(page)["pictures"] == [50]  # the other is of a step to be done again


@pytest.mark.parametrize("last", ["a picture", "a line of a run that is slow"])
def test_a_run_is_heard_of_by_its_pictures_and_as_often_as_it_has_lines(folder, last):
    """At 16 images/s and 16 images a step: a line of the slow run is due every 20 minutes."""
    slow = {} if last == "a picture" else {"log_every": 20 * 60}
    workdir = folder(events=[BEGAN | {"step": 0}], steps=range(20, 61, 20), batch_size=16, **slow)
    for path in workdir.rglob("*"):
        then = path.stat().st_mtime - 50 * 60 * (last != "a picture" or path.suffix != ".png")
        os.utime(path, (then, then))
    assert "Step 60 of 100, running" in text_of(written(workdir))


def test_fields_that_were_chosen_are_marked_and_all_are_there(folder):
    page = written(folder(batch_size=16))
    rows = re.findall(r'<tr( class="chosen")?><th>(\w+)</th><td>(.*)</td></tr>', page)
    fields = {name: (value, bool(chosen)) for chosen, name, value in rows}
    assert fields.keys() >= {f.name for f in dataclasses.fields(Training)} - {
        *("model", "data", "generator", "critic", "sharding")
    }
    assert fields["batch_size"] == ("16", True)
    assert fields["latent"] == ("8", True)
    assert fields["validation"] == ("none", False)
    assert fields["seed"] == ("0", False)


def test_a_run_of_a_version_that_knew_fewer_fields_has_a_page_and_of_more_a_line(folder):
    workdir = folder()
    (workdir / "history.jsonl").unlink()
    record = json.loads((workdir / "config.json").read_text())
    del record["data"]["threads"]
    (workdir / "config.json").write_text(json.dumps(record))
    assert "Step 100" in text_of(written(workdir))
    record["model"] |= {"depth": 7}
    (workdir / "config.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read: .*depth"):
        run_report.write(workdir)


def test_a_run_that_has_written_nothing_yet_has_a_page(folder):
    workdir = folder(steps=(), pictures=())
    (workdir / "scalars.jsonl").unlink()
    assert "Step 0 of 100, running" in text_of(written(workdir))


@pytest.mark.parametrize("content", [None, "", "[]", '{"model": "dcgan"}', '{"images": "folder:'])
def test_a_folder_without_a_run_is_refused_in_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json") as refusal:
        run_report.write(tmp_path)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "report.html").exists()


def test_the_command_writes_a_report_or_says_in_one_line_why_not(folder, monkeypatch, capsys):
    workdir = folder()
    for argument, code in ((workdir, commands.DONE), (workdir / "pictures", commands.USAGE)):
        monkeypatch.setattr(sys, "argv", ["report.py", str(argument)])
        assert commands.run(report.main) == code
    out, error = capsys.readouterr()
    assert out == f"{workdir}/report.html\n"
    assert error.startswith(f"report.py: {workdir}/pictures holds no training run")
    assert error.count("\n") == 1


def test_names_are_shown_and_never_executed(folder):
    events = [BEGAN | dict.fromkeys(("command", "host", "devices"), HOSTILE) | {"step": 0}]
    workdir = folder(source=f"folder:{HOSTILE}", events=[*events, ended("failed", 1, note=HOSTILE)])
    with (workdir / "scalars.jsonl").open("a") as scalars:
        scalars.write("\n" + json.dumps({"step": 120, HOSTILE: 1.0}) + "\n")
    page = written(workdir.rename(workdir.with_name("<script>alert(1)")))
    tags = Tags(page)
    assert [tag for tag, _ in tags.tags].count("script") == 2
    assert tags.text.count(HOSTILE) >= 7
    assert not any(name.startswith("on") for _, attributes in tags.tags for name in attributes)
    assert data_of(page)["curves"][HOSTILE]["mean"][-1] == 1.0


def test_of_many_pictures_few_are_part_of_the_page_and_it_asks_for_nothing_else(folder):
    page = written(folder(steps=[500], pictures=range(5, 501, 5)))
    tags = Tags(page)
    sources = tags.having("src")
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert len(sources) == 9
    assert len(data_of(page)["pictures"]) == 100
    assert tags.having("href") == ["data:,", "pictures/00000500.png"]
    assert not re.search(r"(https?|ftp):|//[a-z]+\.|@import|url\([^#]", page)
    assert "default-src 'none'; img-src data: 'self' file:; " in tags.having("content")[0]


def test_a_report_is_written_when_what_is_done_ends_well_or_not(folder, tmp_path):
    workdir = folder()
    with run_report.reported(workdir):
        assert not (workdir / "report.html").exists()
    (workdir / "report.html").unlink()
    with pytest.raises(ArithmeticError, match="first"), run_report.reported(workdir):
        raise ArithmeticError("first")
    assert (workdir / "report.html").is_file()
    with pytest.raises(ArithmeticError, match="first"), run_report.reported(tmp_path / "none"):
        raise ArithmeticError("first")


@pytest.mark.parametrize(
    "damaged",
    [
        b'{"event": "stop',
        b'{"event": "stopped", "step": "7", "time": "2026-01-01T00:00:00+00:00"}\n',
        b'{"event": "stopped", "step": null, "time": "2026-01-01T00:00:00+00:00"}\n',
        b'{"event": "stopped", "step": 7, "time": "2026-\xff1-01T00:00:00+00:00"}\n',
        b'{"event": "stopped", "step": 7, "time": 2026}\n',
    ],
)
def test_history_outlives_a_line_that_was_damaged(folder, damaged):
    workdir = folder(steps=(), pictures=())
    (workdir / "history.jsonl").unlink()
    history.add(workdir, "began", 0, host="ü\ud800")
    with (workdir / "history.jsonl").open("ab") as file:
        file.write(damaged)
    assert "Step 0 of 100, running" in text_of(written(workdir))
    history.add(workdir, "began", 7)
    events = history.read(workdir)
    assert [(event["event"], event["step"]) for event in events] == [("began", 0), ("began", 7)]
    assert events[0]["host"] == "ü\ud800"


@browser.needed
def test_a_browser_draws_hides_and_turns_without_complaint(folder, tmp_path):
    workdir = folder(events=[BEGAN | {"step": 40}], pictures=(25, 50, 75, 100))
    clicks = """
      const [generator] = document.querySelectorAll('[data-name="loss/generator"]');
      const paths = () => document.querySelectorAll(".chart:first-child .line").length;
      const told = [paths()];
      addEventListener("hashchange", () => {
        told.push(paths());
        document.querySelector("#before")?.click();
        document.body.dataset.told = told;
      }, { once: true });
      generator.click();
      point(2, document.querySelector(".chart"));
    """
    page = written(workdir)
    dom = browser.opened(page, workdir, place="picture=75", script=clicks)
    assert 'data-told="2,1"' in dom
    assert re.search(r'aria-pressed="false" data-name="loss/generator"', dom)
    assert 'src="pictures/00000050.png"' in dom
    assert len(re.findall(r'class="mark" x1="\d', dom)) == 2  # in both charts
    assert re.search(r'class="tip".*step 60.*loss/critic.*0\.03333', dom, re.DOTALL)


@browser.needed
@pytest.mark.parametrize(
    ("constant", "place"),
    [(0.2, ""), (1.0, "other=loss"), (0.0, ""), (0.2, "hide=images/s&other=images/s")],
)
def test_a_browser_draws_what_is_constant_or_hidden_on_either_scale(
    folder, tmp_path, constant, place
):
    workdir = folder(steps=())
    same = {"share/level-1": constant, "loss/critic": constant, "images/s": 16.0}
    lines = (json.dumps({"step": step, **same}) + "\n" for step in range(1, 101))
    (workdir / "scalars.jsonl").write_text("".join(lines))
    dom = browser.opened(written(workdir), tmp_path, place=place)
    assert dom.count('class="across"') >= 3 * 2
