import os
import pickle
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
import scipy.io
import tiny
import untrained
from folders import levels, solid
from PIL import Image
from processes import python

from ce_jax import images
from ce_jax.images import UnreadableImage, write_png
from ce_jax.sources import SourceError, open_source
from ce_jax.state import apply
from ce_jax.systems.dcgan import draw_latent, modules


def _folder(tmp_path, *names):
    """A folder of pictures whose level is their place among the names."""
    for level, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(solid(level)).save(path)
    return f"folder:{tmp_path}"


def test_a_folder_is_read_with_its_sub_folders_in_order(tmp_path):
    source = open_source(_folder(tmp_path, "a/2.png", "a/10.png", "b.BMP", "c d.TiFf", "é.ppm"))
    assert list(source.names) == ["a/10", "a/2", "b", "c d", "é"]
    assert levels(source) == [1, 0, 2, 3, 4]
    assert source[0].shape == (4, 6, 3)
    assert source[0].dtype == np.uint8


def test_every_promised_kind_of_file_is_found(tmp_path):
    kinds = (*images.ENDINGS, ".JPG", ".Png")
    assert {".jfif", ".jpe", ".pbm"} < set(kinds)
    source = open_source(_folder(tmp_path, *(f"{n}{kind}" for n, kind in enumerate(kinds))))
    assert len(source) == len(kinds)
    assert all(source[index].shape == (4, 6, 3) for index in range(len(source)))


def test_hidden_files_and_other_files_are_ignored(tmp_path):
    spec = _folder(tmp_path, "a.png", ".b.png", ".hidden/c.png")
    (tmp_path / "notes.txt").write_text("no picture")
    assert list(open_source(spec).names) == ["a"]


def test_names_stay_unique_even_where_case_is_ignored(tmp_path):
    source = open_source(
        _folder(tmp_path, "a.jpg", "a.png", "a.jpg.png", "b.png", "B.jpg", "x.y.png", "c/b.png")
    )
    names = dict(zip(source.names, levels(source), strict=True))
    assert names == {
        "a.jpg": 0,
        "a.png": 1,
        "a.jpg-2": 2,
        "b.png": 3,
        "B.jpg": 4,
        "x.y": 5,
        "c/b": 6,
    }
    assert len({name.casefold() for name in names}) == 7


def test_equal_names_in_other_case_are_counted(tmp_path):
    if (tmp_path / "a.png").touch() or (tmp_path / "A.png").exists():
        pytest.skip("this file system ignores case")
    source = open_source(_folder(tmp_path, "a.png", "A.png", "D/b.png", "d/b.png"))
    assert list(source.names) == ["A.png", "D/b.png", "a.png-2", "d/b.png-2"]


def test_odd_letters_of_file_names_do_not_reach_the_outputs(tmp_path):
    spec = _folder(tmp_path, "line\nbreak.png", os.fsdecode(b"caf\xe9.png"))
    assert list(open_source(spec).names) == ["caf_", "line_break"]


def test_links_are_followed_but_never_in_circles(tmp_path):
    _folder(tmp_path, "faces/a.png", "more/b.png")
    (tmp_path / "faces" / "up").symlink_to(tmp_path)
    (tmp_path / "faces" / "more").symlink_to(tmp_path / "more")
    (tmp_path / "faces" / "self").symlink_to("self")
    source = open_source(f"folder:{tmp_path / 'faces'}")
    assert "a" in source.names
    assert "more/b" in source.names
    assert len(source) == len(set(source.names)) < 10


def test_a_bad_file_fails_alone_and_by_name(tmp_path):
    spec = _folder(tmp_path, "a.png", "b.png")
    (tmp_path / "b.png").write_bytes(b"not a picture")
    source = open_source(spec)
    assert source[0].shape == (4, 6, 3)
    with pytest.raises(UnreadableImage, match=r"b\.png: not an image"):
        source[1]


@pytest.mark.parametrize(
    "part, expected",
    [("[:2]", [0, 1]), ("[3:]", [3, 4]), ("[1:3]", [1, 2]), ("[-2:]", [3, 4]), ("[:]", range(5))],
)
def test_a_slice_takes_a_part_under_the_names_of_the_whole(tmp_path, part, expected):
    whole = _folder(tmp_path, *(f"{letter}.png" for letter in "abcde"))
    source = open_source(whole + part)
    assert levels(source) == list(expected)
    assert list(source.names) == ["abcde"[level] for level in expected]
    assert len(source) == len(expected)
    with pytest.raises(IndexError):
        source[len(expected)]


@pytest.mark.parametrize("part", ["[5:]", "[3:2]", "[:0]"])
def test_an_empty_slice_is_refused(tmp_path, part):
    whole = _folder(tmp_path, *(f"{letter}.png" for letter in "abcde"))
    with pytest.raises(SourceError, match=r"is empty: folder:.* has 5 images"):
        open_source(whole + part)


def test_matlab_files_are_read_in_the_layout_of_svhn(tmp_path):
    stack = np.random.default_rng(0).integers(0, 256, (8, 9, 3, 5), np.uint8)
    scipy.io.savemat(tmp_path / "train.mat", {"X": stack, "y": np.arange(5)})
    source = open_source(f"mat:{tmp_path / 'train.mat'}[1:]")
    assert list(source.names) == ["000001", "000002", "000003", "000004"]
    np.testing.assert_array_equal(source[2], stack[..., 3])


@pytest.mark.parametrize(
    "variables, reason",
    [
        ({"y": np.arange(5)}, "no variable X"),
        ({"X": np.zeros((8, 8, 3, 2))}, r"X is float64 \(8, 8, 3, 2\); expected uint8"),
        ({"X": np.zeros((2, 8, 8, 3), np.uint8)}, r"X is uint8 \(2, 8, 8, 3\); expected"),
        ({"X": np.zeros((8, 0, 3, 2), np.uint8)}, "its images have no pixels"),
    ],
)
def test_matlab_files_of_another_layout_are_refused(tmp_path, variables, reason):
    scipy.io.savemat(tmp_path / "other.mat", variables)
    with pytest.raises(SourceError, match=reason):
        open_source(f"mat:{tmp_path / 'other.mat'}")


def test_npz_archives_give_colour_and_grey(tmp_path):
    stack = np.random.default_rng(0).integers(0, 256, (5, 8, 9, 3), np.uint8)
    np.savez(tmp_path / "colour.npz", images=stack, labels=np.arange(5))
    np.savez_compressed(tmp_path / "grey.npz", digits=stack[..., 0])
    colour, grey = (open_source(f"npz:{tmp_path / name}.npz") for name in ("colour", "grey"))
    np.testing.assert_array_equal(colour[4], stack[4])
    np.testing.assert_array_equal(grey[4], stack[4, :, :, :1].repeat(3, axis=-1))


@pytest.mark.parametrize(
    "arrays, reason",
    [
        (
            {"a": np.zeros((2, 4, 4), np.uint8), "b": np.zeros(2)},
            "no array named images among a, b",
        ),
        ({"images": np.zeros((2, 4, 4, 3))}, "images is float64"),
        ({"images": np.zeros((2, 4, 4, 4), np.uint8)}, r"expected uint8 \[n, h, w, 3\]"),
        ({"images": np.array([{}], object)}, "allow_pickle=False"),
        ({"images": np.zeros((0, 4, 4), np.uint8)}, "has 0 images"),
        ({"images": np.zeros((3, 0, 0, 3), np.uint8)}, r"no pixels \(uint8 \(3, 0, 0, 3\)\)$"),
        ({"images": np.zeros((3, 4, 0), np.uint8)}, "its images have no pixels"),
    ],
)
def test_npz_archives_of_another_layout_are_refused(tmp_path, arrays, reason):
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(SourceError, match=reason):
        open_source(f"npz:{tmp_path / 'other.npz'}")


@pytest.mark.parametrize("scheme", ["mat", "npz"])
def test_damaged_and_foreign_files_are_refused_in_one_line(tmp_path, scheme):
    path = tmp_path / "file"
    scipy.io.savemat(path, {"X": np.zeros((8, 8, 3, 50), np.uint8)}, appendmat=False)
    damaged = path.read_bytes()[:1000]
    for content in (damaged, b"", b"text", b"PK\x05\x06", pickle.dumps("pickle")):
        path.write_bytes(content)
        with pytest.raises(SourceError, match=rf"^'{scheme}:[^\n]*: not a readable [^\n]*$"):
            open_source(f"{scheme}:{path}")


def test_digits_reach_from_black_to_white():
    source = open_source("bundled:digits")
    assert len(source) == 1797
    first = source[0]
    assert first.shape == (8, 8, 3)
    assert (first.min(), first.max()) == (0, 239)
    assert max(source[index].max() for index in range(100)) == 255
    assert open_source("bundled:digits[1500:]").names[0] == "001500"


def test_bundled_photographs_come_without_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    source = open_source("bundled:photographs")
    assert list(source.names) == sorted(source.names)
    assert {"astronaut", "camera", "china", "flower"} <= set(source.names)
    pictures = [source[index] for index in range(len(source))]
    assert all(min(picture.shape[:2]) >= 300 and picture.std() > 10 for picture in pictures)
    grey = pictures[list(source.names).index("camera")]
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


@pytest.mark.parametrize(
    "spec, package, extra",
    [
        ("bundled:digits", "sklearn", "bundled"),
        ("bundled:photographs", "skimage", "bundled"),
        ("tfds:mnist", "tensorflow_datasets", "tfds"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, spec, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"{package}.datasets", raising=False)
    with pytest.raises(SourceError, match=rf"needs .*: pip install -e .*\[{extra}\]"):
        open_source(spec)


@pytest.mark.parametrize(
    "spec, reason",
    [
        ("faces", "names no kind of source; for images in it: folder:faces"),
        ("foldr:faces", r"unknown source 'foldr' \(meant: folder\?\); known are folder, mat, npz"),
        ("bundled:digit", r"nothing bundled is called 'digit' \(meant: digits\?\)"),
        ("folder:absent", "'absent' is not a folder"),
        ("folder:", "'' is not a folder"),
        ("mat:absent.mat", "there is no file absent.mat"),
        ("npz:absent.npz", "there is no file absent.npz"),
    ],
)
def test_a_source_that_is_not_there_is_refused(tmp_path, monkeypatch, spec, reason):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=reason):
        open_source(spec)


def test_a_folder_without_images_says_what_it_holds(tmp_path):
    with pytest.raises(SourceError, match=r"no images \(\.png \.jpg .*it holds no files"):
        open_source(f"folder:{tmp_path}")
    for name in "fedcba":
        (tmp_path / f"{name}.txt").touch()
    with pytest.raises(SourceError, match=r"of 6 files the first are: a.txt, .*, e.txt$"):
        open_source(f"folder:{tmp_path}")


def test_a_source_describes_itself_alike_in_every_process(tmp_path):
    spec = _folder(tmp_path, "a.png", "b.png", "c.png") + "[:2]"
    code = "import sys; from ce_jax.sources import open_source; print(open_source(sys.argv[1]))"
    assert python(code, spec).strip() == repr(open_source(spec)) == f"<2 images of {spec!r}>"


def test_a_source_can_be_read_by_many_threads_and_sent_to_processes(tmp_path):
    source = open_source(_folder(tmp_path, *(f"{number:02d}.png" for number in range(32))))
    with ThreadPoolExecutor(8) as threads:
        pictures = list(threads.map(source.__getitem__, range(32)))
    assert [int(picture.max()) for picture in pictures] == list(range(32))
    assert levels(pickle.loads(pickle.dumps(source))) == list(range(32))


def test_written_pictures_are_read_back_under_their_names(tmp_path):
    source = open_source(_folder(tmp_path / "in", "a.png", "b/a.bmp", "b/a.jpg"))
    for index, name in enumerate(source.names):
        write_png(tmp_path / "out" / f"{name}.png", source[index])
    back = open_source(f"folder:{tmp_path / 'out'}")
    assert list(back.names) == list(source.names)
    assert levels(back) == levels(source)


@pytest.mark.slow
def test_samples_are_what_the_generator_draws_from_numbers_of_their_own(tmp_path):
    trained, work = untrained.networks(tiny.dcgan()), untrained.workdir(tmp_path, tiny.dcgan())
    source = open_source(f"samples:{work}[:100]")
    assert len(source) == 100
    generator, _ = modules(trained.config.model, size=32)
    key = jax.random.split(jax.random.key(0), 256)[40:44]
    z = draw_latent(key, dimensions=trained.config.model.latent)
    expected = images.to_uint8(np.asarray(apply(generator, trained.generator, z)))
    found = np.stack([source[index] for index in range(40, 44)])
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert len({image.tobytes() for image in (source[i] for i in range(100))}) == 100


def test_what_draws_no_images_is_no_source_of_samples(tmp_path):
    with pytest.raises(SourceError, match="a ContextEncoder draws no images of its own"):
        open_source(f"samples:{untrained.workdir(tmp_path, tiny.context_encoder())}")
    with pytest.raises(SourceError, match="samples:nowhere"):
        open_source("samples:nowhere")
