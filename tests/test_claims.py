"""An output folder belongs to one run; nothing else in it, or beside it, is touched."""

import fcntl
import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from folders import (
    contents,
    hole_file,
    laplace,
    latent,
    nearest,
    noise,
    numbered,
    photographs,
)
from PIL import Image

from ce_jax import files
from ce_jax.batch import inpaint
from ce_jax.holes import HoleError
from ce_jax.inpainting import claims
from ce_jax.inpainting.claims import OutputError
from ce_jax.inpainting.shards import Shard
from ce_jax.sources import SourceError
from ce_jax.sources.stamps import stamp

pytestmark = pytest.mark.usefixtures("quickly")


def test_results_of_another_config_are_replaced_only_on_demand_and_other_files_never(tmp_path):
    source, output = numbered(tmp_path / "in", 4), tmp_path / "out"
    inpaint(laplace(source, output))
    for name in ("notes.txt", "images/mine.png", "panels/sub/mine.png"):
        (output / name).parent.mkdir(exist_ok=True)
        (output / name).write_text("mine")
    before = contents(output)
    with pytest.raises(OutputError, match=r"another seed \(seed: 0 there, 1 now\).*--overwrite"):
        inpaint(laplace(source, output, seed=1))
    assert contents(output) == before

    assert inpaint(laplace(f"{source}[:2]", output, overwrite=True)) == (2, 0, 2, False)
    assert set(contents(output)) == set(before) - {
        f"{kind}/{number}.png" for kind in ("images", "panels") for number in ("02", "03")
    }
    for name in ("notes.txt", "images/mine.png", "panels/sub/mine.png"):
        assert (output / name).read_text() == "mine"


def test_what_lets_in_more_images_goes_on_and_what_would_refuse_some_does_not(tmp_path):
    source, drawn = photographs(tmp_path / "in", "a", "b", "c"), tmp_path / "holes"
    hole_file(drawn / "a.png", (5, 5, 20, 20))
    hole_file(drawn / "b.png", (5, 5, 20, 20), height=41)

    def config(**changes):
        return laplace(source, tmp_path / "out", holes=str(drawn), **changes)

    assert inpaint(config()) == (1, 2, 3, False)
    before = contents(tmp_path / "out" / "images")
    assert inpaint(config(resize_holes=True, batch_size=16)) == (2, 1, 3, False)
    assert inpaint(config(resize_holes=True, allow_missing=True)) == (3, 0, 3, False)
    assert before.items() < contents(tmp_path / "out" / "images").items()
    with pytest.raises(OutputError, match="another allow_missing and resize_holes "):
        inpaint(config())


def test_a_list_of_checksums_may_be_dropped_but_not_brought(tmp_path):
    source, sums = numbered(tmp_path / "in", 2), tmp_path / "SHA256SUMS"
    own = stamp(tmp_path / "in" / "00.png").sha256
    sums.write_text(f"{own}  in/00.png\n{'0' * 64}  in/01.png\n")
    checked = laplace(source, tmp_path / "out", checksums=str(sums))
    assert inpaint(checked) == (1, 1, 2, False)
    assert inpaint(laplace(source, tmp_path / "out")) == (2, 0, 2, False)
    with pytest.raises(OutputError, match="another checksums"):
        inpaint(checked)


def test_as_long_as_no_image_is_done_all_may_change(tmp_path):
    source, output = numbered(tmp_path / "in", 2), tmp_path / "out"
    hole = hole_file(tmp_path / "hole.png", (5, 5, 20, 20), height=41)
    assert inpaint(laplace(source, output, holes=hole)) == (0, 2, 2, False)
    assert inpaint(laplace(source, output, seed=1)) == (2, 0, 2, False)
    with pytest.raises(OutputError, match="another holes and seed"):
        inpaint(laplace(source, output, holes=hole))


def test_a_lock_that_is_lost_while_it_is_shared_is_taken_again(tmp_path, monkeypatch):
    hold, lost = files.hold, []

    def losing(file, *, shared=False):
        if shared and not lost:
            lost.append(file)
            fcntl.flock(file, fcntl.LOCK_UN)
            return False
        return hold(file, shared=shared)

    monkeypatch.setattr(files, "hold", losing)
    with claims.claim(tmp_path, {}, shard=Shard(0, 2)), (tmp_path / ".lock").open() as other:
        assert lost
        assert not hold(other)


def test_overwriting_leaves_no_empty_folders_behind(tmp_path):
    source, output = photographs(tmp_path / "in", "a", "sub/deep/b"), tmp_path / "out"
    inpaint(laplace(source, output))
    inpaint(laplace(f"{source}[:1]", output, overwrite=True))
    assert [path.name for path in (output / "images").iterdir()] == ["a.png"]


def test_the_same_command_with_overwrite_goes_on(tmp_path):
    source, output = numbered(tmp_path / "in", 20), tmp_path / "out"
    inpaint(laplace(source, output, seed=1))
    config = laplace(source, output, overwrite=True)
    assert inpaint(config, stopped=lambda: True).stopped
    before = contents(output / "images")
    assert before
    assert inpaint(config) == (20, 0, 20, False)
    after = contents(output / "images")
    assert {name: after[name] for name in before} == before


def test_names_that_were_too_long_do_not_hinder_replacing(tmp_path):
    source, long = photographs(tmp_path / "in", "a"), "é" * 125
    for ending in ("jpg", "png"):  # two of a stem keep their endings in their names
        Image.fromarray(noise(1)).save(tmp_path / "in" / f"{long}.{ending}")
    assert inpaint(laplace(source, tmp_path / "out")) == (1, 2, 3, False)
    assert inpaint(laplace(source, tmp_path / "out", seed=1, overwrite=True)) == (1, 2, 3, False)


def test_a_shard_waits_for_as_long_as_another_makes_the_folder_ready(tmp_path, monkeypatch):
    source, output, sweep = numbered(tmp_path / "in", 8), tmp_path / "out", files.sweep
    begun = threading.Event()

    def slow(folder):
        begun.set()
        time.sleep(1)
        sweep(folder)

    monkeypatch.setattr(claims, "_PATIENCE", 0.2)
    monkeypatch.setattr(files, "sweep", slow)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(inpaint, laplace(source, output, shard="0/2"))
        assert begun.wait(60)
        second = pool.submit(inpaint, laplace(source, output, shard="1/2"))
        assert first.result().done + second.result().done == 8


def test_results_are_not_written_into_the_collection(tmp_path):
    source, collection = numbered(tmp_path / "in", 2), numbered(tmp_path / "collection", 2)
    with pytest.raises(SourceError, match="lie in one another"):
        inpaint(nearest(source, tmp_path / "collection" / "out", collection))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_somebody_else_is_refused(tmp_path, overwrite):
    output = tmp_path / "out"
    photographs(output / "images", "holiday")
    before = contents(output)
    with pytest.raises(OutputError, match=f"{output} holds other files; choose"):
        inpaint(laplace(numbered(tmp_path / "in", 1), output, overwrite=overwrite))
    assert contents(output) == before


@pytest.mark.parametrize("place", ["in", "in/completed", "."])
@pytest.mark.parametrize("slice_", ["", "[:1]"])
def test_results_are_not_written_where_images_are_read(tmp_path, place, slice_):
    source = numbered(tmp_path / "in", 2)
    before = contents(tmp_path)
    with pytest.raises(SourceError, match="lie in one another"):
        inpaint(laplace(source + slice_, tmp_path / place, overwrite=True))
    assert contents(tmp_path) == before


def test_nothing_outside_the_output_folder_is_touched(tmp_path, model):
    source = numbered(tmp_path / "in", 2)
    workdir = shutil.copytree(model, tmp_path / "model")
    unfinished = workdir / "checkpoints" / "9.orbax-checkpoint-tmp-1"
    unfinished.mkdir()  # the run goes on while its network is used
    (unfinished / "half").write_text("written")
    hole = hole_file(tmp_path / "hole.png", (9, 9, 20, 20))
    before = contents(tmp_path)
    inpaint(latent(source, tmp_path / "out", str(workdir), holes=hole, truth=source))
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    added = {name for name in after if name not in before}
    assert added == {
        f"out/{name}"
        for name in (
            *("images/00.png", "images/01.png", "panels/00.png", "panels/01.png"),
            *(".lock", "inpainting.json", "manifest.jsonl", "metrics.json", "report.html"),
        )
    }


def test_a_manifest_that_was_damaged_costs_only_the_damaged_lines(tmp_path):
    output = tmp_path / "out"
    config = laplace(numbered(tmp_path / "in", 3), output)
    inpaint(config)
    lines = (output / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    lines[1] = b"\0\0\xff\n[1, 2]\n{}\n"
    (output / "manifest.jsonl").write_bytes(b"".join(lines))
    before = contents(output / "images")
    assert inpaint(config) == (3, 0, 3, False)
    after = contents(output / "images")
    assert [name for name in before if before[name][1] != after[name][1]] == ["01.png"]


@pytest.mark.parametrize("away", ["../../away", "{folder}/away", "sub/../../../away"])
def test_a_forged_manifest_leads_nowhere(tmp_path, away):
    """What is replaced is removed by its name, which may not lead out of the folder."""
    source, output = photographs(tmp_path / "in", "sub/a"), tmp_path / "out"
    inpaint(laplace(source, output))
    photographs(tmp_path, "away")
    forged = {"name": away.format(folder=tmp_path), "status": "done", "figures": {}}
    with (output / "manifest.jsonl").open("a") as manifest:
        manifest.write(json.dumps(forged) + "\n")
    assert inpaint(laplace(source, output, seed=1, overwrite=True)).done == 1
    assert (tmp_path / "away.png").is_file()


def test_a_hole_that_does_not_fit_is_refused_before_the_folder_is_taken(tmp_path):
    source, output = numbered(tmp_path / "in", 1), tmp_path / "out"
    with pytest.raises(HoleError, match="center:32"):
        inpaint(laplace(source, output, holes="center:32"))
    assert not output.exists()
