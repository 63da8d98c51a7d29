"""The exit code of a program tells how its work ended, and a signal ends it well."""

import itertools
import json
import os
import re
import signal
from pathlib import Path

import pytest
from folders import numbered

from ce_jax import commands, images, training


def laplace(source, output, *more):
    """Arguments of an inpainting without a network."""
    method = ("--method", "laplace", "--model", "None", "--frame.size", "32")
    return "configs/smoke_inpaint.py", *method, "--images", source, "--output", output, *more


@pytest.mark.parametrize(("good", "broken", "code"), [(2, 0, 0), (2, 1, 3), (0, 2, 4)])
def test_the_exit_code_tells_how_many_images_were_completed(command, tmp_path, good, broken, code):
    source = numbered(tmp_path / "in", good)
    (tmp_path / "in").mkdir(exist_ok=True)
    for number in range(broken):
        (tmp_path / "in" / f"broken{number}.png").write_bytes(b"no picture")
    ended, out, _ = command("inpaint.py", *laplace(source, tmp_path / "out"))
    assert ended == code
    told = f"{good} of {good + broken} images completed, {broken} failed; report: "
    assert out == f"{told}{tmp_path}/out/report.html\n"
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_tilde_is_the_home_of_the_user(command, tmp_path, monkeypatch):
    """A shell leaves it as it is in --output=~/out."""
    monkeypatch.setenv("HOME", str(tmp_path))
    numbered(tmp_path / "in", 2)
    assert command("inpaint.py", *laplace("folder:~/in", "~/in/out"))[0] == commands.USAGE
    code, out, _ = command("inpaint.py", *laplace("folder:~/in", "~/out"))
    assert (code, out.partition("report: ")[2]) == (0, f"{tmp_path}/out/report.html\n")
    assert not Path("~").exists()


@pytest.mark.parametrize(("step", "code"), [(3, 75), (4, 0), (7, 0)])
def test_the_exit_code_tells_whether_training_should_go_on(command, monkeypatch, step, code):
    monkeypatch.setattr(training, "train", lambda *_, **__: step)
    ended, out, _ = command("train.py", "configs/smoke.py", "--workdir", "w")
    assert ended == code
    assert out.startswith(f"step {step} of 4, saved in w")
    assert ("the same command continues" in out) == (code == 75)


def test_a_run_too_short_to_profile_says_so(command, monkeypatch):
    monkeypatch.setattr(training, "train", lambda *_, **__: 4)
    ended, out, _ = command("train.py", "configs/smoke.py", "--workdir", "w", "--profile")
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
    arguments = laplace(numbered(tmp_path / "in", 20), tmp_path / "out")
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


def test_a_part_that_is_named_looks_for_no_others(command, tmp_path, monkeypatch):
    monkeypatch.setattr("ce_jax.hosts.find_spec", lambda _: None)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    arguments = laplace(numbered(tmp_path / "in", 3), tmp_path / "out")
    code, _, error = command("inpaint.py", *arguments)
    assert (code, "--hosts.count 1" in error) == (2, True)
    code, _, error = command("inpaint.py", *arguments, "--shard", "0/1")
    assert code == 0, error


def test_holes_are_drawn_for_other_programs(command, tmp_path):
    source = numbered(tmp_path / "in", 2)
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
    source = numbered(tmp_path / "in", 1)
    output = tmp_path / "holes"
    code, out, error = command(
        "draw_holes.py", holes, "--images", source, "--output", output, *more
    )
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert re.match(f"draw_holes.py: .*{told}", error)
    assert not output.exists()


def test_holes_are_not_drawn_among_the_images(command, tmp_path):
    source = numbered(tmp_path / "in", 1)
    output = tmp_path / "in" / "holes"
    code, _, error = command("draw_holes.py", "center", "--images", source, "--output", output)
    assert (code, error.count("\n"), "lie in one another" in error) == (2, 1, True)
    assert not output.exists()
