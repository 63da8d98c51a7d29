"""`tfds:NAME@SPLIT`: a TFDS dataset prepared as ArrayRecord, read without TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ce_jax import images
from ce_jax.sources.source import (
    Opened,
    Pictures,
    SourceError,
    first_line,
    missing,
    nearest_of,
    numbers,
)


@dataclass(frozen=True)
class _Records(Pictures):
    spec: str
    records: Sequence[Any]

    def __getitem__(self, index: int) -> np.ndarray:
        try:
            return images.read(self.records[index]["image"])
        except images.UnreadableImage as error:
            raise images.UnreadableImage(f"{self.spec}, record {index}: {error}") from error


def is_dataset(folder: Path) -> bool:
    """Whether a folder is that of one version of a dataset."""
    return (folder / "dataset_info.json").is_file()


def open_tfds(location: str, spec: str) -> Opened:
    """The feature `image` of a dataset.

    Raises:
        SourceError: TFDS is not installed or cannot open it, or the dataset is not prepared as
            ArrayRecord or has no images of bytes.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise missing(spec, "tensorflow_datasets", extra="tfds") from error
    name, _, split = location.partition("@")
    folder = Path(name).expanduser()
    builder: Any
    try:
        if folder.is_absolute() or is_dataset(folder):
            builder = tfds.builder_from_directory(folder)
        else:
            builder = tfds.builder(name, file_format="array_record")
    except tfds.core.DatasetNotFoundError:
        near = nearest_of(name, tfds.list_builders(with_community_datasets=False))
        raise SourceError(f"{spec!r}: TFDS knows no dataset {name!r}{near}") from None
    except Exception as error:
        raise SourceError(f"{spec!r}: TFDS cannot open it ({first_line(error)})") from error
    if not builder.info.splits:
        raise SourceError(
            f"{spec!r} is not prepared in {builder.data_dir}; prepare it once with: "
            f"tfds build {name} --file_format=array_record"
        )
    features = builder.info.features or {}
    if "image" not in features or not isinstance(features["image"], tfds.features.Image):
        raise SourceError(f"{spec!r}: no feature image among {', '.join(features)}")
    if features["image"].np_dtype == np.float32:
        raise SourceError(f"{spec!r}: its images are float32, stored as bytes of no photograph")
    try:
        # The stored file goes through our own reader: one decoder, one behaviour, for all sources.
        records = builder.as_data_source(
            split=split or "train", decoders={"image": tfds.decode.SkipDecoding()}
        )
    except NotImplementedError as error:
        kept = builder.info.file_format.value
        raise SourceError(
            f"{spec!r} is stored as {kept}, without random access; prepare it as array_record"
        ) from error
    except Exception as error:
        raise SourceError(f"{spec!r}: {first_line(error)}") from error
    return numbers(len(records)), _Records(spec, records)
