"""What was completed can be trained on: one data set of the very files, as tfds reads it."""

from dataclasses import replace

import pytest
from folders import contents, hole_file, laplace, noise, photographs

from ce_jax import images
from ce_jax.batch import inpaint
from ce_jax.inpainting import packing
from ce_jax.inpainting.claims import OutputError
from ce_jax.inpainting.manifest import Manifest
from ce_jax.sources import SourceError, open_source


def test_completed_images_become_a_data_set_that_is_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "_IN_A_FILE", 2)
    source, output = photographs(tmp_path / "in", "a", "ü b", "sub/c"), tmp_path / "out"
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    hole = hole_file(tmp_path / "hole.png", (9, 9, 20, 20))
    config = laplace(
        source, output, holes=hole, frame=None, output_format="array_record", report_rows=0
    )
    assert inpaint(config) == (3, 1, 4, False)
    read = open_source(f"tfds:{output / 'dataset'}")
    names = ["a", "sub/c", "ü b"]
    assert len(read) == 3
    for index, name in enumerate(names):
        assert (read[index] == images.read(output / "images" / f"{name}.png")).all()
    tfds = pytest.importorskip("tensorflow_datasets")
    records = tfds.builder_from_directory(output / "dataset").as_data_source("train")
    assert [record["name"].decode() for record in records] == names
    assert records[0]["image"].shape == (40, 50, 3)

    before = contents(output / "dataset")
    inpaint(config)
    assert contents(output / "dataset") == before
    images.write_png(tmp_path / "in" / "a.png", noise(7))
    inpaint(config)
    read = open_source(f"tfds:{output / 'dataset'}")
    assert (read[0] == images.read(output / "images" / "a.png")).all()
    assert (read[0][20:] == noise(7)[20:]).all()
    for part in ("@train", "@train[:2]", "[:2]", ""):
        own = laplace(f"tfds:{output / 'dataset'}{part}", output, overwrite=True)
        with pytest.raises(SourceError, match="lie in one another"):
            inpaint(own)
    inpaint(laplace(source, output, overwrite=True))
    assert not (output / "dataset").exists()


def test_a_data_set_of_somebody_else_is_left_alone(tmp_path):
    source, output = photographs(tmp_path / "in", "a"), tmp_path / "out"
    inpaint(laplace(source, output))
    (output / "dataset").mkdir()
    (output / "dataset" / "notes.txt").write_text("years of work")
    before = contents(output)
    packed = laplace(source, output, output_format="array_record")
    for config in (packed, replace(packed, overwrite=True)):
        with pytest.raises(OutputError, match=r"out/dataset is none of ours; .* --output\.$"):
            inpaint(config)
        assert contents(output) == before
    with pytest.raises(OutputError):
        packing.pack(Manifest(output), [])
    assert contents(output / "dataset").keys() == {"notes.txt"}


def test_nothing_is_begun_that_cannot_be_packed(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    source = photographs(tmp_path / "in", "a")
    with pytest.raises(SourceError, match=r"array_record needs tensorflow_datasets: pip install"):
        inpaint(laplace(source, tmp_path / "out", output_format="array_record"))
    assert not (tmp_path / "out").exists()
