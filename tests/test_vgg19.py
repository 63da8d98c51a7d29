"""VGG19 is read from either file, and sees what it was trained on."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import tiny
import untrained
from safetensors.numpy import save_file
from scipy.signal import correlate

from ce_jax import feature_files, sharding
from ce_jax.completion import methods
from ce_jax.config import HighResolution, Inpainting
from ce_jax.feature_files import FeatureFileError
from ce_jax.models import vgg


def narrow(*, torchvision):
    """A VGG19 with three to six channels, in either layout, less what lies behind conv4_1."""
    widths, arrays, channels = (3, 4, 3, 5, 4, 3, 4, 5, 6), {}, 3
    for layer, place, width in zip(
        vgg.LAYERS, (0, 2, 5, 7, 10, 12, 14, 16, 19), widths, strict=True
    ):
        kernel = np.random.default_rng(place).normal(0, 0.5, (3, 3, channels, width))
        name = f"features.{place}" if torchvision else layer
        kernel = kernel.transpose(3, 2, 0, 1) if torchvision else kernel
        arrays[f"{name}.weight"] = np.ascontiguousarray(kernel, np.float32)
        arrays[f"{name}.bias"] = np.linspace(-1, 1, width, dtype=np.float32)
        channels = width
    return arrays


def by_hand(arrays, image, *, torchvision):
    """relu3_1 and relu4_1 of one image, slowly."""
    if torchvision:
        x = ((image + 1) / 2 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    else:
        x = ((image + 1) * 127.5)[..., ::-1] - [103.939, 116.779, 123.68]
    outputs = []
    for index in range(9):
        weight, bias = list(arrays.values())[2 * index : 2 * index + 2]
        kernel = weight.transpose(2, 3, 1, 0) if torchvision else weight
        if index in (2, 4, 8):
            x = x.reshape(len(x) // 2, 2, len(x) // 2, 2, -1).max((1, 3))
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        maps = [correlate(padded, kernel[..., o], "valid")[..., 0] for o in range(len(bias))]
        x = np.maximum(np.stack(maps, -1) + bias, 0)
        outputs.append(x)
    return outputs[4], outputs[8]


@pytest.mark.parametrize("torchvision", [True, False], ids=["torchvision", "caffe"])
def test_vgg19_is_read_from_either_file_and_sees_what_it_was_trained_on(tmp_path, torchvision):
    arrays = narrow(torchvision=torchvision)
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


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda arrays: arrays.pop("conv3_4.weight"), "has no conv3_4.weight; expected VGG19"),
        (
            lambda arrays: arrays.update({"conv2_1.bias": np.zeros(7, np.float32)}),
            r"\[7\]; VGG19 has",
        ),
        (
            lambda arrays: arrays.update({"conv1_1.weight": np.zeros((3, 3, 4, 3))}),
            r"\[3, 3, 3, out\]",
        ),
        (
            lambda arrays: arrays.update({"conv1_1.bias": np.zeros(3, int)}),
            "conv1_1.bias must hold",
        ),
        (lambda arrays: arrays.update({"conv1_1.bias": np.full(3, np.nan)}), "must hold finite"),
        (lambda arrays: arrays.update({"conv1_1.bias": np.array([None] * 3)}), "cannot be read"),
    ],
)
def test_a_file_that_is_no_vgg19_is_refused_in_one_line(tmp_path, spoil, complaint):
    arrays, path = narrow(torchvision=False), tmp_path / "vgg.npz"
    spoil(arrays)
    np.savez(path, **arrays)
    with pytest.raises(FeatureFileError, match=complaint) as caught:
        feature_files.vgg19(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["vgg.npz", "vgg.safetensors"])
def test_a_file_that_is_missing_or_damaged_is_named(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(FeatureFileError, match=f"{name} is not there"):
        feature_files.vgg19(path)
    for content in (b"", b"PK\x03\x04 no archive", b"\x80\x04K\x01."):  # the last is a pickle
        path.write_bytes(content)
        with pytest.raises(FeatureFileError, match=f"{name} cannot be read: ") as caught:
            feature_files.vgg19(path)
        assert "\n" not in str(caught.value)


def test_vgg19_goes_into_the_method(tmp_path):
    save_file(narrow(torchvision=True), tmp_path / "vgg.safetensors")
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
