"""What is known before the work begins: holes without images, room, and whether one may write."""

import os
import shutil
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
from folders import hole_file, laplace, noise, numbered, photographs, pictures

from ce_jax import images
from ce_jax.batch import inpaint
from ce_jax.images import write_png
from ce_jax.inpainting import planning
from ce_jax.inpainting.claims import OutputError


def test_the_plan_tells_of_holes_without_images_and_images_without_holes(tmp_path):
    source, drawn = photographs(tmp_path / "in", "a", "b", "c"), tmp_path / "holes"
    for name in ("a", "x"):
        hole_file(drawn / f"{name}.png", (5, 5, 20, 20))
    told = []
    inpaint(laplace(source, tmp_path / "out", holes=str(drawn)), tell=told.append)
    assert told[0] == (
        f"3 images of {source}; holes: 2 in {drawn}; 2 images without one (b, c); "
        f"1 files of no image ({drawn / 'x.png'})"
    )
    assert told[1] == "0 done already, 3 to do: laplace, seed 0"
    assert told[2].startswith(f"to {tmp_path / 'out'}: about ")
    assert [line.partition(" has no hole in")[0] for line in told[3:]] == [
        "failed: b: image b",
        "failed: c: image c",
    ]


def test_of_many_failures_the_first_three_are_told(tmp_path):
    source, told = photographs(tmp_path / "in", *"abcdef"), []
    hole_file(tmp_path / "holes" / "a.png", (5, 5, 20, 20))
    config = laplace(source, tmp_path / "out", holes=str(tmp_path / "holes"))
    assert inpaint(config, tell=told.append).failed == 5
    assert [line[:9] for line in told if line.startswith("failed")] == [
        f"failed: {name}" for name in "bcd"
    ]


def test_the_plan_tells_of_files_that_are_left_out_by_their_ending(tmp_path):
    source, told = photographs(tmp_path / "in", "a", "b"), []
    for name in ("c.HEIC", "d.heic", "notes.txt", "LICENSE", ".hidden.heic"):
        (tmp_path / "in" / name).touch()
    inpaint(laplace(source, tmp_path / "out"), tell=told.append)
    left_out = "2 .heic, 1 without one, 1 .txt"
    assert told[0] == f"2 images of {source} (left out by ending: {left_out}); holes: center"


@pytest.mark.parametrize(("inverted", "warned"), [(3, True), (2, False)])
def test_the_plan_tells_of_holes_that_look_inverted(tmp_path, inverted, warned):
    source = numbered(tmp_path / "in", 4)
    for number in range(4):
        path = tmp_path / "holes" / f"{number:02}.png"
        hole_file(path, (5, 5, 20, 20))
        if number < inverted:
            write_png(path, 255 - images.read(path))
    told = []
    inpaint(laplace(source, tmp_path / "out", holes=str(tmp_path / "holes")), tell=told.append)
    assert warned == told[1].startswith(
        "white is what is missing: 3 of the 4 holes looked at have more white than black; if white"
    )


def test_a_large_hole_within_its_picture_is_no_inverted_one(tmp_path):
    source, told = photographs(tmp_path / "in", "a"), []
    hole = hole_file(tmp_path / "hole.png", (1, 1, 49, 40))
    inpaint(laplace(source, tmp_path / "out", holes=hole), tell=told.append)
    assert not any("invert" in line for line in told)


def test_a_disk_without_room_is_refused_before_the_work_begins(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2e4, 0, 20_000))
    config = laplace(numbered(tmp_path / "in", 30), tmp_path / "out", report_rows=0, report_worst=0)
    with pytest.raises(OutputError, match=r"out has 20 kB free, but about 122 kB are needed"):
        inpaint(config)
    assert not (tmp_path / "out" / "images").exists()


@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_whole_photographs_need_as_much_room_from_one_file_as_from_many(
    tmp_path, monkeypatch, kind
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2e4, 0, 20_000))
    source = numbered(tmp_path / "in", 4)
    if kind == "npz":
        np.savez(tmp_path / "in.npz", np.stack([noise(number) for number in range(4)]))
        source = f"npz:{tmp_path / 'in.npz'}"
    hole = hole_file(tmp_path / "hole.png", (5, 5, 20, 20))
    config = laplace(source, tmp_path / "out", holes=hole, report_rows=0, report_worst=0)
    with pytest.raises(OutputError, match=r"about 28 kB are needed"):  # 3 bytes of 40x50 pixels
        inpaint(replace(config, frame=None))


def test_a_folder_that_cannot_be_written_is_refused_before_the_work_begins(tmp_path, monkeypatch):
    def read_only(*_):
        raise OSError(30, "Read-only file system")

    source = numbered(tmp_path / "in", 1)
    monkeypatch.setattr(os, "fsync", read_only)
    with pytest.raises(OutputError, match=r"out cannot be written \(Read-only file system\)"):
        inpaint(laplace(source, tmp_path / "out"))
    assert pictures(tmp_path / "out") == {}


def test_bytes_are_readable():
    assert [planning.readable(n) for n in (0, 999, 1000, 15_300, 4_000_000_000, 10**16)] == [
        *("0 bytes", "999 bytes", "1 kB", "15.3 kB", "4 GB", "1e+04 TB")
    ]
