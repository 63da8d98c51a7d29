"""Data sets of TFDS are read in any order and without TensorFlow."""

import io
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from folders import levels, solid
from PIL import Image
from processes import python

from ce_jax.images import UnreadableImage
from ce_jax.sources import SourceError, open_source


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Folder of TFDS data sets: `tiny`, whose images are written without TensorFlow."""
    tfds = pytest.importorskip("tensorflow_datasets")

    class Tiny(tfds.core.GeneratorBasedBuilder):
        """Solid pictures, the last one damaged."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict(
                {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(num_classes=9)}
            )
            return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(5), "test": self._generate_examples(3)}

        def _generate_examples(self, count):
            for level in range(count):
                file = io.BytesIO()
                Image.fromarray(solid(level)).save(file, "PNG")
                damaged = file.getvalue()[:40]
                yield (
                    level,
                    {
                        "image": io.BytesIO(damaged if level == 4 else file.getvalue()),
                        "label": level,
                    },
                )

    folder = tmp_path_factory.mktemp("tfds")
    Tiny(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


def test_tfds_is_read_by_name_without_tensorflow(prepared):
    code = """
import sys
from ce_jax.sources import open_source
source = open_source("tfds:tiny@test[1:]")
print(source, *source.names, *(source[index].tolist() for index in range(len(source))), sep="\\n")
assert "tensorflow" not in sys.modules
"""
    expected = ["<2 images of 'tfds:tiny@test[1:]'>", "000001", "000002"]
    expected += [str(solid(level).tolist()) for level in (1, 2)]
    assert python(code, TFDS_DATA_DIR=str(prepared)).splitlines() == expected


def test_tfds_is_read_from_a_prepared_folder(prepared):
    folder = prepared / "tiny" / "1.0.0"
    source = open_source(f"tfds:{folder}")
    assert len(source) == 5
    assert levels(open_source(f"tfds:{folder}[:4]")) == [0, 1, 2, 3]
    with pytest.raises(UnreadableImage, match=r"1\.0\.0, record 4: "):
        source[4]
    assert levels(open_source(f"tfds:{folder}@test")) == [0, 1, 2]
    assert levels(open_source(f"tfds:{folder}@train[:2]+test[1:3]")) == [0, 1, 1, 2]
    with ThreadPoolExecutor(8) as threads:
        pictures = list(threads.map(source.__getitem__, [0, 1, 2, 3] * 8))
    assert [int(picture.max()) for picture in pictures] == [0, 1, 2, 3] * 8


@pytest.mark.parametrize(
    "spec, reason",
    [
        ("tfds:{}/tiny/1.0.0@valid", r"Unknown split 'valid'. .*'train'"),
        ("tfds:{}/absent", "Could not read dataset info from .*absent"),
        ("tfds:celebb_a", r"TFDS knows no dataset 'celebb_a' \(meant: celeb_a\?\)"),
        ("tfds:not a name", "TFDS cannot open it"),
    ],
)
def test_a_tfds_source_that_is_not_there_is_refused(prepared, spec, reason):
    with pytest.raises(SourceError, match=reason):
        open_source(spec.format(prepared))


def test_a_tfds_set_that_is_not_prepared_tells_how(tmp_path):
    code = """
from ce_jax.sources import SourceError, open_source
try:
    open_source("tfds:celeb_a@test[:9]")
except SourceError as error:
    print(error)
"""
    message = python(code, TFDS_DATA_DIR=str(tmp_path))
    assert "tfds build celeb_a --file_format=array_record" in message
    assert str(tmp_path) in message


@pytest.mark.parametrize(
    "file, edits, reason",
    [
        ("dataset_info.json", {"array_record": "tfrecord"}, "stored as tfrecord, without random"),
        ("features.json", {'"image"': '"photo"'}, "no feature image among .*photo"),
        ("features.json", {"uint8": "float32", '"3"': '"1"'}, "its images are float32"),
    ],
)
def test_tfds_sets_of_another_kind_are_refused(prepared, tmp_path, file, edits, reason):
    folder = shutil.copytree(prepared / "tiny" / "1.0.0", tmp_path / "tiny" / "1.0.0")
    text = (folder / file).read_text()
    for old, new in edits.items():
        assert old in text
        text = text.replace(old, new, 1)
    (folder / file).write_text(text)
    with pytest.raises(SourceError, match=reason):
        open_source(f"tfds:{folder}")
