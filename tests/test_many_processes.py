"""Many processes train one run: the same batches, the same losses, one end for all of them.

Four devices are shared out over one, two or four processes. Between two and four, where all sums
go over the same wires, the numbers are bit-equal; beside one process, they agree to 1e-5.
"""

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from folders import hole_file, numbered
from killed import visible
from processes import ROOT, TINY, ended, free_port, scalars, script, started, trained, training

HERE = Path(__file__).parent
DEVICES = 4
STEPS = ("--steps", "12", "--checkpoint-every", "5")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The folder of a run in one process, and its scalars."""
    workdir = tmp_path_factory.mktemp("runs") / "one"
    return workdir, trained(workdir, *STEPS, devices=DEVICES)


def assert_alike(found, expected, *, rtol):
    assert [line["step"] for line in found] == [line["step"] for line in expected]
    for line, other in zip(found, expected, strict=True):
        assert line.keys() == other.keys()
        for name in line:
            np.testing.assert_allclose(line[name], other[name], rtol=rtol, err_msg=name)


@pytest.mark.slow
def test_several_processes_train_to_the_losses_of_one(uninterrupted, tmp_path):
    _, expected = uninterrupted
    found = {
        count: trained(tmp_path / str(count), *STEPS, count=count, devices=DEVICES // count)
        for count in (2, 4)
    }
    assert found[2] == found[4]
    assert_alike(found[2], expected, rtol=1e-5)


@pytest.mark.slow
def test_pmap_over_two_processes_learns_what_jit_learns(uninterrupted, tmp_path):
    mapped = (*STEPS, "--sharding.mode", "pmap")
    found = trained(tmp_path / "run", *mapped, count=2, devices=DEVICES // 2)
    assert_alike(found, uninterrupted[1], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["context_encoder", "self_tuned"])
def test_other_kinds_learn_the_same_in_two_processes_as_in_one(kind, tmp_path):
    """One with two players; one that all processes validate together after every epoch."""
    found = []
    for count in (1, 2):
        words = (HERE / "kinds.py", tmp_path / str(count), kind)
        codes, outputs = ended(started(*words, count=count, devices=DEVICES // count))
        assert codes == [0] * count, outputs
        found.append(scalars(tmp_path / str(count)))
    assert len(found[0]) == 6
    assert_alike(found[1], found[0], rtol=1e-4)


@pytest.mark.slow
def test_several_processes_read_the_batches_of_one_and_every_image_once_an_epoch(tmp_path):
    read = {}
    for count in (1, 2, 4):
        out = tmp_path / f"{count}.npz"
        words = (HERE / "reading.py", out, "11")  # 11 batches of 16 are 4 epochs of 44 images
        codes, outputs = ended(started(*words, count=count, devices=DEVICES // count))
        assert codes == [0] * count, outputs
        read[count] = np.load(out)["batches"]
    np.testing.assert_array_equal(read[2], read[1])
    np.testing.assert_array_equal(read[4], read[1])
    readable = set(range(44)) - {5, 17}
    for epoch in read[4].reshape(4, 44, 32, 32, 3):
        seen = [int(picture[0, 0, 2]) for picture in epoch]
        assert set(seen) == readable  # 42 of 44 places; chance fills two, in place of the broken


@pytest.mark.slow
def test_a_run_goes_on_in_more_processes_and_in_fewer(uninterrupted, tmp_path):
    whole, expected = uninterrupted
    workdir = shutil.copytree(whole, tmp_path / "run")
    for step in (10, 12):
        shutil.rmtree(workdir / "checkpoints" / str(step))
    found = trained(workdir, "--steps", "8", count=2, devices=2)
    assert [line["step"] for line in found] == [*range(1, 9)]
    found = trained(workdir, "--steps", "12", devices=1)
    assert_alike(found, expected, rtol=1e-5)
    assert found[:5] == expected[:5]


@pytest.mark.slow
def test_a_signal_to_one_process_saves_and_ends_all_of_them(tmp_path):
    workdir = tmp_path / "run"
    long = ("--steps", "100000", "--checkpoint-every", "100000")
    processes = training(workdir, *long, count=2, devices=1)
    wait_for_lines(workdir, 5, processes)
    before = len(scalars(workdir))
    processes[1].send_signal(signal.SIGTERM)
    codes, outputs = ended(processes)
    assert codes == [75, 75], outputs
    assert "the same command continues" in outputs[0][0]
    assert "saved" not in outputs[1][0]
    (step,) = (int(path.name) for path in (workdir / "checkpoints").iterdir())
    assert scalars(workdir)[-1]["step"] == step >= before


@pytest.mark.slow
def test_when_one_of_two_is_killed_the_other_ends_and_both_continue(tmp_path):
    workdir, steps = tmp_path / "run", ("--steps", "40", "--checkpoint-every", "5")
    expected = trained(tmp_path / "whole", *steps, count=2, devices=2)
    for killed, lines in ((0, 12), (1, 23)):
        processes = training(workdir, *steps, count=2, devices=2)
        wait_for_lines(workdir, lines, processes)
        processes[killed].kill()
        codes, outputs = ended(processes, within=120)
        assert codes[killed] == -signal.SIGKILL
        assert codes[1 - killed] in (75, -signal.SIGABRT), outputs
        told = outputs[1 - killed][1]
        assert "another process is lost" in told or "another task died" in told
    assert trained(workdir, *steps, count=2, devices=2) == expected


@pytest.mark.slow
def test_a_run_killed_at_ten_moments_equals_an_uninterrupted_one(tmp_path):
    assert len(script("killed_training.py", tmp_path, 0, 10).splitlines()) == 10


@pytest.mark.slow
def test_what_one_process_cannot_do_all_refuse_in_one_line(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("do not lose")
    codes, outputs = ended(training(tmp_path / "run", count=2))
    assert codes == [2, 2]
    (first, second) = (output[1].splitlines()[-1] for output in outputs)
    assert re.fullmatch(r"train.py: .* is not empty and holds no training run; .*", first)
    assert re.fullmatch(r"train.py: process 0 of 2: .* holds no training run; .*", second)
    codes, outputs = ended(training(tmp_path / "other", "--batch-size", "15", count=2))
    assert codes == [2, 2]
    assert all("15" in output[1] and "14 or 16" in output[1] for output in outputs)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_processes_that_are_not_of_one_run_are_found_out(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    two.mkdir()
    words = ("train.py", "configs/smoke.py", *TINY)
    for other, complaint in (
        (("--workdir", one, "--seed", "7"), "process 1 of 2 has another experiment than process 0"),
        (("--workdir", two), f"{two} is not the folder of process 0; name one that all hosts see."),
    ):
        codes, outputs = ended(started(*words, count=2, own=(("--workdir", one), other)))
        assert codes == [2, 2], outputs
        assert all(complaint in error.splitlines()[-1] for _, error in outputs), outputs
    assert not list(tmp_path.glob("*/checkpoints"))


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_others_that_do_not_come_are_waited_for_as_long_as_was_said(index, tmp_path):
    flags = ("--hosts.coordinator", f"localhost:{free_port()}", "--hosts.count", "2")
    flags += ("--hosts.index", str(index), "--hosts.timeout", "3")
    begun = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "train.py", "configs/smoke.py", "--workdir", tmp_path / "run", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 2
    told = ended.stderr.splitlines()[-1]
    assert f"train.py: process {index} of 2 has not met all others at localhost:" in told
    assert "in 3 seconds" in told
    assert time.monotonic() - begun > 3
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_several_processes_inpaint_to_the_bytes_of_one(tmp_path):
    source, hole = numbered(tmp_path / "in", 12), hole_file(tmp_path / "h.png", (10, 10, 30, 25))
    words = ("inpaint.py", "configs/smoke_inpaint.py", "--model", "None", "--method", "laplace")
    words += ("--images", source, "--holes", hole, "--frame.size", "32", "--report-rows", "4")
    for name, count in (("one", 1), ("two", 2)):
        codes, outputs = ended(started(*words, "--output", tmp_path / name, count=count))
        assert codes == [0] * count, outputs
    assert len(visible(tmp_path / "one")) > 12
    of_both = visible(tmp_path / "two")
    parts = {name: of_both.pop(name) for name in list(of_both) if name.startswith("manifest.")}
    assert sorted(parts) == ["manifest.0-of-2.jsonl", "manifest.1-of-2.jsonl"]
    assert of_both == visible(tmp_path / "one")


def wait_for_lines(workdir, count, processes):
    while not (workdir / "scalars.jsonl").exists() or len(scalars(workdir)) < count:
        assert all(process.poll() is None for process in processes), ended(processes)
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_lives_in_an_object_store_as_on_a_disk(tmp_path):
    kept = "config.json history.jsonl pictures/N.png report.html scalars.jsonl tensorboard/events"
    assert script("stored.py", tmp_path).startswith(kept)
