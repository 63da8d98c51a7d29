"""LPIPS is what its paper says, for each image alone."""

from functools import partial
from pathlib import Path

import foreign
import jax
import numpy as np
import pytest
import tiny
from foreign import convolved, pooled, saved
from safetensors.numpy import save_file

from ce_jax import images, sharding
from ce_jax.config import Perceptual
from ce_jax.inpainting import perceptual
from ce_jax.models import lpips as lpips_network
from ce_jax.runs import feature_files


def pictures(count, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def slices_by_hand(arrays, x):
    """Activations of one image: relu1..5 of AlexNet, relu1_2..5_3 of VGG16."""

    def convolution(x, name, **options):
        return convolved(x, arrays[f"{name}.weight"], arrays[f"{name}.bias"], **options)

    largest = partial(pooled, reduce=np.max, stride=2)
    if "net.slice1.2.weight" not in arrays:
        one = convolution(x, "net.slice1.0", stride=4, padding=2)
        two = convolution(largest(one, side=3), "net.slice2.3", padding=2)
        three = convolution(largest(two, side=3), "net.slice3.6", padding=1)
        four = convolution(three, "net.slice4.8", padding=1)
        return one, two, three, four, convolution(four, "net.slice5.10", padding=1)
    slices = []
    names = [name.removesuffix(".weight") for name in arrays if name.endswith(".weight")]
    for number in range(1, 6):
        x = largest(x, side=2) if number > 1 else x
        for name in (name for name in names if name.startswith(f"net.slice{number}.")):
            x = convolution(x, name, padding=1)
        slices.append(x)
    return slices


def lpips_by_hand(arrays, first, second):
    def seen(picture):
        return (picture / 127.5 - 1 - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]

    total = 0
    both = (slices_by_hand(arrays, seen(picture)) for picture in (first, second))
    for number, pair in enumerate(zip(*both, strict=True)):
        one, other = (x / (np.sqrt((x**2).sum(-1, keepdims=True)) + 1e-10) for x in pair)
        head = arrays[f"lin{number}.model.1.weight"].ravel()
        total += ((one - other) ** 2 @ head).mean()
    return total


@pytest.mark.parametrize(("network", "count"), [("alex", 5), ("vgg", 13)])
def test_lpips_is_what_it_is_by_hand(tmp_path, weights, network, count):
    arrays = dict(np.load(weights[network]))
    save_file(arrays, tmp_path / "same.safetensors")
    read = feature_files.lpips(Path(weights[network]))
    assert len(read.convolutions) == count
    first, second = pictures(2), pictures(2, seed=1)
    with tiny.quickly():
        distance = jax.jit(lpips_network.distance)
    found = distance(read, images.to_float(first), images.to_float(second))
    slow = [lpips_by_hand(arrays, *pair) for pair in zip(first, second, strict=True)]
    assert min(slow) > 1e-3
    np.testing.assert_allclose(found, slow, rtol=1e-4)
    again = feature_files.lpips(tmp_path / "same.safetensors")
    assert jax.tree.all(jax.tree.map(np.array_equal, read, again))


def test_lpips_takes_the_constants_of_its_file(tmp_path):
    arrays = foreign.alex()
    published = feature_files.lpips(Path(saved(tmp_path / "a.npz", arrays)))
    constants = {"shift": [[[[0.5]], [[0.25]], [[0]]]], "scale": [[[[1]], [[2]], [[4]]]]}
    for name, value in constants.items():
        arrays[f"scaling_layer.{name}"] = np.array(value, np.float32)
    own = feature_files.lpips(Path(saved(tmp_path / "b.npz", arrays)))
    assert np.allclose(published.scale, [0.458, 0.448, 0.450])
    assert (own.shift.tolist(), own.scale.tolist()) == ([0.5, 0.25, 0], [1, 2, 4])


def test_what_is_measured_depends_on_no_other_image_and_on_no_number_of_devices(weights):
    first, second = pictures(11), pictures(11, seed=1)
    second[3] = first[3]
    found = []
    for devices, size in ((8, 8), (1, 4)):
        mesh = sharding.make_mesh(jax.devices()[:devices])
        with tiny.quickly():
            perception = perceptual.load(Perceptual(lpips=weights["alex"]), mesh, batch_size=size)
        assert perception.describe is None
        assert perception.compare is not None
        found.append(perception.compare(first, second))
        np.testing.assert_allclose(perception.compare(first[5:6], second[5:6]), found[-1][5:6])
    assert found[0].shape == (11,)
    assert found[0][3] < 1e-10 < 1e-3 < np.delete(found[0], 3).min()
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-10)
