"""State dicts on disk: `.safetensors`, or as PyTorch writes them, where PyTorch is installed.

No pickle is opened but by PyTorch's own loader for weights alone, which runs no code of a file.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from ce_jax import files
from ce_jax.convert import ConvertError
from ce_jax.convert.layouts import StateDict

_PYTORCH = (".pth", ".pt")


def check_name(path: Path) -> None:
    """Refuses the name of a file that is to be written, before there is anything to write.

    Raises:
        ConvertError: its ending is unknown, or PyTorch is needed and not installed.
    """
    if path.suffix in _PYTORCH:
        _torch(path)
    elif path.suffix != ".safetensors":
        raise ConvertError(f"{path} must end in .safetensors or {' or '.join(_PYTORCH)}.")


def read(path: Path) -> StateDict:
    """The numbers in a state dict, float32, by their keys; prefixes of DataParallel are left out.

    Counters of batches, which are no numbers that anything computes with, are left out too.

    Raises:
        ConvertError: missing, unreadable, no state dict, or with numbers that are not finite.
    """
    check_name(path)
    try:
        found = _unpacked(path) if path.suffix in _PYTORCH else safetensors.numpy.load_file(path)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise ConvertError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    state = {
        key.removeprefix("module."): array
        for key, array in found.items()
        if not key.endswith("num_batches_tracked")
    }
    for key, array in state.items():
        if array.dtype.kind in "iub" or not np.isfinite(array.astype(np.float32)).all():
            raise ConvertError(f"{path}: {key} must hold finite floating-point numbers.")
    return {key: array.astype(np.float32) for key, array in state.items()}


def write(path: Path, state: StateDict) -> None:
    """Writes a state dict in the form that the ending of its file names.

    Raises:
        ConvertError: as `check_name`.
    """
    check_name(path)
    with files.replacing(path) as temporary:
        if path.suffix in _PYTORCH:
            torch = _torch(path)
            torch.save({key: torch.from_numpy(array) for key, array in state.items()}, temporary)
        else:
            temporary.write_bytes(safetensors.numpy.save(state))


def _unpacked(path: Path) -> Mapping[str, np.ndarray]:
    """The tensors of a file of PyTorch: of the file itself, or of the `state_dict` in it."""
    torch = _torch(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # whatever an unpickler meets
        reason = " ".join(str(error).split("\n")[0].split())
        raise ValueError(f"it is no file of weights alone ({reason})") from error
    if isinstance(found, Mapping):
        found = found.get("state_dict", found)
    if not isinstance(found, Mapping) or not all(map(torch.is_tensor, found.values())):
        raise ValueError("it holds no state dict (tensors by their keys), nor a `state_dict`")
    return {
        key: tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()
        for key, tensor in found.items()
    }


def _torch(path: Path) -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ConvertError(
            f"{path} needs PyTorch: pip install torch; or use the .safetensors format."
        ) from error
