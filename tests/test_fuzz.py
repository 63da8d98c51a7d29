"""Files that nobody would make on purpose: none of them ends a run, and each is named."""

import io
import struct
import zlib

import numpy as np
import pytest
from folders import laplace, manifest, noise
from PIL import Image

from ce_jax import images
from ce_jax.batch import inpaint
from ce_jax.holes import HoleError, hole_files

KINDS = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "tif": "TIFF", "webp": "WEBP"}
EACH = 22


def encoded(picture, kind):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind)
    return file.getvalue()


def truncated(content, random):
    return content[: random.integers(len(content))]


def flipped(content, random):
    content = bytearray(content)
    for place in random.integers(len(content), size=random.integers(1, 9)):
        content[place] ^= 1 << random.integers(8)
    return bytes(content)


def beheaded(content, random):
    """The beginning of another kind, and then this one."""
    head = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"II*\0", b"RIFF")
    return head[random.integers(len(head))] + content[random.integers(3, 40) :]


def shuffled(content, random):
    cuts = np.sort(random.integers(len(content), size=2))
    return content[: cuts[0]] + content[cuts[1] :] + content[cuts[0] : cuts[1]]


def overwritten(content, random):
    begin = random.integers(len(content))
    some = random.bytes(int(random.integers(1, 64)))
    return content[:begin] + some + content[begin + len(some) :]


def gigantic(content, random):
    """A header that promises more pixels than there are."""
    side = int(random.choice([9_000, 40_000, 2**31 - 1]))
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + checksum + content[33:]


def empty(content, random):
    return b"\0" * int(random.choice([0, 1, 7, 500]))


def renamed(content, random):
    """Whole, whatever its name says."""
    return content


MUTATIONS = (truncated, flipped, beheaded, shuffled, overwritten, gigantic, empty, renamed)


def broken(random):
    """(ending, content) of more than two hundred files, one in eight of which is whole."""
    endings = list(KINDS)
    for number in range(EACH * len(KINDS) * 2):
        kind = endings[number % len(KINDS)]
        mutate = MUTATIONS[number // len(KINDS) % len(MUTATIONS)]
        content = mutate(encoded(noise(number, 24, 24), KINDS[kind]), random)
        yield endings[random.integers(len(endings))] if mutate is renamed else kind, content


@pytest.mark.filterwarnings("default")  # Pillow warns of much that it then reads, or refuses
def test_two_hundred_broken_files_and_broken_holes_are_all_accounted_for(tmp_path, recwarn):
    random = np.random.default_rng(0)
    files = list(broken(random))
    assert len(files) >= 200
    folder, drawn = tmp_path / "in", tmp_path / "holes"
    folder.mkdir()
    drawn.mkdir()
    white = np.zeros((24, 24, 3), np.uint8)
    white[5:15, 5:15] = 255
    for number, (ending, content) in enumerate(files):
        hole = encoded(white, "PNG")
        if number % 2:  # the image is whole, and its hole is not
            content, hole = encoded(noise(number, 24, 24), KINDS[ending]), content
        (folder / f"{number:03}.{ending}").write_bytes(content)
        (drawn / f"{number:03}.png").write_bytes(hole)
    source = f"folder:{folder}"
    config = laplace(source, tmp_path / "out", holes=str(drawn), frame=None, batch_size=32)
    outcome = inpaint(config)
    records = manifest(tmp_path / "out")
    assert outcome.total == len(records) == len(files)
    assert outcome.done + outcome.failed == len(files)
    assert outcome.done >= len(files) // 8
    assert outcome.failed >= len(files) // 2
    for name, record in records.items():
        completed = tmp_path / "out" / "images" / f"{name}.png"
        assert completed.is_file() == (record["status"] == "done")
        if record["status"] == "done":
            assert images.read(completed).shape == images.read(next(folder.glob(f"{name}.*"))).shape
        else:
            assert name in record["reason"]
            assert "\n" not in record["reason"]
    assert inpaint(config) == outcome


@pytest.mark.filterwarnings("default")
def test_no_broken_file_raises_anything_but_its_one_error(tmp_path, recwarn):
    path = tmp_path / "file"
    for _, content in broken(np.random.default_rng(1)):
        path.write_bytes(content)
        for read, error in ((images.read, images.UnreadableImage), (hole_files.read, HoleError)):
            try:
                read(path)
            except error as told:
                assert str(path) in str(told) and "\n" not in str(told)
