"""VGG19 from a file that the user has: .safetensors or .npz, never a pickle.

Two layouts are known, by the name of the first array:

    features.0.weight  features.0.bias   torchvision: [out, in, 3, 3]; RGB in [0, 1], less the mean
                                         of ImageNet, by its deviation
    conv1_1.weight     conv1_1.bias      Caffe: [3, 3, in, out]; BGR in [0, 255], less its mean

Only what comes up to conv4_1 is read; widths are those of the file.
"""

from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ce_jax.models.vgg import LAYERS, Vgg19

# Places in `torchvision.models.vgg19().features`, of which ReLU and pooling take some.
_IN_TORCHVISION = dict(zip(LAYERS, (0, 2, 5, 7, 10, 12, 14, 16, 19), strict=True))
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_CAFFE_MEAN = np.array([123.68, 116.779, 103.939])  # here in RGB


class FeatureFileError(ValueError):
    """A file that does not hold the weights of VGG19; the message says which and why."""


def load(path: Path) -> Vgg19:
    """The weights of VGG19 in a file, float32.

    Raises:
        FeatureFileError: missing, unreadable, or with other names, shapes or types than VGG19 has.
    """
    arrays = _read(path)
    torchvision = "features.0.weight" in arrays
    names = {
        layer: f"features.{_IN_TORCHVISION[layer]}" if torchvision else layer for layer in LAYERS
    }
    for name in (f"{layer}.{part}" for layer in names.values() for part in ("weight", "bias")):
        if name not in arrays:
            raise FeatureFileError(
                f"{path} has no {name}; expected VGG19 with the names of torchvision "
                "(features.0.weight) or of Caffe (conv1_1.weight)."
            )
        if (
            not np.issubdtype(arrays[name].dtype, np.floating)
            or not np.isfinite(arrays[name]).all()
        ):
            raise FeatureFileError(f"{path}: {name} must hold finite floating-point numbers.")
    kernels, biases, channels = [], [], 3
    for name in names.values():
        kernel, bias = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
        if torchvision and kernel.ndim == 4:
            kernel = kernel.transpose(2, 3, 1, 0)
        if kernel.shape[:3] != (3, 3, channels) or bias.shape != kernel.shape[3:]:
            order = f"[out, {channels}, 3, 3]" if torchvision else f"[3, 3, {channels}, out]"
            raise FeatureFileError(
                f"{path}: {name} has weights {list(arrays[f'{name}.weight'].shape)} and biases "
                f"{list(bias.shape)}; VGG19 has {order} and [out] there."
            )
        channels = len(bias)
        kernels.append(kernel)
        biases.append(bias)
    if torchvision:
        scale, shift = 0.5 / _DEVIATION, (0.5 - _MEAN) / _DEVIATION
    else:
        kernels[0] = kernels[0][:, :, ::-1]  # from BGR
        scale, shift = np.full(3, 127.5), 127.5 - _CAFFE_MEAN
    numbers = [jnp.asarray(array, jnp.float32) for array in (*kernels, *biases, scale, shift)]
    count = len(LAYERS)
    return Vgg19(tuple(numbers[:count]), tuple(numbers[count:-2]), *numbers[-2:])


def _read(path: Path) -> Mapping[str, np.ndarray]:
    if not path.is_file():
        raise FeatureFileError(f"{path} is not there; name the file with the weights of VGG19.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (
        SafetensorError,
        BadZipFile,
        ValueError,
        TypeError,
        KeyError,
        OSError,
        EOFError,
    ) as error:
        reason = " ".join(str(error).split())
        raise FeatureFileError(f"{path} cannot be read: {reason}") from error
