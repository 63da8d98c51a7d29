"""An experiment as plain JSON types, and back."""

import dataclasses
from typing import Any, get_args, get_type_hints

from ce_jax.config.inpainting import Inpainting
from ce_jax.config.models import Model
from ce_jax.config.rules import ConfigError
from ce_jax.config.training import Training


def to_dict(config: Training | Inpainting) -> dict[str, Any]:
    """The experiment as plain JSON types, with the kind of its model named."""
    plain = dataclasses.asdict(config, dict_factory=_with_lists)
    if isinstance(config, Training):
        plain["model"] = {"kind": type(config.model).__name__, **plain["model"]}
    return plain


def training_from_dict(plain: dict[str, Any]) -> Training:
    """The inverse of `to_dict`, read back from JSON.

    Raises:
        ConfigError: the record was written by another version with other fields.
    """
    try:
        model = dict(plain["model"])
        kind = {kind.__name__: kind for kind in get_args(Model)}[model.pop("kind")]
        # Sharding is younger than the first records.
        return _part(Training, {"sharding": {}} | plain | {"model": _part(kind, model)})
    except (KeyError, TypeError) as error:
        raise ConfigError(f"The recorded experiment does not fit this version: {error}.") from error


def flat(plain: dict[str, Any]) -> dict[str, Any]:
    """Fields and their values, those of a part by the names `part.field`."""
    fields = {}
    for name, value in plain.items():
        if isinstance(value, dict):
            fields |= {f"{name}.{field}": inner for field, inner in flat(value).items()}
        else:
            fields[name] = value
    return fields


def _with_lists(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in fields}


def _part(kind: Any, plain: dict[str, Any]) -> Any:
    """A part of an experiment, with the parts that it has itself, none of which may be missing."""
    parts = {k: v for k, v in get_type_hints(kind).items() if dataclasses.is_dataclass(v)}
    # Of what holds no fields, {**plain} is a TypeError.
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in {**plain}.items()}
    return kind(**fields | {name: _part(of, plain[name]) for name, of in parts.items()})
