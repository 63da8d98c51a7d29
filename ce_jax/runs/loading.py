"""Trained networks, wherever they are: in a run, in a file, or in this package by name.

A model is named by the work directory of a training run, by a `.safetensors` file, or by the name
of one that comes with the package. What is there under this name goes before the package.
"""

import os
from collections.abc import Hashable

from ce_jax import files
from ce_jax.config import ConfigError, ContextEncoder, Frame, Inpainting, LatentEncoder, Training
from ce_jax.runs import checkpointing, releases, workdirs
from ce_jax.runs.workdirs import CheckpointError
from ce_jax.state import Trained


def load(model: str | os.PathLike) -> Trained:
    """The networks of a model, on the first device; no network connection is needed.

        >>> import ce_jax
        >>> trained = ce_jax.load("runs/dcgan")  # or "celeba64.safetensors"
        >>> trained.config.model, trained.generator["params"], trained.step

    Raises:
        CheckpointError: no such model, a run without a checkpoint, or of another architecture.
        ReleaseError: a file that is damaged, or does not hold a model.
    """
    if (file := _file_of(model)) is not None:
        path, sha256 = file
        return releases.read(path, sha256=sha256)
    try:
        return checkpointing.load(model)
    except CheckpointError as error:
        names = ", ".join(releases.released())
        if not names or files.place(model).exists():
            raise
        raise CheckpointError(f"{error} Released models are {names}.") from error


def config_of(model: str | os.PathLike) -> Training:
    """The experiment in which a model was trained; raises as `load`."""
    return workdirs.read_config(model) if _file_of(model) is None else load(model).config


def networks_of(config: Inpainting) -> Trained | None:
    """The networks of an inpainting, with its guide if it has one; None if it needs none.

    Raises:
        CheckpointError, ReleaseError: as `load`.
        ConfigError: the guide cannot guide this model.
    """
    if config.model is None:
        return None
    trained = load(config.model)
    if config.guide is None:
        return trained
    guide = load(config.guide)
    theirs, size = guide.config, trained.config.data.frame.size
    if not isinstance(theirs.model, ContextEncoder) or theirs.model.predicts != "image":
        raise ConfigError(
            f"guide {config.guide} is no context encoder that predicts whole images; train one, as "
            "configs/context_encoder_skips64.py does."
        )
    if theirs.data.frame.size != size:
        raise ConfigError(
            f"guide {config.guide} predicts {theirs.data.frame.size}-pixel images, but "
            f"{config.model} was trained on {size}-pixel ones."
        )
    return trained._replace(guide=guide)


def is_released(model: str | os.PathLike) -> bool:
    """Whether this names a model that comes with the package."""
    file = _file_of(model)
    return file is not None and file[1] is not None


def version_of(model: str | os.PathLike) -> Hashable:
    """Something that changes when there are other networks under the name of a model.

    Raises:
        ReleaseError: a file that is not there.
    """
    if (file := _file_of(model)) is not None:
        return releases.version_of(file[0])
    return max(workdirs.saved_steps(model), default=None)


def head_start(config: Training, workdir: os.PathLike | str) -> Trained | None:
    """The networks that a new run begins with; None without any, and for one that has begun.

    An encoder that is new itself begins with those of its DCGAN.

    Raises:
        CheckpointError: there are none, or they are not those of this config.
        ReleaseError: a file that is damaged, or does not hold a model.
    """
    if workdirs.saved_steps(workdir):
        return None
    if config.start_from is not None:
        return _further(config.start_from, config)
    if isinstance(config.model, LatentEncoder):
        return _searched(config.model, config.data.frame)
    return None


def _further(model: str, config: Training) -> Trained:
    """What this experiment is to train further."""
    trained, mine = load(model), config.model
    theirs = trained.config.model
    if type(mine) is not type(theirs):
        raise CheckpointError(
            f"{model} is a {type(theirs).__name__}, but this config trains a {type(mine).__name__}."
        )
    dcgans = [each.dcgan for each in (theirs, mine) if isinstance(each, LatentEncoder)]
    if len(set(dcgans)) > 1:
        raise CheckpointError(
            f"{model} guesses for {dcgans[0]}, but this config says model.dcgan = {dcgans[1]}; "
            "change it, or --start-from."
        )
    if misfit := releases.misfit(trained, config):
        raise CheckpointError(
            f"{model}: {misfit}; choose the --model fields and the --data.frame.size that it was "
            "trained with, or another --start-from."
        )
    return trained


def _searched(model: LatentEncoder, frame: Frame) -> Trained:
    """The DCGAN that an encoder learns to guess for; also one that another encoder has along."""
    trained = load(model.run)
    theirs, generator, critic = trained.config.model, trained.generator, trained.critic
    if isinstance(theirs, LatentEncoder):
        theirs, (generator, critic) = theirs.dcgan, generator["searched"]
    if (theirs, trained.config.data.frame) != (model.dcgan, frame) or critic is None:
        raise CheckpointError(
            f"{model.run} trained {theirs} on {trained.config.data.frame}, but this config says "
            f"model.dcgan = {model.dcgan} and data.frame = {frame}; change it, or --model.run."
        )
    return trained._replace(generator=generator, critic=critic)


def _file_of(model: str | os.PathLike) -> tuple[str | os.PathLike, str | None] | None:
    """The file of a model, or that of this name in the package, with its SHA-256; else None."""
    sha256 = releases.released().get(name := os.fspath(model))
    if sha256 is not None and not files.place(model).exists():
        return releases.FOLDER / f"{name}{releases.SUFFIX}", sha256
    return (model, None) if name.endswith(releases.SUFFIX) else None
