"""The sides of a work of the host do the same: the same image, squares and files."""

import importlib

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e .[benchmark]")

from benchmarks import folders, host, loading, photographs, seams
from benchmarks.pytorch import loading as pytorch_loading
from benchmarks.work import Skipped, Work
from ce_jax import images
from ce_jax.blending import poisson
from ce_jax.config import Frame

KINDS = ("block", "random:0.8")


def done(works):
    """The works that can be done here."""
    return [work for work in works if isinstance(work, Work)]


def test_all_sides_blend_to_the_same_image():
    works = done(seams.works(count=1, sizes=(24,), kinds=KINDS))
    assert [list(work.sides) for work in works[::2]] == 2 * [["ce_jax"]]
    for kind, work in zip(KINDS, works[1::2], strict=True):
        assert work.setting.startswith(f"24x24, {kind}, a new hole each")
        known, _, hole = seams.problems(kind, 24, count=1)
        blended = {name: side.call() for name, side in work.sides.items()}
        assert next(iter(blended)) == "ce_jax" and len(blended) >= 2
        for result in blended.values():
            np.testing.assert_allclose(result, blended["ce_jax"], rtol=0, atol=1e-6)
            np.testing.assert_allclose(np.where(hole, 0, result), np.where(hole, 0, known), 0, 1e-9)
        assert np.abs(blended["ce_jax"] - known).max() > 0.1


@pytest.mark.parametrize("same", [True, False])
def test_images_have_the_same_hole_or_a_new_one_each(same):
    *_, hole = seams.problems("random:0.8", 16, count=3, same=same)
    assert (hole[1:] == hole[:1]).all() == same
    assert not np.array_equal(hole[1], hole[2]) or same
    np.testing.assert_array_equal(hole[0], seams.problems("random:0.8", 16, count=3)[2][0])


def test_all_sides_clip_alike():
    known, proposal, hole = seams.problems("block", 16, count=1)
    expected = poisson(known, 9 * proposal, hole)
    assert np.abs(expected).max() == 1
    blended = seams.theirs(seams.solvers.sparse, known, 9 * proposal, hole)
    np.testing.assert_allclose(blended, expected, rtol=0, atol=1e-6)


def test_a_made_photograph_is_smooth_and_no_other_is_like_it():
    one, another = (photographs.photograph(109, 89, seed=seed) for seed in (0, 1))
    steps = np.abs(np.diff(one.astype(int), axis=0)).mean()
    assert one.shape == (109, 89, 3) and one.std() > 20 > 4 * steps
    assert np.abs(one.astype(int) - another).mean() > 20


def test_both_sides_of_the_input_pipeline_show_the_same_squares(tmp_path):
    for height, width in loading.SIZES:
        folder = tmp_path / f"{width}"
        photographs.write(folder, 4, height=height, width=width, suffix=".jpg")
        theirs = pytorch_loading.Folder(sorted(folder.iterdir()), size=64)
        for number, path in enumerate(sorted(folder.iterdir())):
            ours = images.frame(images.read(path), Frame(size=64))
            for _ in ("decoded", *4 * ["kept"]):
                square = theirs[number].numpy()
                assert np.array_equal(square, ours) or np.array_equal(square, ours[:, ::-1])


def test_their_input_pipeline_decodes_a_photograph_once_until_it_forgets(tmp_path, monkeypatch):
    photographs.write(tmp_path / "jpg", 1, height=8, width=8, suffix=".jpg")
    theirs = pytorch_loading.Folder(sorted((tmp_path / "jpg").iterdir()), size=8)
    opened, opening = [], Image.open
    monkeypatch.setattr(Image, "open", lambda path: opened.append(path) or opening(path))
    for _ in range(3):
        assert theirs[0].shape == (8, 8, 3)
    assert len(opened) == 1
    theirs.forget()
    assert theirs[0].shape == (8, 8, 3) and len(opened) == 2


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("", ["input pipeline, first epoch", "input pipeline, later epoch", "a folder inpainted"]),
        ("later epoch", ["input pipeline, later epoch"]),
    ],
)
def test_what_is_asked_for_and_cannot_be_imported_is_skipped_and_named(monkeypatch, only, names):
    real = importlib.import_module

    def without_grain(name):
        if name == "benchmarks.seams":
            return real(name)
        raise ModuleNotFoundError("No module named 'grain'", name="grain")

    monkeypatch.setattr(importlib, "import_module", without_grain)
    monkeypatch.setattr(seams, "works", lambda *, count: iter(()))
    skipped = list(host.works(wanted=lambda name: only in name, begin=lambda: None))
    assert all(isinstance(work, Skipped) for work in skipped)
    assert [work.name for work in skipped] == names
    assert {work.reason for work in skipped} == {"grain is not installed"}


def test_blending_without_pyamg_says_what_is_left_out(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    missing, _, work = seams.works(count=1, sizes=(16,), kinds=("block",))
    assert isinstance(missing, Skipped) and "pyamg" in missing.reason
    assert isinstance(work, Work) and list(work.sides) == ["ce_jax", "SciPy"]


@pytest.mark.slow
def test_both_sides_of_the_input_pipeline_read_an_epoch_each_time():
    for work in loading.works(files=20, batch_size=8, workers=2):
        assert work.images == 16
        for _ in range(3):
            assert work.sides["JAX"].call() == work.sides["PyTorch"].call() == 16


@pytest.mark.slow
def test_both_sides_complete_every_file_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    begun = folders.works(files=6, width=2, steps=2, batch_size=8)
    work = next(begun)
    place = next(tmp_path.iterdir())
    for _ in range(2):
        for side in work.sides.values():
            assert side.call() == 6
    originals = {path.name: np.asarray(Image.open(path)) for path in (place / "images").iterdir()}
    for output in (place / "ours/0/images", place / "ours/1/images", place / "theirs/1"):
        completed = {path.name: np.asarray(Image.open(path)) for path in output.iterdir()}
        assert completed.keys() == originals.keys()
        for name, picture in completed.items():
            share = (picture != originals[name]).any(axis=-1).mean()
            assert 0.5 < share < 0.9  # what was missing, less what was hit
    begun.close()
    assert not place.exists()
