"""Inception is that of its file, block by block."""

from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
from foreign import convolved, pooled
from scipy.ndimage import map_coordinates

from ce_jax.models import inception
from ce_jax.models.pretrained import with_weights
from ce_jax.runs import feature_files

RANDOM = np.random.default_rng(0)


class Blocks:
    """The blocks of Inception by hand, with BatchNorm as it stands in the file."""

    def __init__(self, arrays):
        self.arrays = arrays

    def convolution(self, name, x, **options):
        kernel, weight, bias, mean, variance = (
            self.arrays[f"{name}.{part}"].astype(float)
            for part in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
        )
        scale = weight / np.sqrt(variance + 0.001)
        kernel = kernel * scale.reshape(-1, 1, 1, 1)
        if "padding" not in options and "stride" not in options:
            options["padding"] = tuple(side // 2 for side in kernel.shape[2:])
        return convolved(x, kernel, bias - mean * scale, **options)

    def branch(self, block, x, *names, last_stride=1):
        for name in names[:-1]:
            x = self.convolution(f"{block}.{name}", x)
        options = {"stride": 2} if last_stride == 2 else {}
        return self.convolution(f"{block}.{names[-1]}", x, **options)


MEAN = partial(pooled, reduce=np.mean, side=3, stride=1, padding=1)
LARGEST = partial(pooled, reduce=np.max, side=3, stride=1, padding=1)
HALVED = partial(pooled, reduce=np.max, side=3, stride=2)
TWICE_3 = [f"branch3x3dbl_{i}" for i in (1, 2, 3)]
TWICE_7 = [f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5)]


def block_by_hand(kind, block, by, x):
    if kind == "a":
        return [
            by.branch(block, x, "branch1x1"),
            by.branch(block, x, "branch5x5_1", "branch5x5_2"),
            by.branch(block, x, *TWICE_3),
            by.branch(block, MEAN(x), "branch_pool"),
        ]
    if kind == "b":
        return [
            by.branch(block, x, "branch3x3", last_stride=2),
            by.branch(block, x, *TWICE_3, last_stride=2),
            HALVED(x),
        ]
    if kind == "c":
        return [
            by.branch(block, x, "branch1x1"),
            by.branch(block, x, "branch7x7_1", "branch7x7_2", "branch7x7_3"),
            by.branch(block, x, *TWICE_7),
            by.branch(block, MEAN(x), "branch_pool"),
        ]
    if kind == "d":
        return [
            by.branch(block, x, "branch3x3_1", "branch3x3_2", last_stride=2),
            by.branch(block, x, *(f"branch7x7x3_{i}" for i in (1, 2, 3, 4)), last_stride=2),
            HALVED(x),
        ]
    pool = MEAN if block == "Mixed_7b" else LARGEST
    return [
        by.branch(block, x, "branch1x1"),
        by.branch(block, x, "branch3x3_1", "branch3x3_2a"),
        by.branch(block, x, "branch3x3_1", "branch3x3_2b"),
        by.branch(block, x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a"),
        by.branch(block, x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3b"),
        by.branch(block, pool(x), "branch_pool"),
    ]


@pytest.mark.parametrize(
    ("kind", "block"),
    [
        ("a", "Mixed_5b"),
        ("b", "Mixed_6a"),
        ("c", "Mixed_6c"),
        ("d", "Mixed_7a"),
        ("e", "Mixed_7b"),
        ("e", "Mixed_7c"),
    ],
)
def test_a_block_of_inception_is_what_it_is_by_hand(weights, kind, block):
    arrays = dict(np.load(weights["inception_v3"]))
    convolve = with_weights(feature_files.inception_v3(Path(weights["inception_v3"])))
    entrance = {"b": "branch3x3", "d": "branch3x3_1"}.get(kind, "branch1x1")
    channels = arrays[f"{block}.{entrance}.conv.weight"].shape[1]
    x = RANDOM.normal(size=(2, 9, 9, channels)).astype(np.float32)
    if kind == "e":
        pool = {"Mixed_7b": MEAN, "Mixed_7c": LARGEST}[block]
        other = np.stack([pool(one) for one in x]).astype(np.float32)
        arguments = x, other
    else:
        arguments = (x,)
    with tiny.quickly():
        compiled = jax.jit(partial(getattr(inception, f"block_{kind}"), convolve, block))
    found = compiled(*arguments)
    slow = [np.concatenate(block_by_hand(kind, block, Blocks(arrays), one), -1) for one in x]
    assert np.max(slow) > 0
    np.testing.assert_allclose(found, slow, rtol=1e-4, atol=1e-5)


def test_the_last_block_takes_the_largest_where_the_one_before_takes_the_mean():
    seen = {}

    def convolve(name, x, side=3, *, stride=1, padding="SAME"):
        """Hands on what it is given, where it is wanted in that size."""
        seen[name] = x
        return x[:, :-2:stride, :-2:stride, :1] if padding == "VALID" else x[..., :1]

    with tiny.quickly():
        trace = jax.jit(lambda x: (inception.pool3(convolve, x), dict(seen)))
    x = RANDOM.normal(size=(1, 139, 139, 1)).astype(np.float32)
    pool3, seen = trace(x)
    assert pool3.shape == (1, 6)
    for block, pool in (("Mixed_7b", MEAN), ("Mixed_7c", LARGEST)):
        slow = pool(np.asarray(seen[f"{block}.branch1x1"][0]))
        assert len(slow) > 2
        np.testing.assert_allclose(seen[f"{block}.branch_pool"][0], slow, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [32, 350])
def test_images_are_resized_between_the_middles_of_their_pixels(size):
    image = RANDOM.uniform(-1, 1, (1, size, size, 1)).astype(np.float32)
    place = np.clip((np.arange(299) + 0.5) * size / 299 - 0.5, 0, size - 1)
    slow = map_coordinates(image[0, ..., 0], np.meshgrid(place, place, indexing="ij"), order=1)
    np.testing.assert_allclose(inception.resized(image)[0, ..., 0], slow, atol=1e-4)


def test_inception_has_as_many_convolutions_as_that_of_its_file(weights):
    assert len(feature_files.inception_v3(Path(weights["inception_v3"]))) == 94
