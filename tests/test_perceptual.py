"""A run measures LPIPS, FID and KID of what it wrote, by the files that a user names."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import foreign
import numpy as np
import pytest
import tiny
from folders import (
    FRAME,
    hole_file,
    laplace,
    manifest,
    nearest,
    noise,
    numbered,
    strictly,
    truncated,
)
from foreign import saved

from ce_jax import batch, images, sharding
from ce_jax.batch import inpaint
from ce_jax.config import Entry, Perceptual, Table
from ce_jax.inpainting import perceptual
from ce_jax.inpainting.claims import OutputError
from ce_jax.metrics import distributions
from ce_jax.runs.feature_files import FeatureFileError
from ce_jax.tables import tabulate


@pytest.fixture
def source(tmp_path):
    """Five photographs, one of which is broken."""
    folder = numbered(tmp_path / "in", 5)
    truncated(tmp_path / "in" / "05.jpg")
    return folder


def told(output):
    return strictly((output / "metrics.json").read_text())


def test_a_run_measures_what_it_wrote_and_does_so_once(tmp_path, weights, source, monkeypatch):
    output, asked = tmp_path / "out", Perceptual(lpips=weights["alex"])
    config = laplace(source, output, perceptual=asked)
    with tiny.quickly():
        inpaint(config)
        records = [one for one in manifest(output).values() if one["status"] == "done"]
        assert "set/fid" not in told(output)["figures"]["laplace"]
        both = replace(asked, inception=weights["inception_v3"])
        before = (output / "manifest.jsonl").read_bytes()
        inpaint(replace(config, perceptual=both))  # what is done is done, and now measured
        again = (output / "manifest.jsonl").read_bytes()
        assert again.startswith(before)
        assert again.count(b'"done"') == before.count(b'"done"') == 5
        perception = perceptual.load(both, sharding.make_mesh(), batch_size=8)

    names = [record["name"] for record in records]
    completions = np.stack([images.read(output / "images" / f"{name}.png") for name in names])
    truths = np.stack(
        [images.frame(images.read(tmp_path / "in" / f"{name}.png"), FRAME) for name in names]
    )
    assert perception.compare is not None
    assert perception.describe is not None
    distances = perception.compare(completions, truths)
    lpips = [record["figures"]["laplace"]["image/lpips"] for record in records]
    np.testing.assert_allclose(lpips, distances, atol=1e-5)
    assert min(lpips) > 1e-3
    found, remark = distributions.figures(*map(perception.describe, (completions, truths)))
    summary = told(output)
    figures = summary["figures"]["laplace"]
    assert figures["image/lpips"]["mean"] == pytest.approx(np.mean(lpips))
    assert figures["set/fid"]["mean"] == pytest.approx(found["set/fid"].mean, rel=1e-3)
    assert figures["set/kid"]["mean"] == pytest.approx(found["set/kid"].mean, rel=1e-3, abs=1e-6)
    assert (figures["set/fid"]["low"], figures["set/fid"]["n"]) == (None, 5)
    assert summary["remarks"] == {"laplace": remark}
    for kind, path in (("LPIPS", weights["alex"]), ("FID and KID", weights["inception_v3"])):
        sha256 = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        assert f"{path}, sha256 {sha256[:16]}" in summary["facts"][kind]
    page = (output / "report.html").read_text()
    for shown in ("LPIPS", "FID", "KID", "FID of 5 images is biased", "over the set"):
        assert shown in page

    monkeypatch.setattr(batch, "measure_set", None)  # not asked again
    with tiny.quickly():
        inpaint(replace(config, perceptual=both))
    assert told(output)["figures"] == summary["figures"]


def test_features_of_all_images_lie_on_the_disk(monkeypatch):
    given = []
    monkeypatch.setattr(distributions, "figures", lambda *each: given.extend(each) or ({}, ""))
    lots = [np.full((count, 2, 2, 3), count, np.uint8) for count in (3, 1)]
    pairs = [(lot, lot + 10) for lot in lots]
    described = perceptual.measure_set("tv", lambda lot: lot[:, 0, 0] / 2, pairs, most=5)
    assert described.method == "tv"
    assert all(isinstance(features, np.memmap) for features in given)
    levels = np.array([3, 3, 3, 1])[:, None].repeat(3, axis=1)
    np.testing.assert_array_equal(given, [levels / 2, (levels + 10) / 2])


@pytest.mark.parametrize("changed", ["in/01.png", "truth/01.png", "hole.png"])
def test_figures_of_the_set_are_of_the_images_as_they_are_now(tmp_path, monkeypatch, changed):
    """As many as before, but one of them from another file; a file that was touched is the same."""
    source, truth = numbered(tmp_path / "in", 4), numbered(tmp_path / "truth", 4)
    hole = hole_file(tmp_path / "hole.png", (9, 9, 20, 20))

    def some_pixels(pictures):
        return pictures[:, 5:25:5, 8].reshape(len(pictures), -1) / 255

    perception = perceptual.Perception(None, some_pixels, None, {})
    monkeypatch.setattr(perceptual, "load", lambda *_, **__: perception)
    output = tmp_path / "out"
    config = laplace(source, output, holes=hole, truth=truth)
    inpaint(config)
    before = told(output)["figures"]["laplace"]
    os.utime(tmp_path / changed)
    with monkeypatch.context() as patched:
        patched.setattr(batch, "measure_set", None)  # not asked again
        inpaint(config)
    assert told(output)["figures"]["laplace"] == before
    if changed == "hole.png":
        hole_file(tmp_path / changed, (3, 3, 30, 30))
    else:
        images.write_png(tmp_path / changed, noise(9))
    inpaint(config)
    after = told(output)["figures"]["laplace"]
    inpaint(replace(config, output=str(tmp_path / "fresh")))
    assert after == told(tmp_path / "fresh")["figures"]["laplace"]
    assert after["set/fid"]["mean"] != before["set/fid"]["mean"]


def test_both_rows_have_lpips_and_other_weights_are_another_run(tmp_path, weights, source):
    output = tmp_path / "out"
    config = nearest(source, output, source, perceptual=Perceptual(lpips=weights["alex"]))
    with tiny.quickly():
        inpaint(config)
        for method in ("nearest", "laplace"):
            assert told(output)["figures"][method]["image/lpips"]["n"] == 5
        others = saved(tmp_path / "others.npz", foreign.alex(seed=1))
        with pytest.raises(OutputError, match=r"another lpips .*--overwrite"):
            inpaint(replace(config, perceptual=Perceptual(lpips=others)))
        moved = tmp_path / "moved.npz"
        moved.write_bytes(Path(weights["alex"]).read_bytes())
        inpaint(replace(config, perceptual=Perceptual(lpips=str(moved))))


def test_without_a_truth_there_is_a_reason_in_the_place_of_figures(tmp_path, weights, source):
    hole = tmp_path / "hole.png"
    images.write_png(hole, np.full((40, 50, 3), 255, np.uint8))
    asked = Perceptual(inception=weights["inception_v3"])
    config = laplace(source, tmp_path / "out", holes=str(hole), perceptual=asked)
    with tiny.quickly():
        inpaint(config)
    summary = told(tmp_path / "out")
    assert summary["figures"]["laplace"]["set/fid"] == dict.fromkeys(("mean", "low", "high")) | {
        "n": 0
    }
    assert "here are 0" in summary["remarks"]["laplace"]
    assert "here are 0" in (tmp_path / "out" / "report.html").read_text()


def test_a_file_that_cannot_be_read_ends_a_run_before_it_begins(tmp_path, source):
    asked = Perceptual(lpips=str(tmp_path / "none.npz"))
    with pytest.raises(FeatureFileError, match=r"none.npz is not there"):
        inpaint(laplace(source, tmp_path / "out", perceptual=asked))
    assert not (tmp_path / "out").exists()


def test_a_table_asks_for_them_in_every_cell(tmp_path, weights, source):
    entry = Entry(data="noise", method="Laplace", inpainting=laplace(source, "-"))
    table = Table(
        entries=(entry,),
        holes=("center", "random:0.5"),
        output=str(tmp_path / "table"),
        perceptual=Perceptual(lpips=weights["alex"], inception=weights["inception_v3"]),
    )
    with tiny.quickly():
        tabulate(table)
    written = Path(table.output)
    cells = json.loads((written / "table.json").read_text())["cells"]
    assert [cell["figures"]["set/fid"]["n"] for cell in cells] == [5, 5]
    assert all("FID of 5 images is biased" in cell["note"] for cell in cells)
    text = (written / "table.md").read_text()
    assert text.count("| image LPIPS | set FID | set KID | s / image |") == 2
    head, first, _ = (written / "table.csv").read_text().splitlines()
    row = dict(zip(head.split(","), first.split(","), strict=False))
    assert float(row["image/lpips/low"]) <= float(row["image/lpips"])
    assert (float(row["set/fid"]) > 0, row["set/fid/low"]) == (True, "")
    page = (written / "report.html").read_text()
    assert page.count('data-column="set/fid"') == 4  # a head and a line in each table
