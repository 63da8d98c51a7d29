"""A file with the weights of others is read, or refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from foreign import saved

from ce_jax.runs import feature_files
from ce_jax.runs.feature_files import FeatureFileError

READERS = {"inception_v3": feature_files.inception_v3, "vgg19": feature_files.vgg19}


def spoilt(name, change):
    """Arrays with one of them taken away, or changed."""

    def spoil(arrays):
        if change is None:
            del arrays[name]
        else:
            arrays[name] = change(arrays[name])

    return spoil


@pytest.mark.parametrize(
    ("kind", "name", "change", "complaint"),
    [
        (
            "alex",
            "net.slice2.3.weight",
            None,
            "has no net.slice2.3.weight; expected LPIPS with the",
        ),
        ("alex", "lin4.model.1.weight", None, "has no lin4.model.1.weight"),
        ("alex", "net.slice1.0.weight", lambda a: a[..., 1:], r"is \[1, 3, 11, 10\]; LPIPS has \["),
        ("alex", "lin0.model.1.weight", lambda a: a[0], r"LPIPS has \[1, 1, 1, 1\] there"),
        ("alex", "net.slice1.0.bias", lambda a: a * np.nan, "must hold finite floating-point"),
        ("alex", "net.slice1.0.bias", lambda a: a.astype(int), "must hold finite floating-point"),
        ("alex", "net.slice1.0.bias", lambda a: a.astype(object), "cannot be read"),
        ("vgg", "net.slice5.28.bias", None, "has no net.slice5.28.bias"),
        ("vgg", "net.slice3.12.weight", lambda a: a[:, :0], r"\[out, \d, 3, 3\] there"),
        ("inception_v3", "Mixed_6c.branch7x7_2.conv.weight", None, "expected Inception v3 with"),
        (
            "inception_v3",
            "Mixed_6c.branch7x7_2.conv.weight",
            lambda a: a.swapaxes(2, 3),
            r", 7, 1\]; Inception v3 has \[out, \d, 1, 7\] there",
        ),
        (
            "inception_v3",
            "Mixed_7c.branch1x1.bn.running_mean",
            None,
            "has no Mixed_7c.branch1x1.bn",
        ),
        ("inception_v3", "Mixed_5b.branch1x1.bn.bias", lambda a: a * np.inf, "must hold finite"),
        ("inception_v3", "Mixed_5b.branch1x1.bn.running_var", lambda a: -a, "not be negative"),
        ("vgg19", "conv3_4.weight", None, "has no conv3_4.weight; expected VGG19"),
        ("vgg19", "conv2_1.bias", lambda a: np.zeros(7, np.float32), r"\[7\]; VGG19 has"),
        ("vgg19", "conv1_1.weight", lambda a: np.zeros((3, 3, 4, 3)), r"\[3, 3, 3, out\]"),
        ("vgg19", "conv1_1.bias", lambda a: a.astype(int), "conv1_1.bias must hold"),
        ("vgg19", "conv1_1.bias", lambda a: a * np.nan, "must hold finite"),
        ("vgg19", "conv1_1.bias", lambda a: a.astype(object), "cannot be read"),
    ],
)
def test_a_file_that_is_something_else_is_refused_in_one_line(
    tmp_path, weights, kind, name, change, complaint
):
    arrays = dict(np.load(weights[kind]))
    spoilt(name, change)(arrays)
    path = Path(saved(tmp_path / "spoilt.npz", arrays))
    with pytest.raises(FeatureFileError, match=complaint) as caught:
        READERS.get(kind, feature_files.lpips)(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [feature_files.lpips, *READERS.values()])
@pytest.mark.parametrize("name", ["weights.npz", "weights.safetensors"])
def test_a_file_that_is_missing_or_damaged_is_named(tmp_path, read, name):
    path = tmp_path / name
    with pytest.raises(FeatureFileError, match=f"{name} is not there; name the file"):
        read(path)
    for content in (b"", b"PK\x03\x04 no archive", b"\x80\x04K\x01."):  # the last is a pickle
        path.write_bytes(content)
        with pytest.raises(FeatureFileError, match=f"{name} cannot be read: ") as caught:
            read(path)
        assert "\n" not in str(caught.value)
