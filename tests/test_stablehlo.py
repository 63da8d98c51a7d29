"""An exported program computes what the network does, in batches of any size."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained
from converting import images_of, ours_of

from ce_jax.convert.__main__ import main
from ce_jax.models.latent_encoder import see
from ce_jax.runs import releases
from ce_jax.systems import context_encoder, dcgan, latent_encoder


def programs_of(trained, folder):
    """What the command writes of a model, read back; to be called in batches of any size."""
    pytest.importorskip("flatbuffers", reason="pip install -e .[stablehlo]")
    (folder / "model.safetensors").write_bytes(releases.pack(trained))
    main(["stablehlo", f"{folder}/model.safetensors", "--output", f"{folder}/programs"])
    paths = sorted((folder / "programs").iterdir())
    found = {path.stem: jax.export.deserialize(bytearray(path.read_bytes())) for path in paths}
    assert all(program.platforms == ("cpu", "cuda", "tpu") for program in found.values())
    weights = (folder / "model.safetensors").stat().st_size
    assert all(path.stat().st_size < 1.2 * weights + 1e5 for path in paths)  # and nothing beside
    return {name: tiny.jit(program.call) for name, program in found.items()}


HOLE = np.zeros((3, 32, 32, 1), bool)
HOLE[:, 8:24, 8:24] = True


@pytest.mark.slow
def test_an_exported_context_encoder_completes_as_the_method_does(tmp_path):
    trained = untrained.networks(tiny.context_encoder())
    programs = programs_of(trained, tmp_path)
    assert programs.keys() == {"completion"}
    images = images_of(32)
    completed = programs["completion"](images, HOLE)
    model = trained.config.model
    shown = context_encoder.paint(model, jnp.asarray(images), HOLE)
    expected = ours_of(context_encoder.module_of(model, size=32), trained.generator, shown)
    np.testing.assert_allclose(completed[:, 8:24, 8:24], expected, atol=1e-5)
    np.testing.assert_array_equal(completed[~HOLE[..., 0]], images[~HOLE[..., 0]])


@pytest.mark.slow
@pytest.mark.parametrize("maps", [False, True])
def test_exported_networks_of_a_search_compute_what_they_do_there(tmp_path, maps):
    run = tiny.latent_encoder()
    trained = untrained.networks(replace(run, model=replace(run.model, maps=maps)))
    programs = programs_of(trained, tmp_path)
    assert programs.keys() == {"generator", "critic", "encoder"}
    generator, critic = dcgan.modules(trained.config.model.dcgan, size=32)
    searched, images = trained.generator["searched"], images_of(32)
    found = programs["encoder"](images, HOLE)
    guess = found if maps else (found,)
    seen = see(jnp.asarray(images), HOLE)
    module = latent_encoder.module_of(trained.config.model, size=32)
    wanted = ours_of(module, trained.generator["encoder"], seen)
    for ours, theirs in zip(guess, wanted, strict=False):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for part in (guess, [array[:1] for array in guess]):
        expected = ours_of(generator, searched.generator, *part)
        np.testing.assert_allclose(programs["generator"](*part), expected, atol=1e-5)
    logits = ours_of(critic, searched.critic, images)
    np.testing.assert_allclose(programs["critic"](images), logits, rtol=1e-4, atol=1e-4)
