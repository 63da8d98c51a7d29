"""Networks of others from a file that the user has: .safetensors or .npz, never a pickle.

Names and layouts are those under which such weights are known:

    VGG19      features.0.weight        torchvision: [out, in, 3, 3]; RGB in [0, 1], less the mean
                                        of ImageNet, by its deviation
               conv1_1.weight           Caffe: [3, 3, in, out]; BGR in [0, 255], less its mean
    LPIPS      net.slice1.0.weight      the PyTorch package lpips: [out, in, h, w], AlexNet or VGG16
               lin0.model.1.weight      [1, channels, 1, 1]
    Inception  Conv2d_1a_3x3.conv.weight and .bn.running_mean    pytorch-fid: [out, in, h, w]

Only what is needed is read; widths are those of the file.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from safetensors.numpy import load_file

from ce_jax.models import inception
from ce_jax.models import lpips as lpips_network
from ce_jax.models.lpips import Lpips
from ce_jax.models.pretrained import Convolution, Convolve
from ce_jax.models.vgg import LAYERS, Vgg19

Weights = tuple[np.ndarray, np.ndarray]
"""A kernel [h, w, in, out] and its biases [out], as they are read."""

# Places in `torchvision.models.vgg19().features`, of which ReLU and pooling take some.
_IN_TORCHVISION = dict(zip(LAYERS, (0, 2, 5, 7, 10, 12, 14, 16, 19), strict=True))
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_CAFFE_MEAN = np.array([123.68, 116.779, 103.939])  # here in RGB


class FeatureFileError(ValueError):
    """A file that does not hold the weights it should; the message says which and why."""


def vgg19(path: Path) -> Vgg19:
    """The weights of VGG19 in a file, float32.

    Raises:
        FeatureFileError: missing, unreadable, or with other names, shapes or types than VGG19 has.
    """
    file = _read(
        path, "VGG19", "the names of torchvision (features.0.weight) or of Caffe (conv1_1.weight)"
    )
    torchvision = "features.0.weight" in file.arrays
    found, channels = [], 3
    for layer in LAYERS:
        name = f"features.{_IN_TORCHVISION[layer]}" if torchvision else layer
        kernel = _kernel(file, f"{name}.weight", (3, 3), channels, out_first=torchvision)
        channels = kernel.shape[-1]
        found.append((kernel, _array(file, f"{name}.bias", (channels,))))
    if torchvision:
        scale, shift = 0.5 / _DEVIATION, (0.5 - _MEAN) / _DEVIATION
    else:
        found[0] = found[0][0][:, :, ::-1], found[0][1]  # from BGR
        scale, shift = np.full(3, 127.5), 127.5 - _CAFFE_MEAN
    return Vgg19(tuple(map(_convolution, found)), _float32(scale), _float32(shift))


def lpips(path: Path) -> Lpips:
    """The weights of LPIPS in a file, float32; which of its networks they are, its names say.

    Raises:
        FeatureFileError: missing, unreadable, or with other names, shapes or types than LPIPS has.
    """
    file = _read(path, "LPIPS", "the names of the PyTorch package lpips (net.slice1.0.weight)")

    def look(name: str, side: tuple[int, int], channels: int) -> Weights:
        kernel = _kernel(file, f"{name}.weight", side, channels)
        return kernel, _array(file, f"{name}.bias", kernel.shape[-1:])

    network = lpips_network.network_of(file.arrays)
    convolutions, slices = _found(network, look, size=64)
    heads = [
        _array(file, f"lin{number}.model.1.weight", (1, activations.shape[-1], 1, 1))
        for number, activations in enumerate(slices)
    ]

    def constant(name: str, published: tuple[float, ...]) -> Array:
        there = name in file.arrays
        return _float32(_array(file, name, (1, 3, 1, 1)).ravel() if there else np.array(published))

    shift = constant("scaling_layer.shift", lpips_network.SHIFT)
    scale = constant("scaling_layer.scale", lpips_network.SCALE)
    return Lpips(convolutions, tuple(_float32(head.ravel()) for head in heads), shift, scale)


def inception_v3(path: Path) -> dict[str, Convolution]:
    """The weights of the Inception of FID in a file, float32, with BatchNorm in them.

    Raises:
        FeatureFileError: missing, unreadable, or with other names, shapes or types than it has.
    """
    file = _read(path, "Inception v3", "the names of pytorch-fid (Conv2d_1a_3x3.conv.weight)")

    def look(name: str, side: tuple[int, int], channels: int) -> Weights:
        kernel = _kernel(file, f"{name}.conv.weight", side, channels)
        scale, bias, mean, variance = (
            _array(file, f"{name}.bn.{part}", kernel.shape[-1:])
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        if np.any(variance < 0):
            raise FeatureFileError(f"{path}: {name}.bn.running_var must not be negative.")
        scale = scale / np.sqrt(variance + inception.EPSILON)
        return kernel * scale, bias - mean * scale

    return _found(inception.pool3, look, size=299)[0]


class _File(NamedTuple):
    """What a file holds, whose weights it should, and how these are named."""

    path: Path
    arrays: Mapping[str, np.ndarray]
    network: str
    names: str


def _read(path: Path, network: str, names: str) -> _File:
    if not path.is_file():
        raise FeatureFileError(f"{path} is not there; name the file with the weights of {network}.")
    try:
        if path.suffix == ".safetensors":
            return _File(path, load_file(path), network, names)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return _File(path, dict(arrays), network, names)
    except Exception as error:  # readers fed with damaged files raise anything
        reason = " ".join(str(error).split())
        raise FeatureFileError(f"{path} cannot be read: {reason}") from error


def _found(
    network: Callable[[Convolve, Array], Any],
    look: Callable[[str, tuple[int, int], int], Weights],
    *,
    size: int,
) -> tuple[dict[str, Convolution], Any]:
    """All weights that a network asks for, by name, and the shapes of what it returns."""
    found: dict[str, Weights] = {}

    def looked(name: str, side: tuple[int, int], channels: int) -> Convolution:
        found[name] = look(name, side, channels)
        return Convolution(*(jnp.zeros(array.shape) for array in found[name]))

    example = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    returned = jax.eval_shape(partial(network, Convolve(looked)), example)
    return {name: _convolution(weights) for name, weights in found.items()}, returned


def _array(file: _File, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """An array of this shape, where None is any number from 1; float64."""
    if name not in file.arrays:
        raise FeatureFileError(
            f"{file.path} has no {name}; expected {file.network} with {file.names}."
        )
    array = file.arrays[name]
    if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
        raise FeatureFileError(f"{file.path}: {name} must hold finite floating-point numbers.")
    fits = len(array.shape) == len(shape) and all(
        found >= 1 if wanted is None else found == wanted
        for found, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("out" if length is None else str(length) for length in shape)
        raise FeatureFileError(
            f"{file.path}: {name} is {list(array.shape)}; {file.network} has [{wanted}] there."
        )
    return array.astype(np.float64)


def _kernel(
    file: _File, name: str, side: tuple[int, int], channels: int, *, out_first: bool = True
) -> np.ndarray:
    """[h, w, in, out], whichever way it stands in the file."""
    if out_first:
        return _array(file, name, (None, channels, *side)).transpose(2, 3, 1, 0)
    return _array(file, name, (*side, channels, None))


def _convolution(weights: Weights) -> Convolution:
    return Convolution(*map(_float32, weights))


def _float32(array: np.ndarray) -> Array:
    return jnp.asarray(array, jnp.float32)
