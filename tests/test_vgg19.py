"""VGG19 is read from either file, and sees what it was trained on."""

from dataclasses import replace

import foreign
import jax
import numpy as np
import pytest
import tiny
import untrained
from safetensors.numpy import save_file

from ce_jax import sharding
from ce_jax.completion import methods
from ce_jax.config import HighResolution, Inpainting
from ce_jax.models import vgg
from ce_jax.runs import feature_files
from ce_jax.runs.feature_files import FeatureFileError


def by_hand(arrays, image, *, torchvision):
    """relu3_1 and relu4_1 of one image, slowly."""
    if torchvision:
        x = ((image + 1) / 2 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    else:
        x = ((image + 1) * 127.5)[..., ::-1] - [103.939, 116.779, 123.68]
    outputs, layers = [], list(arrays.values())
    for index in range(9):
        kernel, bias = layers[2 * index : 2 * index + 2]
        if index in (2, 4, 8):
            x = foreign.pooled(x, np.max, side=2, stride=2)
        kernel = kernel if torchvision else kernel.transpose(3, 2, 0, 1)
        x = foreign.convolved(x, kernel, bias, padding=1)
        outputs.append(x)
    return outputs[4], outputs[8]


@pytest.mark.parametrize("torchvision", [True, False], ids=["torchvision", "caffe"])
def test_vgg19_is_read_from_either_file_and_sees_what_it_was_trained_on(tmp_path, torchvision):
    arrays = foreign.vgg19(torchvision=torchvision)
    save_file(arrays, tmp_path / "vgg.safetensors")
    np.savez(tmp_path / "vgg.npz", **arrays)
    image = np.random.default_rng(0).uniform(-1, 1, (16, 16, 3)).astype(np.float32)
    with tiny.quickly():
        see = jax.jit(vgg.features)
    first, second = (
        see(feature_files.vgg19(tmp_path / f"vgg.{kind}"), image[None])
        for kind in ("safetensors", "npz")
    )
    for one, other, slow in zip(
        first, second, by_hand(arrays, image, torchvision=torchvision), strict=True
    ):
        assert np.array_equal(one, other)
        assert slow.max() > 0
        np.testing.assert_allclose(one[0], slow, rtol=1e-3, atol=1e-3 * slow.max())


def test_vgg19_goes_into_the_method(tmp_path):
    save_file(foreign.vgg19(torchvision=True), tmp_path / "vgg.safetensors")
    refine = HighResolution(features=str(tmp_path / "vgg.safetensors"))
    config = Inpainting(method="high-resolution", model="a run", refine=refine)
    trained = untrained.networks(tiny.context_encoder())
    keys = jax.random.split(jax.random.key(3), 8)
    complete = methods.build(config, trained, sharding.make_mesh())
    pictures, hole = np.zeros((8, 64, 64, 3), np.float32), np.zeros((8, 64, 64, 1), bool)
    shapes = jax.eval_shape(complete, pictures, hole, keys)
    assert shapes.images.shape == (8, 64, 64, 3)
    missing = replace(config, refine=replace(refine, features="no.npz"))
    with pytest.raises(FeatureFileError, match=r"no.npz is not there"):
        methods.build(missing, trained, sharding.make_mesh())
