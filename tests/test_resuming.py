"""What is done stays done, what has changed is done again, and nobody is in another's way."""

import fcntl
import os
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from folders import (
    contents,
    hole_file,
    laplace,
    latent,
    manifest,
    noise,
    numbered,
    photographs,
    pictures,
)
from jax.random import key_data

from ce_jax import images
from ce_jax.batch import inpaint
from ce_jax.completion import Completion, methods
from ce_jax.config import ConfigError, Inpainting
from ce_jax.inpainting import loop
from ce_jax.inpainting.claims import OutputError
from ce_jax.sources import SourceError
from ce_jax.sources.stamps import stamp, unchanged


def rewritten(before, after):
    return {name for name in after if before.get(name) != after[name]}


# Changes under the same name


def test_an_image_and_a_hole_that_changed_under_their_names_are_done_again(tmp_path):
    source, drawn = photographs(tmp_path / "in", "a", "b", "c"), tmp_path / "holes"
    for name in ("a", "b", "c"):
        hole_file(drawn / f"{name}.png", (5, 5, 20, 20))
    config = laplace(source, tmp_path / "out", holes=str(drawn))
    inpaint(config)
    before = contents(tmp_path / "out" / "images")
    inpaint(config)
    assert contents(tmp_path / "out" / "images") == before

    images.write_png(tmp_path / "in" / "a.png", noise(7))
    hole_file(drawn / "b.png", (5, 5, 21, 20))
    os.utime(tmp_path / "in" / "c.png", ns=(1, 1))  # another time, the same content
    told = []
    assert inpaint(config, tell=told.append) == (3, 0, 3, False)
    assert "1 done already, 2 to do (2 were, but changed since or lost)" in told[1]
    after = contents(tmp_path / "out" / "images")
    assert rewritten(before, after) == {"a.png", "b.png"}
    inpaint(laplace(source, tmp_path / "fresh", holes=str(drawn)))
    assert pictures(tmp_path / "fresh") == pictures(tmp_path / "out")


def test_what_fails_now_keeps_nothing_of_an_earlier_success(tmp_path, model):
    source, output = photographs(tmp_path / "in", "a", "b"), tmp_path / "out"
    config = latent(source, output, model)
    searched = replace(config.latent, starts=2, trail=2)
    config = replace(config, latent=searched, candidates=2)
    assert inpaint(config).done == 2
    kept = {f"{kind}/a.png" for kind in ("images", "panels", "trails", "candidates/2")}
    assert kept <= set(pictures(output))
    (tmp_path / "in" / "a.png").write_bytes(b"no picture")
    assert inpaint(config) == (1, 1, 2, False)
    assert set(pictures(output)) == {name.replace("a.png", "b.png") for name in kept}


def test_the_truth_is_looked_at_too(tmp_path):
    source, truth = photographs(tmp_path / "in", "a", "b"), photographs(tmp_path / "truth", "a")
    config = laplace(source, tmp_path / "out", truth=truth)
    inpaint(config)
    images.write_png(tmp_path / "truth" / "a.png", noise(8))
    images.write_png(tmp_path / "truth" / "b.png", noise(1))
    told = []
    inpaint(config, tell=told.append)
    assert "0 done already, 2 to do" in told[1]
    assert {*manifest(tmp_path / "out")["b"]["files"]} == {"image", "truth"}


def test_a_stamp_is_of_the_content(tmp_path):
    path, other = tmp_path / "a", tmp_path / "b"
    for file in (path, other):
        file.write_bytes(b"content")
    known = {"image": stamp(path)._asdict()}
    assert known["image"]["sha256"].startswith("ed7002b439e9ac84")
    assert unchanged(known, {"image": path})
    assert unchanged(known, {"image": other})
    assert not unchanged(known, {})
    assert not unchanged(known, {"image": path, "hole": other})
    other.write_bytes(b"kontent")
    assert not unchanged(known, {"image": other})
    other.unlink()
    assert not unchanged(known, {"image": other})


def test_an_array_that_is_replaced_is_noticed(tmp_path):
    stack = np.stack([noise(seed, 32, 32) for seed in range(2)])
    np.savez(tmp_path / "in.npz", images=stack)
    config = laplace(f"npz:{tmp_path / 'in.npz'}", tmp_path / "out")
    inpaint(config)
    before = pictures(tmp_path / "out" / "images")
    np.savez(tmp_path / "in.npz", images=255 - stack)
    inpaint(config)
    assert set(rewritten(before, pictures(tmp_path / "out" / "images"))) == set(before)


# Two at once, killed before


@pytest.mark.parametrize("shard", [None, "0/2"])
def test_two_processes_in_one_folder_are_refused_and_a_dead_one_is_not_in_the_way(tmp_path, shard):
    source, output = numbered(tmp_path / "in", 2), tmp_path / "out"
    inpaint(laplace(source, output))
    with (output / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(OutputError) as refused:
            patch.setattr("ce_jax.inpainting.claims._PATIENCE", 0)
            inpaint(laplace(source, output, shard=shard))
        assert f"{output} is being written to by another process" in str(refused.value)
    assert (output / ".lock").is_file()  # as after kill -9, held by nobody
    assert inpaint(laplace(source, output)) == (2, 0, 2, False)


def test_what_a_killed_process_left_half_written_is_removed_and_nothing_else(tmp_path):
    source, output = numbered(tmp_path / "in", 2), tmp_path / "out"
    output.mkdir()
    half = f".{'0f' * 16}.tmp"
    (output / half).touch()
    inpaint(laplace(source, output))
    for name in (half, ".mine.tmp"):
        (output / "images" / name).write_text("half a picture")
    inpaint(laplace(source, output))
    left = {path.name for path in output.rglob(".*")}
    assert left == {".lock", ".mine.tmp"}


# Shards


def test_shards_are_disjoint_and_complete_and_give_the_bytes_of_the_whole(tmp_path):
    source = numbered(tmp_path / "in", 21)
    (tmp_path / "in" / "05x.jpg").write_bytes(b"no picture")
    whole, output = tmp_path / "whole", tmp_path / "shared"
    settings = {"holes": "random:0.5", "report_rows": 4, "report_worst": 3}
    assert inpaint(laplace(source, whole, **settings)) == (21, 1, 22, False)

    outcomes, told = [], []
    for shard in ("2/3", "0/3", "1/3"):
        assert not (output / "report.html").exists()
        config = laplace(source, output, shard=shard, **settings)
        outcomes.append(inpaint(config, tell=told.append))
    assert sum(outcome.done for outcome in outcomes) == 21
    assert sum(outcome.failed for outcome in outcomes) == 1
    assert sum(outcome.total for outcome in outcomes) == 22
    assert min(outcome.total for outcome in outcomes) >= 3
    assert f"of which part 0-of-3 is {outcomes[1].total}; holes" in "".join(told)
    parts = sorted(path.name for path in output.glob("manifest*"))
    assert parts == [f"manifest.{part}-of-3.jsonl" for part in range(3)]
    assert pictures(output / "images") == pictures(whole / "images")
    for name in ("metrics.json", "report.html", "inpainting.json"):
        assert (output / name).read_bytes() == (whole / name).read_bytes()

    before = contents(output / "images")
    with pytest.raises(OutputError, match=r"manifest\.0-of-3\.jsonl, a part of another number"):
        inpaint(laplace(source, output, shard="0/2", **settings))
    assert inpaint(laplace(source, output, **settings)) == (21, 1, 22, False)
    assert [path.name for path in output.glob("manifest*")] == ["manifest.jsonl"]
    assert set(manifest(output)) == set(manifest(whole))
    assert inpaint(laplace(source, output, shard="0/2", **settings)).done > 0
    assert contents(output / "images") == before


def test_shards_run_side_by_side_but_not_two_of_the_same(tmp_path):
    source, output = numbered(tmp_path / "in", 9), tmp_path / "out"
    refused = []

    def meanwhile():
        if not refused:
            refused.append(None)
            inpaint(laplace(source, output, shard="1/2"))
            for shard in ("0/2", None):
                with pytest.raises(OutputError) as error:
                    inpaint(laplace(source, output, shard=shard))
                refused.append(str(error.value))
        return False

    inpaint(laplace(source, output, shard="0/2"), stopped=meanwhile)
    assert "shard 0-of-2 of" in refused[1]
    assert "give each process a --shard of its own" in refused[1]
    assert "is being written to by another process" in refused[2]
    assert inpaint(laplace(source, output)) == (9, 0, 9, False)


def test_a_process_of_several_does_its_own_part(tmp_path, monkeypatch):
    source = numbered(tmp_path / "in", 9)
    monkeypatch.setattr("jax.process_count", lambda: 2)
    outcomes = []
    for index in range(2):
        monkeypatch.setattr("jax.process_index", lambda index=index: index)
        outcomes.append(inpaint(laplace(source, tmp_path / "out")))
    assert sum(outcome.done for outcome in outcomes) == 9
    assert len(pictures(tmp_path / "out" / "images")) == 9


@pytest.mark.parametrize("shard", ["4/4", "1", "a/2", "-1/2", "1/2/3", "/"])
def test_a_shard_that_cannot_be_is_refused(shard):
    with pytest.raises(ConfigError, match=r"shard must be I/N with I from 0 to N-1, as in 0/4"):
        Inpainting(method="laplace", shard=shard)


# Starts that lead nowhere


def test_an_image_without_a_number_begins_anew_with_another_key_and_then_fails(
    tmp_path, monkeypatch
):
    keys = {}

    def unlucky(seen, hole, key):
        """The first pixel of a photograph tells how often it ends in NaN."""
        assert len(seen) == 8
        lucky = []
        for pixel, bits in zip(
            np.asarray(seen[:, 0, 0, 0]), np.asarray(key_data(key)), strict=True
        ):
            times = int(images.to_uint8(pixel))
            tried = keys.setdefault(times, [])
            tried += [tuple(bits)] if tuple(bits) not in tried else []
            lucky.append(len(tried) > times)
        score = jnp.where(jnp.asarray(lucky), 0.0, jnp.nan)
        return Completion(seen, jnp.zeros_like(seen), score, jnp.zeros(8))

    monkeypatch.setattr(methods, "build", lambda *_, **__: unlucky)
    monkeypatch.setattr(loop, "draws_its_start", lambda _: True)
    for times in range(12):
        picture = np.full((32, 32, 3), 99, np.uint8)
        picture[0, 0] = times
        images.write_png(tmp_path / "in" / f"{times:02}.png", picture)
    output = tmp_path / "out"
    config = laplace(f"folder:{tmp_path / 'in'}", output)
    assert inpaint(config) == (3, 9, 12, False)
    records = manifest(output)
    assert [records[f"{n:02}"].get("restarts", 0) for n in range(4)] == [0, 1, 2, 2]
    assert [records[f"{n:02}"]["status"] for n in range(4)] == ["done", "done", "done", "failed"]
    assert [len(set(keys[n])) for n in range(4)] == [1, 2, 3, 3]
    once = loop.start_keys(0, ["00", "01"], [0, 0])
    assert np.array_equal(key_data(once), [keys[0][0], keys[1][0]])


def test_a_shard_that_is_stopped_does_not_count_what_has_changed(tmp_path):
    source, output = numbered(tmp_path / "in", 40), tmp_path / "out"
    for shard in ("0/2", "1/2"):
        inpaint(laplace(source, output, shard=shard))
    for number in range(40):
        images.write_png(tmp_path / "in" / f"{number:02}.png", noise(100 + number))
    outcome = inpaint(laplace(source, output, shard="0/2"), stopped=lambda: True)
    assert outcome.stopped
    assert outcome.done <= 16  # two batches at most


# Lists of checksums


def test_a_file_of_another_checksum_is_named(tmp_path):
    source = photographs(tmp_path / "in", "a", "b", "c")
    sums = tmp_path / "SHA256SUMS"
    listed = [f"{stamp(tmp_path / 'in' / f'{n}.png').sha256}  in/{n}.png" for n in "ab"]
    sums.write_text("\n".join(listed) + "\n")
    images.write_png(tmp_path / "in" / "b.png", noise(5))
    config = laplace(source, tmp_path / "out", checksums=str(sums))
    assert inpaint(config) == (2, 1, 3, False)
    sums.write_text("\n".join(line[:64].upper() + line[64:] for line in listed))
    assert inpaint(config) == (2, 1, 3, False)
    assert "b.png: its SHA-256 begins with" in manifest(tmp_path / "out")["b"]["reason"]
    for text, told in (("nonsense", "expected lines"), (listed[0] + "x", "none of the names")):
        sums.write_text(text)
        with pytest.raises(SourceError, match=told):
            inpaint(laplace(source, tmp_path / "other", checksums=str(sums)))
