"""LPIPS, FID and KID are what their papers say, of the files that a user has, and of no others."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import foreign
import jax
import numpy as np
import pytest
import tiny
from folders import laplace, manifest, nearest, numbered, strictly, truncated
from foreign import convolved, pooled, saved
from safetensors.numpy import save_file
from scipy.linalg import sqrtm
from scipy.ndimage import map_coordinates

from ce_jax import batch, distributions, feature_files, images, perceptual, sharding
from ce_jax.batch import inpaint
from ce_jax.claims import OutputError
from ce_jax.config import Entry, Perceptual, Table
from ce_jax.feature_files import FeatureFileError
from ce_jax.models import inception
from ce_jax.models import lpips as lpips_network
from ce_jax.models.pretrained import with_weights
from ce_jax.tables import tabulate

RANDOM = np.random.default_rng(0)


def pictures(count, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files of an AlexNet, a VGG16 and an Inception, each of few channels."""
    folder = tmp_path_factory.mktemp("weights")
    return {
        name: saved(folder / f"{name}.npz", getattr(foreign, name)())
        for name in ("alex", "vgg", "inception_v3")
    }


# LPIPS


def slices_by_hand(arrays, x):
    """Activations of one image: relu1..5 of AlexNet, relu1_2..5_3 of VGG16."""

    def convolution(x, name, **options):
        return convolved(x, arrays[f"{name}.weight"], arrays[f"{name}.bias"], **options)

    largest = partial(pooled, reduce=np.max, stride=2)
    if "net.slice1.2.weight" not in arrays:
        one = convolution(x, "net.slice1.0", stride=4, padding=2)
        two = convolution(largest(one, side=3), "net.slice2.3", padding=2)
        three = convolution(largest(two, side=3), "net.slice3.6", padding=1)
        four = convolution(three, "net.slice4.8", padding=1)
        return one, two, three, four, convolution(four, "net.slice5.10", padding=1)
    slices = []
    names = [name.removesuffix(".weight") for name in arrays if name.endswith(".weight")]
    for number in range(1, 6):
        x = largest(x, side=2) if number > 1 else x
        for name in (name for name in names if name.startswith(f"net.slice{number}.")):
            x = convolution(x, name, padding=1)
        slices.append(x)
    return slices


def lpips_by_hand(arrays, first, second):
    def seen(picture):
        return (picture / 127.5 - 1 - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]

    total = 0
    both = (slices_by_hand(arrays, seen(picture)) for picture in (first, second))
    for number, pair in enumerate(zip(*both, strict=True)):
        one, other = (x / (np.sqrt((x**2).sum(-1, keepdims=True)) + 1e-10) for x in pair)
        head = arrays[f"lin{number}.model.1.weight"].ravel()
        total += ((one - other) ** 2 @ head).mean()
    return total


@pytest.mark.parametrize(("network", "count"), [("alex", 5), ("vgg", 13)])
def test_lpips_is_what_it_is_by_hand(tmp_path, weights, network, count):
    arrays = dict(np.load(weights[network]))
    save_file(arrays, tmp_path / "same.safetensors")
    read = feature_files.lpips(Path(weights[network]))
    assert len(read.convolutions) == count
    first, second = pictures(2), pictures(2, seed=1)
    with tiny.quickly():
        distance = jax.jit(lpips_network.distance)
    found = distance(read, images.to_float(first), images.to_float(second))
    slow = [lpips_by_hand(arrays, *pair) for pair in zip(first, second, strict=True)]
    assert min(slow) > 1e-3
    np.testing.assert_allclose(found, slow, rtol=1e-4)
    again = feature_files.lpips(tmp_path / "same.safetensors")
    assert jax.tree.all(jax.tree.map(np.array_equal, read, again))


def test_lpips_takes_the_constants_of_its_file(tmp_path):
    arrays = foreign.alex()
    published = feature_files.lpips(Path(saved(tmp_path / "a.npz", arrays)))
    constants = {"shift": [[[[0.5]], [[0.25]], [[0]]]], "scale": [[[[1]], [[2]], [[4]]]]}
    for name, value in constants.items():
        arrays[f"scaling_layer.{name}"] = np.array(value, np.float32)
    own = feature_files.lpips(Path(saved(tmp_path / "b.npz", arrays)))
    assert np.allclose(published.scale, [0.458, 0.448, 0.450])
    assert (own.shift.tolist(), own.scale.tolist()) == ([0.5, 0.25, 0], [1, 2, 4])


def test_what_is_measured_depends_on_no_other_image_and_on_no_number_of_devices(weights):
    first, second = pictures(11), pictures(11, seed=1)
    second[3] = first[3]
    found = []
    for devices, size in ((8, 8), (1, 4)):
        mesh = sharding.make_mesh(jax.devices()[:devices])
        with tiny.quickly():
            perception = perceptual.load(Perceptual(lpips=weights["alex"]), mesh, batch_size=size)
        assert perception.describe is None
        assert perception.compare is not None
        found.append(perception.compare(first, second))
        np.testing.assert_allclose(perception.compare(first[5:6], second[5:6]), found[-1][5:6])
    assert found[0].shape == (11,)
    assert found[0][3] < 1e-10 < 1e-3 < np.delete(found[0], 3).min()
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-10)


# Inception


class Blocks:
    """The blocks of Inception by hand, with BatchNorm as it stands in the file."""

    def __init__(self, arrays):
        self.arrays = arrays

    def convolution(self, name, x, **options):
        kernel, weight, bias, mean, variance = (
            self.arrays[f"{name}.{part}"].astype(float)
            for part in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
        )
        scale = weight / np.sqrt(variance + 0.001)
        kernel = kernel * scale.reshape(-1, 1, 1, 1)
        if "padding" not in options and "stride" not in options:
            options["padding"] = tuple(side // 2 for side in kernel.shape[2:])
        return convolved(x, kernel, bias - mean * scale, **options)

    def branch(self, block, x, *names, last_stride=1):
        for name in names[:-1]:
            x = self.convolution(f"{block}.{name}", x)
        options = {"stride": 2} if last_stride == 2 else {}
        return self.convolution(f"{block}.{names[-1]}", x, **options)


MEAN = partial(pooled, reduce=np.mean, side=3, stride=1, padding=1)
LARGEST = partial(pooled, reduce=np.max, side=3, stride=1, padding=1)
HALVED = partial(pooled, reduce=np.max, side=3, stride=2)
TWICE_3 = [f"branch3x3dbl_{i}" for i in (1, 2, 3)]
TWICE_7 = [f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5)]


def block_by_hand(kind, block, by, x):
    if kind == "a":
        return [
            by.branch(block, x, "branch1x1"),
            by.branch(block, x, "branch5x5_1", "branch5x5_2"),
            by.branch(block, x, *TWICE_3),
            by.branch(block, MEAN(x), "branch_pool"),
        ]
    if kind == "b":
        return [
            by.branch(block, x, "branch3x3", last_stride=2),
            by.branch(block, x, *TWICE_3, last_stride=2),
            HALVED(x),
        ]
    if kind == "c":
        return [
            by.branch(block, x, "branch1x1"),
            by.branch(block, x, "branch7x7_1", "branch7x7_2", "branch7x7_3"),
            by.branch(block, x, *TWICE_7),
            by.branch(block, MEAN(x), "branch_pool"),
        ]
    if kind == "d":
        return [
            by.branch(block, x, "branch3x3_1", "branch3x3_2", last_stride=2),
            by.branch(block, x, *(f"branch7x7x3_{i}" for i in (1, 2, 3, 4)), last_stride=2),
            HALVED(x),
        ]
    pool = MEAN if block == "Mixed_7b" else LARGEST
    return [
        by.branch(block, x, "branch1x1"),
        by.branch(block, x, "branch3x3_1", "branch3x3_2a"),
        by.branch(block, x, "branch3x3_1", "branch3x3_2b"),
        by.branch(block, x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a"),
        by.branch(block, x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3b"),
        by.branch(block, pool(x), "branch_pool"),
    ]


@pytest.mark.parametrize(
    ("kind", "block"),
    [
        ("a", "Mixed_5b"),
        ("b", "Mixed_6a"),
        ("c", "Mixed_6c"),
        ("d", "Mixed_7a"),
        ("e", "Mixed_7b"),
        ("e", "Mixed_7c"),
    ],
)
def test_a_block_of_inception_is_what_it_is_by_hand(weights, kind, block):
    arrays = dict(np.load(weights["inception_v3"]))
    convolve = with_weights(feature_files.inception_v3(Path(weights["inception_v3"])))
    entrance = {"b": "branch3x3", "d": "branch3x3_1"}.get(kind, "branch1x1")
    channels = arrays[f"{block}.{entrance}.conv.weight"].shape[1]
    x = RANDOM.normal(size=(2, 9, 9, channels)).astype(np.float32)
    if kind == "e":
        pool = {"Mixed_7b": MEAN, "Mixed_7c": LARGEST}[block]
        other = np.stack([pool(one) for one in x]).astype(np.float32)
        arguments = x, other
    else:
        arguments = (x,)
    with tiny.quickly():
        compiled = jax.jit(partial(getattr(inception, f"block_{kind}"), convolve, block))
    found = compiled(*arguments)
    slow = [np.concatenate(block_by_hand(kind, block, Blocks(arrays), one), -1) for one in x]
    assert np.max(slow) > 0
    np.testing.assert_allclose(found, slow, rtol=1e-4, atol=1e-5)


def test_the_last_block_takes_the_largest_where_the_one_before_takes_the_mean():
    seen = {}

    def convolve(name, x, side=3, *, stride=1, padding="SAME"):
        """Hands on what it is given, where it is wanted in that size."""
        seen[name] = x
        return x[:, :-2:stride, :-2:stride, :1] if padding == "VALID" else x[..., :1]

    with tiny.quickly():
        trace = jax.jit(lambda x: (inception.pool3(convolve, x), dict(seen)))
    x = RANDOM.normal(size=(1, 139, 139, 1)).astype(np.float32)
    pool3, seen = trace(x)
    assert pool3.shape == (1, 6)
    for block, pool in (("Mixed_7b", MEAN), ("Mixed_7c", LARGEST)):
        slow = pool(np.asarray(seen[f"{block}.branch1x1"][0]))
        assert len(slow) > 2
        np.testing.assert_allclose(seen[f"{block}.branch_pool"][0], slow, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [32, 350])
def test_images_are_resized_between_the_middles_of_their_pixels(size):
    image = RANDOM.uniform(-1, 1, (1, size, size, 1)).astype(np.float32)
    place = np.clip((np.arange(299) + 0.5) * size / 299 - 0.5, 0, size - 1)
    slow = map_coordinates(image[0, ..., 0], np.meshgrid(place, place, indexing="ij"), order=1)
    np.testing.assert_allclose(inception.resized(image)[0, ..., 0], slow, atol=1e-4)


def test_inception_has_as_many_convolutions_as_that_of_its_file(weights):
    assert len(feature_files.inception_v3(Path(weights["inception_v3"]))) == 94


# Files


def spoilt(name, change):
    """Arrays with one of them taken away, or changed."""

    def spoil(arrays):
        if change is None:
            del arrays[name]
        else:
            arrays[name] = change(arrays[name])

    return spoil


@pytest.mark.parametrize(
    ("kind", "name", "change", "complaint"),
    [
        (
            "alex",
            "net.slice2.3.weight",
            None,
            "has no net.slice2.3.weight; expected LPIPS with the",
        ),
        ("alex", "lin4.model.1.weight", None, "has no lin4.model.1.weight"),
        ("alex", "net.slice1.0.weight", lambda a: a[..., 1:], r"is \[1, 3, 11, 10\]; LPIPS has \["),
        ("alex", "lin0.model.1.weight", lambda a: a[0], r"LPIPS has \[1, 1, 1, 1\] there"),
        ("alex", "net.slice1.0.bias", lambda a: a * np.nan, "must hold finite floating-point"),
        ("alex", "net.slice1.0.bias", lambda a: a.astype(int), "must hold finite floating-point"),
        ("alex", "net.slice1.0.bias", lambda a: a.astype(object), "cannot be read"),
        ("vgg", "net.slice5.28.bias", None, "has no net.slice5.28.bias"),
        ("vgg", "net.slice3.12.weight", lambda a: a[:, :0], r"\[out, \d, 3, 3\] there"),
        ("inception_v3", "Mixed_6c.branch7x7_2.conv.weight", None, "expected Inception v3 with"),
        (
            "inception_v3",
            "Mixed_6c.branch7x7_2.conv.weight",
            lambda a: a.swapaxes(2, 3),
            r", 7, 1\]; Inception v3 has \[out, \d, 1, 7\] there",
        ),
        (
            "inception_v3",
            "Mixed_7c.branch1x1.bn.running_mean",
            None,
            "has no Mixed_7c.branch1x1.bn",
        ),
        ("inception_v3", "Mixed_5b.branch1x1.bn.bias", lambda a: a * np.inf, "must hold finite"),
        ("inception_v3", "Mixed_5b.branch1x1.bn.running_var", lambda a: -a, "not be negative"),
    ],
)
def test_a_file_that_is_something_else_is_refused_in_one_line(
    tmp_path, weights, kind, name, change, complaint
):
    arrays = dict(np.load(weights[kind]))
    spoilt(name, change)(arrays)
    path = Path(saved(tmp_path / "spoilt.npz", arrays))
    read = feature_files.inception_v3 if kind == "inception_v3" else feature_files.lpips
    with pytest.raises(FeatureFileError, match=complaint) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [feature_files.lpips, feature_files.inception_v3])
def test_a_file_that_is_missing_or_a_pickle_is_named(tmp_path, read):
    path = tmp_path / "weights.npz"
    with pytest.raises(FeatureFileError, match=r"weights.npz is not there; name the file"):
        read(path)
    path.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(FeatureFileError, match=r"weights.npz cannot be read"):
        read(path)


# FID and KID


def features(count, width, seed):
    random = np.random.default_rng(seed)
    return random.normal(random.normal(size=width), 1, (count, width)) @ random.normal(
        size=(width, width)
    )


def test_fid_is_the_distance_of_two_normal_distributions():
    first, second = features(40, 6, 0), features(50, 6, 1)
    one, other = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    apart = ((first.mean(0) - second.mean(0)) ** 2).sum()
    slow = apart + np.trace(one + other - 2 * np.real(sqrtm(one @ other)))
    assert distributions.frechet_distance(first, second) == pytest.approx(slow, rel=1e-10)


def test_fid_of_fewer_images_than_features_is_that_of_what_they_span():
    """Five images in twenty dimensions, turned out of the five that they need."""
    first, second = features(5, 5, 0), features(5, 5, 1)
    turn = np.linalg.qr(features(20, 20, 2)).Q[:5]
    turned = distributions.frechet_distance(first @ turn, second @ turn)
    assert turned == pytest.approx(distributions.frechet_distance(first, second), rel=1e-10)
    assert distributions.frechet_distance(first, first) == pytest.approx(0, abs=1e-10)
    moved = distributions.frechet_distance(first, first + 3)
    assert moved == pytest.approx(5 * 3**2, rel=1e-10)


def test_kid_is_the_mean_over_all_pairs():
    first, second = features(7, 3, 0), features(9, 3, 1)

    def kernel(x, y):
        return (x @ y / 3 + 1) ** 3

    def among(x):
        pairs = [(a, b) for a in range(len(x)) for b in range(len(x)) if a != b]
        return sum(kernel(x[a], x[b]) for a, b in pairs) / len(pairs)

    across = np.mean([kernel(a, b) for a in first for b in second])
    found, deviation = distributions.kernel_distance(first, second)
    assert found == pytest.approx(among(first) + among(second) - 2 * across, rel=1e-10)
    assert np.isnan(deviation)  # all images are one subset


def test_kid_of_subsets_varies_about_that_of_all_and_follows_its_seed():
    first, second = features(60, 3, 0), features(60, 3, 1)
    whole, _ = distributions.kernel_distance(first, second)
    draw = partial(distributions.kernel_distance, first, second, subsets=50, size=40)
    mean, deviation = draw()
    assert abs(mean - whole) < deviation
    assert draw() == (mean, deviation)
    assert draw(seed=1) != (mean, deviation)


def test_few_images_are_said_to_be_few(monkeypatch):
    found, remark = distributions.figures(np.zeros((1, 3)), np.zeros((1, 3)))
    assert all(np.isnan(one.mean) and one.n == 1 for one in found.values())
    assert remark == ("FID and KID need at least 2 completed images with a known truth; here are 1")
    found, remark = distributions.figures(features(9, 3, 0), features(9, 3, 1))
    assert [one.n for one in found.values()] == [9, 9]
    assert "FID of 9 images is biased" in remark
    monkeypatch.setattr(distributions, "kernel_distance", lambda *_: (0.5, 0.25))
    found, remark = distributions.figures(features(2048, 2, 0), features(2048, 2, 1))
    assert found["set/kid"] == (0.5, 0.25, 0.75, 2048)
    assert remark == ""


# A whole run


@pytest.fixture
def source(tmp_path):
    """Five photographs, one of which is broken."""
    folder = numbered(tmp_path / "in", 5)
    truncated(tmp_path / "in" / "05.jpg")
    return folder


def told(output):
    return strictly((output / "metrics.json").read_text())


def test_a_run_measures_what_it_wrote_and_does_so_once(tmp_path, weights, source, monkeypatch):
    output, asked = tmp_path / "out", Perceptual(lpips=weights["alex"])
    config = laplace(source, output, perceptual=asked)
    with tiny.quickly():
        inpaint(config)
        records = [one for one in manifest(output).values() if one["status"] == "done"]
        assert "set/fid" not in told(output)["figures"]["laplace"]
        both = replace(asked, inception=weights["inception_v3"])
        before = (output / "manifest.jsonl").read_bytes()
        inpaint(replace(config, perceptual=both))  # what is done is done, and now measured
        again = (output / "manifest.jsonl").read_bytes()
        assert again.startswith(before)
        assert again.count(b'"done"') == before.count(b'"done"') == 5
        perception = perceptual.load(both, sharding.make_mesh(), batch_size=8)

    names = [record["name"] for record in records]
    completions = np.stack([images.read(output / "images" / f"{name}.png") for name in names])
    truths = np.stack(
        [
            images.frame(images.read(tmp_path / "in" / f"{name}.png"), size=32, shorter_side=36)
            for name in names
        ]
    )
    assert perception.compare is not None
    assert perception.describe is not None
    distances = perception.compare(completions, truths)
    lpips = [record["figures"]["laplace"]["image/lpips"] for record in records]
    np.testing.assert_allclose(lpips, distances, atol=1e-5)
    assert min(lpips) > 1e-3
    found, remark = distributions.figures(*map(perception.describe, (completions, truths)))
    summary = told(output)
    figures = summary["figures"]["laplace"]
    assert figures["image/lpips"]["mean"] == pytest.approx(np.mean(lpips))
    assert figures["set/fid"]["mean"] == pytest.approx(found["set/fid"].mean, rel=1e-3)
    assert figures["set/kid"]["mean"] == pytest.approx(found["set/kid"].mean, rel=1e-3, abs=1e-6)
    assert (figures["set/fid"]["low"], figures["set/fid"]["n"]) == (None, 5)
    assert summary["remarks"] == {"laplace": remark}
    for kind, path in (("LPIPS", weights["alex"]), ("FID and KID", weights["inception_v3"])):
        assert f"{path}, sha256 {feature_files.digest(Path(path))}" in summary["facts"][kind]
    page = (output / "report.html").read_text()
    for shown in ("LPIPS", "FID", "KID", "FID of 5 images is biased", "over the set"):
        assert shown in page

    monkeypatch.setattr(batch, "measure_set", None)  # not asked again
    with tiny.quickly():
        inpaint(replace(config, perceptual=both))
    assert told(output)["figures"] == summary["figures"]


def test_both_rows_have_lpips_and_other_weights_are_another_run(tmp_path, weights, source):
    output = tmp_path / "out"
    config = nearest(source, output, source, perceptual=Perceptual(lpips=weights["alex"]))
    with tiny.quickly():
        inpaint(config)
        for method in ("nearest", "laplace"):
            assert told(output)["figures"][method]["image/lpips"]["n"] == 5
        others = saved(tmp_path / "others.npz", foreign.alex(seed=1))
        with pytest.raises(OutputError, match=r"another lpips .*--overwrite"):
            inpaint(replace(config, perceptual=Perceptual(lpips=others)))
        moved = tmp_path / "moved.npz"
        moved.write_bytes(Path(weights["alex"]).read_bytes())
        inpaint(replace(config, perceptual=Perceptual(lpips=str(moved))))


def test_without_a_truth_there_is_a_reason_in_the_place_of_figures(tmp_path, weights, source):
    hole = tmp_path / "hole.png"
    images.write_png(hole, np.full((40, 50, 3), 255, np.uint8))
    asked = Perceptual(inception=weights["inception_v3"])
    config = laplace(source, tmp_path / "out", holes=str(hole), perceptual=asked)
    with tiny.quickly():
        inpaint(config)
    summary = told(tmp_path / "out")
    assert summary["figures"]["laplace"]["set/fid"] == dict.fromkeys(("mean", "low", "high")) | {
        "n": 0
    }
    assert "here are 0" in summary["remarks"]["laplace"]
    assert "here are 0" in (tmp_path / "out" / "report.html").read_text()


def test_a_file_that_cannot_be_read_ends_a_run_before_it_begins(tmp_path, source):
    asked = Perceptual(lpips=str(tmp_path / "none.npz"))
    with pytest.raises(FeatureFileError, match=r"none.npz is not there"):
        inpaint(laplace(source, tmp_path / "out", perceptual=asked))
    assert not (tmp_path / "out").exists()


def test_a_table_asks_for_them_in_every_cell(tmp_path, weights, source):
    entry = Entry(data="noise", method="Laplace", inpainting=laplace(source, "-"))
    table = Table(
        entries=(entry,),
        holes=("center", "random:0.5"),
        output=str(tmp_path / "table"),
        perceptual=Perceptual(lpips=weights["alex"], inception=weights["inception_v3"]),
    )
    with tiny.quickly():
        tabulate(table)
    written = Path(table.output)
    cells = json.loads((written / "table.json").read_text())["cells"]
    assert [cell["figures"]["set/fid"]["n"] for cell in cells] == [5, 5]
    assert all("FID of 5 images is biased" in cell["note"] for cell in cells)
    text = (written / "table.md").read_text()
    assert text.count("| image LPIPS | set FID | set KID | s / image |") == 2
    head, first, _ = (written / "table.csv").read_text().splitlines()
    row = dict(zip(head.split(","), first.split(","), strict=False))
    assert float(row["image/lpips/low"]) <= float(row["image/lpips"])
    assert (float(row["set/fid"]) > 0, row["set/fid/low"]) == (True, "")
    page = (written / "report.html").read_text()
    assert page.count('data-column="set/fid"') == 4  # a head and a line in each table
