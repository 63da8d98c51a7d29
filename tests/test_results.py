"""The figures and the report of a run are of what it wrote."""

import base64
import io
import re
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from folders import (
    FRAME,
    hole_file,
    laplace,
    latent,
    manifest,
    noise,
    numbered,
    photographs,
    strictly,
)
from PIL import Image

from ce_jax import blending, images, metrics
from ce_jax.batch import inpaint
from ce_jax.completion import Found
from ce_jax.inpainting import finishing
from ce_jax.inpainting.finishing import Batch, finish
from ce_jax.inpainting.pairing import Picture
from ce_jax.sources import SourceError

pytestmark = pytest.mark.usefixtures("quickly")


def test_the_figures_are_the_means_of_the_manifest_beside_those_of_laplace(tmp_path, model):
    output = tmp_path / "out"
    inpaint(latent(numbered(tmp_path / "in", 5), output, model))
    told = strictly((output / "metrics.json").read_text())
    assert set(told["figures"]) == {"latent", "laplace"}
    for method, figures in told["figures"].items():
        assert len(figures) == 8
        for name, estimate in figures.items():
            values = [record["figures"][method][name] for record in manifest(output).values()]
            assert estimate["mean"] == pytest.approx(np.mean(values), rel=1e-12)
            assert estimate["low"] <= estimate["mean"] <= estimate["high"]
            assert estimate["n"] == 5
    assert (told["done"], told["failed"]) == (5, 0)
    assert told["facts"]["model"] == f"{model}, 7 steps"


def test_the_seconds_of_an_image_are_of_its_method_alone(monkeypatch):
    """Its share of what the devices and blending took, whatever its figures take."""
    now = [50.0]

    def lasting(seconds, work):
        def worked(*arguments):
            now[0] += seconds
            return work(*arguments)

        return worked

    monkeypatch.setattr(finishing.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(blending, "poisson", lasting(2, blending.poisson))
    monkeypatch.setattr(metrics, "figures", lasting(100, metrics.figures))
    hole = np.zeros((4, 32, 32, 1), bool)
    hole[:, 9:20, 9:20] = True
    given = [
        Picture(f"{i}", noise(i, 32, 32), hole[i], noise(i, 32, 32), {}) for i in range(len(hole))
    ]
    zeros = jnp.zeros(4)
    batch = Batch(given, hole, Found(jnp.zeros((4, 32, 32, 3)), zeros, zeros), 8.0)
    config = laplace("", "")
    records = [one.record for one in finish(batch, config, trailed=(), compare=None)]
    assert now[0] > 150
    assert [record["seconds"] for record in records] == [(8 + 2) / 4] * 4


def test_a_run_that_is_stopped_takes_no_time_for_intervals(tmp_path):
    config = laplace(numbered(tmp_path / "in", 20), tmp_path / "out")
    found = []
    for stopped in (lambda: True, lambda: False):
        outcome = inpaint(config, stopped=stopped)
        told = strictly((tmp_path / "out" / "metrics.json").read_text())
        psnr = told["figures"]["laplace"]["hole/psnr"]
        assert psnr["n"] == told["done"] == outcome.done
        assert psnr["mean"] > 0
        found.append((outcome.stopped, psnr["low"] is None, psnr["high"] is None))
    assert found == [(True, True, True), (False, False, False)]


def test_figures_are_of_the_files_that_were_written(tmp_path):
    output = tmp_path / "out"
    source = numbered(tmp_path / "in", 2)
    inpaint(laplace(source, output))
    for number, record in enumerate(manifest(output).values()):
        written = images.read(output / "images" / f"{number:02}.png")
        truth = images.frame(noise(number), FRAME)
        error = (written / 255 - truth / 255) ** 2
        figures = record["figures"]["laplace"]
        assert figures["image/l2"] == pytest.approx(error.mean(), abs=1e-5)
        assert figures["hole/l2"] == pytest.approx(error[8:-8, 8:-8].mean(), abs=1e-5)


def test_the_truth_may_come_from_another_source(tmp_path):
    output = tmp_path / "out"
    source = photographs(tmp_path / "in", "a", "b")
    truth = photographs(tmp_path / "truth", "b", "c")
    hole = hole_file(tmp_path / "hole.png", (5, 5, 20, 20))
    inpaint(laplace(source, output, holes=hole, truth=truth))
    records = manifest(output)
    assert records["a"]["figures"] == {}
    assert records["b"]["figures"]["laplace"]["image/l1"] > 0.1  # another photograph
    told = strictly((output / "metrics.json").read_text())
    assert told["figures"]["laplace"]["image/l1"]["n"] == 1
    others = photographs(tmp_path / "others", "x")
    with pytest.raises(SourceError, match="none of the images to complete"):
        inpaint(laplace(source, tmp_path / "out2", holes=hole, truth=others))


CAPTIONS = "photograph", "hole", "proposal", "completion", "laplace", "truth", "error, 2 times"


@pytest.mark.parametrize(
    ("method", "known", "captions"),
    [
        ("latent", True, CAPTIONS),
        ("latent", False, CAPTIONS[:-2]),
        ("laplace", True, (*CAPTIONS[:4], *CAPTIONS[5:])),
        ("laplace", False, CAPTIONS[:4]),
    ],
)
def test_the_report_shows_the_wanted_number_of_images(tmp_path, model, method, known, captions):
    source, output = numbered(tmp_path / "in", 9), tmp_path / "out"
    config = latent(source, output, model, report_rows=3, report_worst=0)
    if method == "laplace":
        config = laplace(source, output, report_rows=3, report_worst=0)
    hole = "center" if known else hole_file(tmp_path / "hole.png", (5, 5, 20, 20))
    inpaint(replace(config, holes=hole))
    page = (output / "report.html").read_text()
    shown = [number for number in range(9) if f"<h3>{number:02}</h3>" in page]
    assert shown == [0, 3, 6]
    assert [page.count(f"<figcaption>{caption}<") for caption in captions] == [3] * len(captions)
    assert page.count("<figcaption>") == 3 * len(captions) + 1  # and the enlarged one


def test_the_report_shows_the_worst_images_besides(tmp_path):
    source, output = numbered(tmp_path / "in", 9), tmp_path / "out"
    inpaint(laplace(source, output, report_rows=3, report_worst=2))
    psnr = {
        one["name"]: one["figures"]["laplace"]["hole/psnr"] for one in manifest(output).values()
    }
    worst = sorted(psnr, key=psnr.__getitem__)[:2]
    shown = re.findall("<h3>(.+)</h3>", (output / "report.html").read_text())
    assert shown == sorted({"00", "03", "06", *worst})
    assert {path.stem for path in (output / "panels").iterdir()} >= set(shown)

    panel = images.read(output / "panels" / f"{worst[0]}.png")
    *_, completion, truth = np.split(panel, 5, axis=1)
    assert np.array_equal(completion, images.read(output / "images" / f"{worst[0]}.png"))
    error = np.minimum(2 * np.abs(completion.astype(int) - truth), 255)
    file = io.BytesIO()
    Image.fromarray(error.astype(np.uint8)).save(file, "PNG")
    assert base64.b64encode(file.getvalue()).decode() in (output / "report.html").read_text()


def test_a_report_may_show_no_images(tmp_path):
    output = tmp_path / "out"
    inpaint(laplace(numbered(tmp_path / "in", 2), output, report_rows=0, report_worst=0))
    assert "<h3>" not in (output / "report.html").read_text()
    assert not (output / "panels").exists()


def test_without_figures_no_image_is_one_of_the_worst(tmp_path):
    source, hole = numbered(tmp_path / "in", 9), hole_file(tmp_path / "hole.png", (5, 5, 20, 20))
    config = laplace(source, tmp_path / "out", holes=hole, frame=None)
    inpaint(config)
    for rows in (9, 2):  # all nine have panels by now
        inpaint(replace(config, report_rows=rows))
        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        assert len(re.findall("<h3>", page)) == rows
