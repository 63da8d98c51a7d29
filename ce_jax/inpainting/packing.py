"""Completed images as one data set to train on: ArrayRecord, which `tfds:FOLDER` reads.

FOLDER/dataset/    features `image`, the very files of images/, and `name`; and what it was made of
"""

import hashlib
import importlib.util
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ce_jax import files
from ce_jax.inpainting.manifest import Manifest, OutputError, Record, made_of
from ce_jax.sources import SourceError

_IN_A_FILE = 10_000
_MADE_OF = "made_of.txt"


def check(output: Path) -> None:
    """Makes sure, before anything is completed, that it can be packed.

    Raises:
        SourceError: a package is missing.
        OutputError: something else stands in the place of the data set.
    """
    for package in ("tensorflow_datasets", "array_record"):
        if importlib.util.find_spec(package) is None:
            raise SourceError(
                f'output_format array_record needs {package}: pip install -e ".[tfds]" in the clone'
            )
    folder = output / "dataset"
    if folder.exists() and not (folder / _MADE_OF).is_file():
        raise OutputError(f"{folder} is none of ours; move it away, or choose another --output.")


def pack(manifest: Manifest, records: Iterable[Record]) -> Path:
    """Packs the best completions of all records that are done, in their order.

    What is there from before is replaced if it was made of others. Until everything is packed,
    nothing is visible.

    Returns:
        The folder of the data set.

    Raises:
        SourceError, OutputError: as `check`.
    """
    check(manifest.folder)
    folder, new = manifest.folder / "dataset", manifest.folder / ".dataset"
    done, content = [], hashlib.sha256()
    for record in records:
        if record["status"] == "done":
            done.append(record["name"])
            content.update(made_of(record))
    digest = content.hexdigest()
    if (folder / _MADE_OF).is_file() and (folder / _MADE_OF).read_text() == digest:
        return folder
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    _write(new, manifest, done)
    for path in new.iterdir():
        files.sync(path)
    files.write_text(new / _MADE_OF, digest)
    _discard(folder)
    new.rename(folder)
    files.sync_folder(manifest.folder)
    return folder


def remove(folder: Path) -> None:
    """Removes the data set of an output folder, and nothing that is none of ours."""
    _discard(folder / "dataset")
    shutil.rmtree(folder / ".dataset", ignore_errors=True)


def _discard(folder: Path) -> None:
    """Removes a data set, so that whenever this ends no part of it looks like somebody else's."""
    old = folder.with_name(".dataset-old")
    shutil.rmtree(old, ignore_errors=True)
    if (folder / _MADE_OF).is_file():
        folder.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def _write(folder: Path, manifest: Manifest, done: Sequence[str]) -> None:
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter
    from etils import epath
    from tensorflow_datasets.core.example_serializer import ExampleSerializer

    features: Any = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(encoding_format="png"), "name": tfds.features.Text()}
    )
    serializer = ExampleSerializer(features.get_serialized_info())
    template = tfds.core.ShardedFileTemplate(
        data_dir=epath.Path(folder),
        dataset_name="completed",
        split="train",
        filetype_suffix="array_record",
    )
    groups = [done[first : first + _IN_A_FILE] for first in range(0, len(done), _IN_A_FILE)]
    size = 0
    for number, group in enumerate(groups):
        path = folder / f"completed-train.array_record-{number:05}-of-{len(groups):05}"
        writer = ArrayRecordWriter(str(path), "group_size:1")
        for name in group:
            with manifest.file("images", name).open("rb") as image:
                example = {"image": image, "name": name}
                line = serializer.serialize_example(features.encode_example(example))
            writer.write(line)
            size += len(line)
        writer.close()
    split = tfds.core.SplitInfo(
        name="train",
        shard_lengths=[len(group) for group in groups],
        num_bytes=size,
        filename_template=template,
    )
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=features,
        split_infos=[split],
        filename_template=template,
        check_data=False,
    )
