"""Candidates and trails are kept as carefully as the completions that they lead to."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from folders import contents, laplace, latent, manifest, numbered, photographs, pictures

from ce_jax import images
from ce_jax.batch import inpaint
from ce_jax.completion import Candidates, Completion, Trails, methods
from ce_jax.inpainting import loop

KEPT = {"images", "candidates/2", "candidates/3"}

pytestmark = pytest.mark.usefixtures("quickly")


def several(source, output, model, **changes):
    """The best three of four starts, with trails."""
    config = latent(source, output, model)
    search = replace(config.latent, starts=4, trail=3)
    return replace(config, latent=search, candidates=3, **changes)


@pytest.fixture(scope="module")
def six(tmp_path_factory, model):
    """A run over six images, all of which the report shows."""
    folder = tmp_path_factory.mktemp("six")
    source = photographs(folder / "in", "a", "a-2", "b", "c", "sub/d", "sub/deep/e")
    assert inpaint(several(source, folder / "out", model)) == (6, 0, 6, False)
    return folder / "out"


def kinds(output):
    """Folder of a kind of picture -> the names in it."""
    found = {}
    for kind in sorted({*KEPT, "panels", "trails"}):
        folder = output / kind
        files = folder.rglob("*") if folder.is_dir() else []
        names = {path.relative_to(folder).as_posix() for path in files if path.is_file()}
        found[kind] = {name.removesuffix(".png") for name in names}
    return found


def test_the_best_stands_where_it_always_does_and_the_others_beside_it(six):
    names = {"a", "a-2", "b", "c", "sub/d", "sub/deep/e"}
    found = kinds(six)
    assert all(found[kind] == names for kind in (*KEPT, "panels"))
    known = np.ones((32, 32), bool)
    known[8:-8, 8:-8] = False
    for name in names:
        best, second, third = (
            images.read(six / kind / f"{name}.png") for kind in sorted(KEPT)[::-1]
        )
        for one, other in ((best, second), (best, third), (second, third)):
            assert np.array_equal(one[known], other[known])
            assert not np.array_equal(one, other)


def test_the_manifest_tells_the_ranks(six):
    for record in manifest(six).values():
        candidates = record["candidates"]
        assert [one["rank"] for one in candidates] == [1, 2, 3]
        scores = [one["score"] for one in candidates]
        assert scores == sorted(scores)
        assert scores[0] == record["score"]
        assert len({one["start"] for one in candidates} & set(range(4))) == 3


def test_the_report_shows_candidates_of_all_images_and_trails_of_a_few(six):
    page = (six / "report.html").read_text()
    for caption in ("completion", "candidate 2", "candidate 3", "laplace", "truth"):
        assert page.count(f"<figcaption>{caption}<") == 6
    assert page.count("<svg") == 4
    assert kinds(six)["trails"] == {"a", "a-2", "c", "sub/d"}
    for step in (0, 1, 3):
        assert page.count(f"<figcaption>4: step {step} ") == 4


def test_a_trail_ends_in_the_completion_and_the_candidates(six):
    for name, record in manifest(six).items():
        if name not in kinds(six)["trails"]:
            assert "trail" not in record
            continue
        sheet = images.read(six / "trails" / f"{name}.png")
        assert sheet.shape == (4 * 32, 3 * 32, 3)
        for row, kind in enumerate(("images", "candidates/2", "candidates/3")):
            end = sheet[row * 32 : (row + 1) * 32, -32:]
            expected = images.read(six / kind / f"{name}.png")
            assert np.abs(end.astype(int) - expected).max() <= 1
        trail = record["trail"]
        assert trail["steps"] == [0, 1, 3]
        assert np.shape(trail["context"]) == np.shape(trail["prior"]) == (4, 3)
        assert np.shape(trail["plane"]) == (4, 4, 2)
        objective = trail["context"][0][-1] + trail["prior"][0][-1]
        assert objective == pytest.approx(record["score"], abs=1e-3)


@pytest.mark.slow
def test_a_run_that_was_stopped_and_resumed_equals_an_uninterrupted_one(tmp_path, model):
    source = numbered(tmp_path / "in", 10)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert inpaint(several(source, whole, model)) == (10, 0, 10, False)
    assert inpaint(several(source, parts, model), stopped=lambda: True) == (8, 0, 10, True)
    lost = {"images/01.png", "candidates/2/03.png", "candidates/3/05.png"}
    for name in lost:
        (parts / name).unlink()
    before = contents(parts)
    assert inpaint(several(source, parts, model)) == (10, 0, 10, False)

    assert pictures(whole) == pictures(parts)
    assert (whole / "report.html").read_bytes() == (parts / "report.html").read_bytes()
    after = contents(parts)
    touched = {name for name in before if name.startswith((*KEPT,)) and before[name] != after[name]}
    assert touched == {f"{kind}/{name}.png" for kind in KEPT for name in ("01", "03", "05")} - lost


def test_overwriting_removes_all_that_was_written_and_nothing_else(tmp_path, model):
    source, output = photographs(tmp_path / "in", "a", "sub/b"), tmp_path / "out"
    inpaint(several(source, output, model, report_rows=1))
    for name in ("candidates/2/mine.png", "trails/sub/mine.png"):
        (output / name).parent.mkdir(exist_ok=True)
        (output / name).write_text("mine")
    inpaint(laplace(source, output, report_rows=0, report_worst=0, overwrite=True))
    assert set(pictures(output)) == {
        *("images/a.png", "images/sub/b.png"),
        *("candidates/2/mine.png", "trails/sub/mine.png"),
    }
    assert not (output / "candidates" / "3").exists()
    assert not (output / "panels").exists()
    inpaint(laplace(source, output, overwrite=True))  # nor does it miss what never was


def told(proposals, score, z):
    """A completion of images [b] with candidates [b, 2] and their trails."""
    start = jnp.zeros(score.shape, jnp.int32)
    losses = jnp.stack([score, score], axis=-1)
    at_both_ends = jnp.stack([proposals, proposals], axis=2)
    return Completion(
        proposals[:, 0],
        proposals[:, 0],
        score[:, 0],
        jnp.ones(len(score), jnp.int32),
        Candidates(proposals, score, start),
        Trails(z, at_both_ends, losses, losses),
    )


def test_a_search_that_ends_in_no_number_costs_its_image_only_where_it_would_be_kept(
    tmp_path, model, monkeypatch
):
    def broken(photographs, hole, key):
        proposals = jnp.stack([photographs, photographs], axis=1)
        z = jnp.arange(32.0 * len(proposals)).reshape(-1, 2, 2, 8).at[1, 1].set(jnp.nan)
        return told(proposals.at[2, 1].set(jnp.nan), jnp.ones(proposals.shape[:2]), z)

    monkeypatch.setattr(methods, "build", lambda *_, **__: broken)
    # Another start would lead somewhere else.
    monkeypatch.setattr(loop, "draws_its_start", lambda _: False)
    output = tmp_path / "out"
    config = several(numbered(tmp_path / "in", 4), output, model)
    assert inpaint(replace(config, candidates=2)) == (3, 1, 4, False)
    records = manifest(output)
    assert [name for name, one in records.items() if one["status"] == "failed"] == ["02"]
    assert kinds(output)["trails"] == {"00", "01", "03"}
