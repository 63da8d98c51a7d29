"""Trained networks in a single file, and those of them that come with this package by name.

A `.safetensors` file holds what a completion needs of a run: every weight and every BatchNorm
statistic, by its place among the variables (`generator.params.Dense_0.kernel`). Its metadata has
one entry, `ce_jax`, an object in JSON:

    version    1
    config     the experiment, as in the config.json of a run
    step       how far the run had come; 0 where nobody knows

Kernels may be float16. What is smaller stays float32, as do all computations.

The folder `released` holds `NAME.safetensors` and its model card, `NAME.md`; `models.json` there
has the SHA-256 of each file by its name.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from ce_jax import config as configuration
from ce_jax import files, systems
from ce_jax.config import ConfigError, Dcgan, LatentEncoder, Training
from ce_jax.state import Trained, by_name

Precision = Literal["float32", "float16"]

FOLDER = Path(__file__).parents[1] / "released"
SUFFIX = ".safetensors"

_VERSION = 1


class ReleaseError(ValueError):
    """A file that does not hold the networks it should; the message says which and why."""


def released() -> dict[str, str]:
    """The SHA-256 of each model that comes with the package, by its name."""
    return json.loads((FOLDER / "models.json").read_text(encoding="utf-8"))


def version_of(path: str | os.PathLike) -> tuple[int, float]:
    """Size and time of a file, which change when there is another one.

    Raises:
        ReleaseError: there is none.
    """
    try:
        if files.is_remote(path):
            status = files.place(path).stat()
            return status.length, status.mtime
        status = os.stat(files.place(path))
        return status.st_size, status.st_mtime_ns
    except OSError as error:
        raise _unreadable(path, error) from error


def needed(trained: Trained) -> Trained:
    """Without a critic that no completion asks: only a search in a DCGAN does."""
    return trained if isinstance(trained.config.model, Dcgan) else trained._replace(critic=None)


def rounded(trained: Trained, precision: Precision) -> Trained:
    """The networks with their kernels as they are in a file of this precision, float32 again.

    Raises:
        ReleaseError: a weight is too large for it.
    """
    kept = {name: _kept(name, leaf, precision) for name, leaf in _leaves(trained).items()}
    return _filled(trained, kept)


def without_paths(config: Training, *, source: str) -> Training:
    """An experiment that calls its images so, and names no other place of where it was run."""
    model = config.model
    if isinstance(model, LatentEncoder):
        model = replace(model, run=PurePath(model.run).name)
    data = replace(config.data, source=source, validation=None)
    start = config.start_from and PurePath(config.start_from).name
    return replace(config, data=data, model=model, start_from=start)


def pack(trained: Trained, *, precision: Precision = "float32") -> bytes:
    """The content of a file; the same for the same networks.

    Raises:
        ReleaseError: a weight is too large for this precision.
    """
    arrays = {name: _kept(name, leaf, precision) for name, leaf in _leaves(trained).items()}
    plain = configuration.to_dict(trained.config)
    about = {"version": _VERSION, "step": trained.step, "config": plain}
    return safetensors.numpy.save(arrays, {"ce_jax": json.dumps(about)})


def read(path: str | os.PathLike, *, sha256: str | None = None) -> Trained:
    """The networks of a file, float32; if its SHA-256 is known, only if that is right.

    Raises:
        ReleaseError: missing, unreadable, another file, or of another architecture than it says.
    """
    try:
        data = files.place(path).read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    found = hashlib.sha256(data).hexdigest()
    if sha256 not in (None, found):
        raise ReleaseError(
            f"{path} is not what was released: its SHA-256 is {found}, not {sha256}; "
            "install the package again."
        )
    try:
        arrays = safetensors.numpy.load(data)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise ReleaseError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    config, step = _described(path, data[8 : 8 + int.from_bytes(data[:8], "little")])
    layout = shapes(config)
    if not any(name.startswith("critic.") for name in arrays):
        layout = layout._replace(critic=None)
    if (wrong := _misfit(arrays, _leaves(layout), of="its")) is not None:
        raise ReleaseError(f"{path}: {wrong}.")
    return _filled(layout, arrays)._replace(step=step, sha256=found)


def misfit(trained: Trained, config: Training) -> str | None:
    """The first array that is not what the networks of an experiment hold; None if all are.

    A critic that only one of both has is no misfit.
    """
    layout = shapes(config)
    if trained.critic is None or layout.critic is None:
        trained, layout = trained._replace(critic=None), layout._replace(critic=None)
    return _misfit(_leaves(trained), _leaves(layout), of="this")


@lru_cache(maxsize=8)
def shapes(config: Training) -> Trained:
    """What a run of this experiment leaves, as shapes."""
    game = jax.eval_shape(systems.build(config).init, jax.random.key(0))
    return Trained.of(config, game, 0)


def _unreadable(path: str | os.PathLike, error: OSError) -> ReleaseError:
    return ReleaseError(f"{path} cannot be read: {error.strerror or error}")


def _described(path: str | os.PathLike, header: bytes) -> tuple[Training, int]:
    """The config and the step in the header of a file."""
    metadata = files.json_object(header).get("__metadata__")
    described = metadata.get("ce_jax") if isinstance(metadata, dict) else None
    about = files.json_object(described) if isinstance(described, str) else {}
    if about.get("version") is None:
        raise ReleaseError(
            f"{path} holds no model of ce_jax; if it is a state dict of PyTorch: "
            "python -m ce_jax.convert import --help"
        )
    if about["version"] != _VERSION:
        raise ReleaseError(
            f"{path} has the format {about['version']}, this version of ce_jax reads {_VERSION}; "
            "update ce_jax."
        )
    try:
        return configuration.training_from_dict(about["config"]), int(about["step"])
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise ReleaseError(f"{path} cannot be read: {error}") from error


def _networks(trained: Trained) -> dict[str, Any]:
    return {"generator": trained.generator, "critic": trained.critic}


def _leaves(trained: Trained) -> dict[str, Any]:
    return by_name(_networks(trained))


def _misfit(found: Mapping[str, Any], wanted: Mapping[str, Any], *, of: str) -> str | None:
    for name in [*wanted, *found]:
        there, fitting = found.get(name), wanted.get(name)
        if there is None or fitting is None or there.shape != fitting.shape:
            return (
                f"{name} holds {_shape(there)}; in the network of {of} config it holds "
                f"{_shape(fitting)}"
            )
    return None


def _filled(layout: Trained, arrays: dict[str, np.ndarray]) -> Trained:
    """Networks of this layout with these arrays in their places, float32."""
    filled = [jnp.asarray(arrays[name], jnp.float32) for name in _leaves(layout)]
    return layout._replace(**jax.tree.unflatten(jax.tree.structure(_networks(layout)), filled))


def _kept(name: str, leaf: Any, precision: Precision) -> np.ndarray:
    """An array as it stands in a file."""
    array = np.array(leaf, np.float32, order="C")  # in any other, safetensors mixes them up
    if array.ndim < 2 or precision == "float32":
        return array
    if (largest := np.abs(array).max()) > np.finfo(np.float16).max:
        raise ReleaseError(f"{name} has the weight {largest:g}, too large for float16.")
    return array.astype(np.float16)


def _shape(array: Any) -> str:
    return "nothing" if array is None else str(list(array.shape))
