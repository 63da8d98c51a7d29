"""One file holds what a completion needs, and is known by its name and its content."""

import json
import os
from dataclasses import replace

import jax
import numpy as np
import pytest
import tiny
import untrained
from safetensors.numpy import load, save

import ce_jax
from ce_jax import api, sharding
from ce_jax.completion import methods
from ce_jax.config import Inpainting, LatentSearch
from ce_jax.convert.__main__ import main
from ce_jax.runs import loading, releases
from ce_jax.runs.releases import ReleaseError
from ce_jax.runs.workdirs import CheckpointError

RUNS = [
    *(tiny.dcgan(), tiny.vae(), tiny.context_encoder(), tiny.latent_encoder()),
    *(pytest.param(run, marks=pytest.mark.slow) for run in (tiny.self_tuned(), tiny.l2_gan())),
]


@pytest.fixture(scope="module")
def trained():
    return untrained.networks(tiny.dcgan())


@pytest.fixture
def package(tmp_path, trained, monkeypatch):
    """A package with one model, whose name is `digits`."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "digits.safetensors").write_bytes(releases.pack(trained))
    sha256 = releases.read(folder / "digits.safetensors").sha256
    (folder / "models.json").write_text(json.dumps({"digits": sha256}))
    monkeypatch.setattr(releases, "FOLDER", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def assert_equal(found, expected):
    for ours, theirs in zip(found[1:3], expected[1:3], strict=True):
        assert jax.tree.structure(ours) == jax.tree.structure(theirs)
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: type(run.model).__name__)
def test_a_file_holds_every_bit_of_any_kind_of_run(run, tmp_path):
    trained = untrained.networks(run)
    (path := tmp_path / "model.safetensors").write_bytes(data := releases.pack(trained))
    found = loading.load(path)
    assert found.config == trained.config == loading.config_of(path)
    assert found.step == 7
    assert_equal(found, trained)
    assert releases.pack(found) == data  # to the last byte


def test_half_precision_rounds_kernels_and_nothing_else(trained, tmp_path):
    (path := tmp_path / "half.safetensors").write_bytes(releases.pack(trained, precision="float16"))
    whole = releases.pack(trained)
    assert len(path.read_bytes()) < 0.6 * len(whole)
    found, exact = releases.read(path), jax.tree.leaves(trained[1:3])
    assert_equal(found, releases.rounded(trained, "float16"))
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(found[1:3]))
    for ours, theirs in zip(jax.tree.leaves(found[1:3]), exact, strict=True):
        off = 0 if theirs.ndim < 2 else 2.0**-11 * np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=off)
    loud = jax.tree.map(lambda leaf: 1e6 * leaf, trained.generator)
    with pytest.raises(ReleaseError, match=r"generator.params.*kernel has the weight .* float16"):
        releases.pack(trained._replace(generator=loud), precision="float16")


def test_only_a_search_needs_its_critic(trained):
    encoder = trained._replace(config=tiny.context_encoder())
    assert releases.needed(trained).critic is trained.critic
    assert releases.needed(encoder).critic is None


@pytest.mark.parametrize(
    "metadata",
    [
        *(
            {"ce_jax": f'{{"version": 1, "config": {{}}, "step": {step}}}'}
            for step in ("null", '"x"')
        ),
        {"ce_jax": '{"version": 1, "config": [], "step": 0}'},
        {"ce_jax": 7},
        {"ce_jax": "[" * 100_000},
        ["ce_jax"],
    ],
)
def test_a_damaged_description_is_one_clear_line(metadata, tmp_path):
    header = json.dumps({"__metadata__": metadata}).encode()
    (path := tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ReleaseError, match=r"model\.safetensors"):
        releases.read(path)


def test_a_file_that_is_something_else_is_refused(trained, tmp_path):
    def refused(data, message):
        (path := tmp_path / "model.safetensors").write_bytes(data)
        with pytest.raises(ReleaseError, match=message):
            releases.read(path)
        return path

    whole = releases.pack(trained)
    arrays = load(whole)
    header = whole[8 : 8 + int.from_bytes(whole[:8], "little")]
    about = json.loads(header)["__metadata__"]["ce_jax"]
    name = "generator.params.Upsample_0.kernel"
    refused(whole[:-1], "model.safetensors cannot be read")
    refused(b"\xff" * 30, "model.safetensors cannot be read")
    path = refused(save(arrays), "holds no model of ce_jax; .* python -m ce_jax.convert import")
    with pytest.raises(ReleaseError, match="holds no model of ce_jax"):
        loading.config_of(path)
    wrong = arrays | {name: arrays[name][..., :1]}
    refused(save(wrong, {"ce_jax": about}), rf"{name} holds \[.*, 1\]; .* it holds \[")
    fewer = {key: array for key, array in arrays.items() if key != name}
    refused(save(fewer, {"ce_jax": about}), f"{name} holds nothing; in the network")
    more = arrays | {"generator.more": np.zeros(1)}
    refused(save(more, {"ce_jax": about}), r"generator.more holds \[1\]; .* holds nothing")
    later = json.dumps(json.loads(about) | {"version": 2})
    refused(save(arrays, {"ce_jax": later}), "has the format 2, .* reads 1; update ce_jax")
    path.unlink()
    for look in (releases.read, loading.config_of, releases.version_of):
        with pytest.raises(ReleaseError, match=r"model.safetensors cannot be read: No such file"):
            look(path)


def test_a_name_loads_what_the_package_holds_and_only_that(package, trained):
    assert_equal(ce_jax.load("digits"), trained)
    assert loading.config_of("digits") == trained.config
    other = trained._replace(step=8)
    (package / "digits.safetensors").write_bytes(releases.pack(other))
    with pytest.raises(ReleaseError, match=r"digits.safetensors is not what was released: its SHA"):
        ce_jax.load("digits")


def test_a_folder_of_that_name_goes_before_the_package(package, tmp_path):
    (tmp_path / "digits").mkdir()
    with pytest.raises(CheckpointError, match="digits holds no training run"):
        ce_jax.load("digits")


def test_an_unknown_name_says_which_there_are(package):
    with pytest.raises(
        CheckpointError, match=r"faces holds no training run .* Released models are digits"
    ):
        ce_jax.load("faces")


def test_every_model_that_comes_with_the_package_is_whole():
    named = {
        f"{name}{ending}" for name in releases.released() for ending in (".safetensors", ".md")
    }
    assert {path.name for path in releases.FOLDER.iterdir()} == {"models.json"} | named
    for name in releases.released():
        assert loading.load(name).sha256 == releases.released()[name]


def test_a_release_has_a_card_and_replaces_nothing(trained, tmp_path, capsys):
    (source := tmp_path / "whole.safetensors").write_bytes(releases.pack(trained))
    path = tmp_path / "digits.safetensors"
    words = ["release", str(source), "--output", str(path)]
    main(words)
    assert_equal(loading.load(path), trained)
    card = path.with_suffix(".md").read_text()
    assert card.startswith("# digits\n") and "`bundled:digits[:64]`" in card
    sha256 = releases.read(path).sha256
    assert sha256 in card and sha256 in capsys.readouterr().out
    path.unlink()
    with pytest.raises(ValueError, match=r"digits.md is there already; .* --overwrite"):
        main(words)
    assert not path.exists()


def test_a_release_need_not_say_where_it_was_trained(trained, tmp_path):
    there = replace(trained.config, data=replace(trained.config.data, validation="npz:/home/me"))
    source, path = tmp_path / "whole.safetensors", tmp_path / "given.safetensors"
    source.write_bytes(releases.pack(trained._replace(config=there)))
    main(["release", str(source), "--output", str(path), "--trained-on", "folder:faces"])
    assert loading.load(path).config.data == replace(
        trained.config.data, source="folder:faces", validation=None
    )
    assert "`folder:faces`" in path.with_suffix(".md").read_text()
    guessing = tiny.latent_encoder()
    guessing = replace(guessing, model=replace(guessing.model, run="/home/me/dcgan"))
    given = releases.without_paths(guessing, source="folder:faces")
    assert "/" not in given.model.run and given.steps == guessing.steps


@pytest.mark.slow
def test_images_are_completed_by_a_file_as_by_its_run(tmp_path, capsys):
    experiment = tiny.context_encoder()
    run, path = untrained.workdir(tmp_path / "run", experiment), tmp_path / "model.safetensors"
    photograph = tiny.batch(0)[0]
    hole = np.zeros((32, 32), bool)
    hole[12:20, 12:20] = True

    def completed(model):
        return ce_jax.inpaint(photograph, hole, model=str(model), method="context-encoder")

    api._inpainter.cache_clear()
    with tiny.quickly():
        main(["release", run, "--output", str(path)])
        by_file = completed(path)
        np.testing.assert_array_equal(by_file, completed(run))
        main(["release", run, "--output", str(path), "--precision=float16", "--overwrite"])
        assert "rounding changes a picture by at most" in capsys.readouterr().out
        off = np.abs(completed(path).astype(int) - by_file).max()
        other = untrained.game(experiment, seed=1)
        path.write_bytes(
            releases.pack(loading.load(path)._replace(generator=other.inference_variables))
        )
        os.utime(path, ns=(1, 1))
        assert np.abs(completed(path).astype(int) - by_file).max() > 10 * max(off, 1)
    api._inpainter.cache_clear()


def test_without_a_critic_a_search_asks_for_a_weight_of_zero(trained):
    alone = trained._replace(critic=None)
    mesh = sharding.make_mesh(jax.devices()[:1])
    with pytest.raises(ValueError, match=r"faces has no critic .* --latent.prior 0"):
        methods.build(Inpainting(model="faces"), alone, mesh)
    config = Inpainting(model="faces", latent=LatentSearch(prior=0, steps=1))
    complete = methods.build(config, alone, mesh)
    hole = jax.ShapeDtypeStruct((8, 32, 32, 1), bool)
    images = jax.ShapeDtypeStruct((8, 32, 32, 3), np.float32)
    key = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 8))
    assert jax.eval_shape(complete, images, hole, key).images.shape == images.shape


def test_an_encoder_learns_beside_a_dcgan_in_a_file(trained, tmp_path):
    (path := tmp_path / "dcgan.safetensors").write_bytes(releases.pack(trained))
    config = tiny.latent_encoder()
    config = replace(config, model=replace(config.model, run=str(path)))
    known = loading.head_start(config, tmp_path / "new")
    game = untrained.game(config).with_variables(known.generator, known.critic)
    jax.tree.map(np.testing.assert_array_equal, game.searched.generator, trained.generator)
