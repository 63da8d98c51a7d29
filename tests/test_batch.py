"""A folder comes out right: bad files are named, nothing is lost, done twice or overwritten."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from folders import (
    FRAME,
    contents,
    hole_file,
    laplace,
    latent,
    manifest,
    noise,
    numbered,
    photographs,
    pictures,
    strictly,
    truncated,
)
from PIL import Image

from ce_jax import images
from ce_jax.batch import inpaint
from ce_jax.completion import Completion, methods
from ce_jax.holes import hole_sets
from ce_jax.images import write_png
from ce_jax.inpainting.manifest import Manifest

pytestmark = pytest.mark.usefixtures("quickly")


# Bad and strange input


def test_every_kind_of_image_is_completed_and_a_damaged_one_is_named(tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out"
    photographs(folder, "a")
    truncated(folder / "b.jpg")
    Image.fromarray(noise(1, channels=4)).save(folder / "c.png")
    Image.fromarray(noise(2)[..., 0]).save(folder / "d.png")
    Image.fromarray(noise(3)[..., 0].astype(np.uint16) * 257).save(folder / "e.png")
    Image.fromarray(noise(4)).quantize(64).save(folder / "f.png", transparency=3)
    Image.fromarray(noise(5, channels=4), "CMYK").save(folder / "g.jpg")
    assert inpaint(laplace(f"folder:{folder}", output)) == (6, 1, 7, False)

    records = manifest(output)
    assert [name for name, one in records.items() if one["status"] != "done"] == ["b"]
    assert f"{folder / 'b.jpg'}: " in records["b"]["reason"]
    assert "truncated" in records["b"]["reason"].lower()
    for path in folder.iterdir():
        if path.stem == "b":
            continue
        completed = images.read(output / "images" / f"{path.stem}.png")
        framed = images.frame(images.read(path), FRAME)
        kept = np.ones((32, 32), bool)
        kept[8:-8, 8:-8] = False
        assert np.array_equal(completed[kept], framed[kept])
        assert not np.array_equal(completed, framed)
    assert strictly((output / "metrics.json").read_text())["failed"] == 1
    assert str(folder / "b.jpg") in (output / "report.html").read_text()


def test_holes_in_a_folder_are_found_by_name_and_those_that_do_not_fit_are_named(tmp_path):
    source = photographs(tmp_path / "in", "a", "b", "c", "sub/d")
    drawn = tmp_path / "holes"
    hole_file(drawn / "a.png", (5, 5, 20, 20))
    hole_file(drawn / "c.png", (5, 5, 20, 20), height=41)
    hole_file(drawn / "sub" / "d.png", (0, 0, 9, 9), 32, 32)  # the size that a network sees
    output = tmp_path / "out"
    assert inpaint(laplace(source, output, holes=str(drawn))) == (2, 2, 4, False)
    records = manifest(output)
    assert "image b has no hole" in records["b"]["reason"]
    for part in (str(drawn / "c.png"), "50x41", "50x40"):
        assert part in records["c"]["reason"]
    assert records["a"]["figures"] == {}
    assert records["sub/d"]["missing"] == round(81 / 32**2, 4)


def test_one_hole_file_serves_all_images_and_its_content_in_the_images_is_not_read(tmp_path):
    source = numbered(tmp_path / "in", 3)
    box = (10, 10, 30, 25)
    hole = hole_file(tmp_path / "hole.png", box)
    for number in range(3):
        tampered = noise(number)
        tampered[10:25, 10:30] = 255 - tampered[10:25, 10:30]
        write_png(tmp_path / "tampered" / f"{number:02}.png", tampered)
    inpaint(laplace(source, tmp_path / "out", holes=hole))
    inpaint(laplace(f"folder:{tmp_path / 'tampered'}", tmp_path / "out2", holes=hole))
    completed = [
        [images.read(tmp_path / out / "images" / f"{number:02}.png") for number in range(3)]
        for out in ("out", "out2")
    ]
    assert np.array_equal(*completed)
    records = manifest(tmp_path / "out")
    assert len({record["hole"] for record in records.values()}) == 1


def test_empty_full_and_border_holes_are_completed_and_noted(tmp_path):
    source = photographs(tmp_path / "in", "border", "empty", "full")
    drawn = tmp_path / "holes"
    hole_file(drawn / "border.png", (0, 0, 50, 11))
    hole_file(drawn / "empty.png", (0, 0, 0, 0))
    hole_file(drawn / "full.png", (0, 0, 50, 40))
    output = tmp_path / "out"
    config = laplace(source, output, holes=str(drawn), truth=source)
    assert inpaint(config) == (3, 0, 3, False)
    records = manifest(output)
    assert records["border"]["note"] == ""
    assert "nothing to do" in records["empty"]["note"]
    assert "no pixel is known" in records["full"]["note"]
    framed = images.frame(noise(1), FRAME)
    assert np.array_equal(images.read(output / "images" / "empty.png"), framed)
    assert set(records["empty"]["figures"]["laplace"]) == {"image/ssim", "image/l1", "image/l2"}
    assert np.all(images.read(output / "images" / "full.png") == 128)


def test_images_keep_their_names_in_all_their_variety(tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out"
    names = ["sub/a", "sub/deep/a", "x.y", "ünï 漢字", "with space"]
    photographs(folder, *names, "a", "line\nbreak")
    Image.fromarray(noise(0)).save(folder / "a.jpg")
    assert inpaint(laplace(f"folder:{folder}", output)) == (8, 0, 8, False)
    written = {path.removesuffix(".png") for path in pictures(output / "images")}
    assert written == {*names, "a.jpg", "a.png", "line_break"} == set(manifest(output))


def test_a_damaged_file_with_a_name_that_is_no_text_does_not_end_the_run(tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out"
    source = photographs(folder, "a", "z")
    truncated(Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9\xe2\x80\xa8.jpg")))
    assert inpaint(laplace(source, output)) == (2, 1, 3, False)
    assert inpaint(laplace(source, output)) == (2, 1, 3, False)  # and what it wrote can be read
    assert "caf\udce9" in manifest(output)["caf__"]["reason"]


def test_an_image_for_which_the_method_finds_no_number_is_named(tmp_path, monkeypatch):
    def broken(pictures, hole, key):
        score = jnp.zeros(len(pictures)).at[2].set(jnp.inf)
        proposal = pictures.at[1, 16, 16].set(jnp.nan)
        return Completion(proposal, proposal, score, jnp.zeros(len(pictures)))

    monkeypatch.setattr(methods, "build", lambda *_, **__: broken)
    output = tmp_path / "out"
    assert inpaint(laplace(numbered(tmp_path / "in", 4), output)) == (2, 2, 4, False)
    failed = [one for one in manifest(output).values() if one["status"] == "failed"]
    assert [one["name"] for one in failed] == ["01", "02"]
    assert all("laplace" in one["reason"] for one in failed)
    assert set(pictures(output / "images")) == {"00.png", "03.png"}


# Resuming


def test_what_is_done_is_kept_and_a_lost_file_is_made_again(tmp_path):
    output = tmp_path / "out"
    config = laplace(numbered(tmp_path / "in", 5), output)
    inpaint(config)
    before = contents(output / "images")
    (output / "images" / "03.png").unlink()
    assert inpaint(config) == (5, 0, 5, False)
    after = contents(output / "images")
    assert [name for name in before if before[name] != after[name]] == ["03.png"]
    assert before["03.png"][0] == after["03.png"][0]


def test_an_image_that_failed_is_tried_again(tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out"
    source = photographs(folder, "a", "c")
    truncated(folder / "b.jpg")
    assert inpaint(laplace(source, output)) == (2, 1, 3, False)
    Image.fromarray(noise(2)).save(folder / "b.jpg")
    assert inpaint(laplace(source, output)) == (3, 0, 3, False)
    assert manifest(output)["b"]["status"] == "done"
    assert "Failures" not in (output / "report.html").read_text()


def test_an_image_whose_name_the_disk_will_not_take_fails_alone(tmp_path):
    source = photographs(tmp_path / "in", "a", "x.png/y")
    Image.fromarray(noise(3)).save(tmp_path / "in" / "x.jpg")  # its result would be x.png, too
    assert inpaint(laplace(source, tmp_path / "out")).total == 3
    records = manifest(tmp_path / "out")
    assert records["a"]["status"] == "done"
    reasons = [record["reason"] for record in records.values() if record["status"] == "failed"]
    assert 1 <= len(reasons) <= 2  # both, where of each another file came first
    assert all("x.png" in reason and "cannot be written" in reason for reason in reasons)
    assert inpaint(laplace(source, tmp_path / "out", seed=1, overwrite=True)).total == 3


def test_the_manifest_is_opened_once_however_many_images_there_are(tmp_path, monkeypatch):
    output = tmp_path / "out"
    inpaint(laplace(numbered(tmp_path / "in", 9), output))
    opened, usual = [], Path.open

    def watched(path, *arguments, **options):
        opened.append(path.name)
        return usual(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", watched)
    known = Manifest(output)
    assert [record["name"] for record in known.records()] == [f"{n:02}" for n in range(9)]
    assert opened == 2 * ["manifest.jsonl"]  # to find the lines, and to read them


def test_an_image_that_is_gone_no_longer_counts(tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out"
    source = photographs(folder, "a", "b", "c")
    inpaint(laplace(source, output))
    (folder / "b.png").unlink()
    assert inpaint(laplace(source, output)) == (2, 0, 2, False)
    assert strictly((output / "metrics.json").read_text())["done"] == 2


@pytest.mark.parametrize("method", ["laplace", "latent"])
def test_a_run_that_was_stopped_and_resumed_equals_an_uninterrupted_one(tmp_path, method, model):
    source = numbered(tmp_path / "in", 19)
    truncated(tmp_path / "in" / "05x.jpg")

    def config(output):
        if method == "laplace":
            return laplace(source, output, holes="random:0.5", report_rows=6)
        return latent(source, output, model, holes="block")

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert inpaint(config(whole)) == (19, 1, 20, False)
    assert inpaint(config(parts), stopped=lambda: True) == (7, 1, 20, True)
    assert len(pictures(parts / "images")) == 7
    with (parts / "manifest.jsonl").open("a") as file:
        file.write('{"name": "07", "sta')  # killed while it wrote
    assert inpaint(config(parts)) == (19, 1, 20, False)

    assert pictures(whole) == pictures(parts)
    for name in ("metrics.json", "report.html", "inpainting.json"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()
    lines = [manifest(output) for output in (whole, parts)]
    for line in (*lines[0].values(), *lines[1].values()):
        line.pop("seconds", None)
    assert lines[0] == lines[1]


def test_a_completion_is_the_same_in_any_company(tmp_path, model):
    source = numbered(tmp_path / "in", 12)
    inpaint(latent(source, tmp_path / "all", model, holes="pattern"))
    inpaint(latent(f"{source}[9:11]", tmp_path / "two", model, holes="pattern"))
    together, alone = pictures(tmp_path / "all" / "images"), pictures(tmp_path / "two" / "images")
    assert set(alone) == {"09.png", "10.png"}
    assert all(together[name] == alone[name] for name in alone)


def test_the_key_of_an_image_is_made_of_the_seed_and_its_name():
    def keys(seed, *names):
        of_holes, of_starts = jax.random.key_data(hole_sets.image_keys(seed, names)).tolist()
        return [*of_holes, *of_starts]

    several = keys(3, "a", "b", "ü/c")
    alone = [keys(3, name) for name in ("a", "b", "ü/c")]
    assert [key for keys in zip(*alone, strict=True) for key in keys] == several
    assert len(set(map(tuple, several + keys(4, "a", "b", "ü/c")))) == 12
