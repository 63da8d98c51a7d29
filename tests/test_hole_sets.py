"""A named set is the same for everybody, or refuses to be drawn."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
from folders import contents, laplace, manifest, numbered
from PIL import Image

from ce_jax import holes
from ce_jax.batch import inpaint
from ce_jax.holes import hole_files, hole_sets, irregular
from ce_jax.holes.hole_sets import SETS, HoleSet


@pytest.fixture(autouse=True, scope="module")
def quickly():
    """The same holes, in programs that are compiled quickly; all bins of a size in the same one."""

    def strokes(key, first, last, *, size):
        paint = functools.partial(irregular.free_form, first=first, last=last, size=size)
        return jax.vmap(paint)(key)[..., np.newaxis]

    compiled = functools.partial(tiny.jit, static_argnames="size")
    strokes, other = compiled(strokes), compiled(holes.draw, static_argnums=0)

    def drawn(kind, key, *, size):
        if kind.name == "free-form":
            return strokes(key, *kind.parameter, size=size)
        return other(kind, key, size=size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hole_sets, "_draw", drawn)
        yield


@pytest.mark.parametrize("name", SETS)
def test_a_named_set_has_the_holes_that_its_hashes_promise(name):
    one = hole_files.resolve(f"set:{name}", seed=5)
    assert one == SETS[name] == hole_files.resolve(f"set:{name}", seed=6)
    assert isinstance(one, HoleSet)
    for size in one.hashes:
        one.check(size=size)


def test_all_sets_differ():
    hashes = [value for one in SETS.values() for value in one.hashes.values()]
    assert len(hashes) == len(set(hashes)) == 2 * len(SETS)


@pytest.mark.parametrize("name", SETS)
def test_the_documentation_has_the_same_hashes(name):
    words = f"set:{name}", str(SETS[name].kind), *SETS[name].hashes.values()
    row = " | ".join(f"`{word}`" for word in words)
    assert f"| {row} |" in (Path(__file__).parents[1] / "docs" / "holes.md").read_text()


@pytest.mark.parametrize("size", [32, 64, 128])
def test_a_set_that_comes_out_otherwise_is_refused(monkeypatch, size):
    def drifted(kind, key, *, size):
        hole = np.zeros((len(key), size, size, 1), bool)
        hole[:, 3:9, 3:9] = True
        return hole

    monkeypatch.setattr(hole_sets, "_draw", drifted)
    known = max(size, 64)
    with pytest.raises(
        holes.HoleError, match=rf"'set:yeh2017-half' .* \(at {known} .* jax "
    ) as error:
        SETS["yeh2017-half"].check(size=size)
    assert SETS["yeh2017-half"].hashes[known] in str(error.value)
    assert "\n" not in str(error.value)
    HoleSet(holes.parse("half"), 0).check(size=size)  # promises nothing


def test_a_hole_depends_on_the_seed_and_on_the_name_of_its_image_alone():
    random = holes.parse("random:0.5")
    some = HoleSet(random, 3).draw(["a", "b", "c"], size=16)
    np.testing.assert_array_equal(HoleSet(random, 3).draw(["b"], size=16)[0], some[1])
    others = HoleSet(random, 4).draw(["a", "b", "c"], size=16)
    assert len({hole.tobytes() for hole in (*some, *others)}) == 6


def test_holes_do_not_depend_on_which_random_numbers_are_usual():
    with jax.default_prng_impl("rbg"):
        SETS["yeh2017-random"].check(size=64)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("set:yeh2017-centre", r"no hole set 'yeh2017-centre'; did you mean set:yeh2017-center\?"),
        ("set:", "no hole set ''; sets are yeh2017-center, yeh2017-pattern"),
        ("free-from:20-30", r"did you mean free-form\? .*; sets are set:yeh2017-center"),
        ("free-form:30-20", r"'free-form:30-20': \(30, 20\) is not two whole per cents .* as in"),
    ],
)
def test_a_set_or_bin_that_does_not_exist_is_answered_with_those_that_do(spec, complaint):
    with pytest.raises(holes.HoleError, match=complaint):
        hole_files.resolve(spec, seed=0)


def facts(output):
    return json.loads((output / "metrics.json").read_text())["facts"]


def test_an_inpainting_of_a_set_is_one_of_its_files_whatever_its_seed(tmp_path):
    source = numbered(tmp_path / "in", 3)
    names = ["00", "01", "02"]
    one = SETS["free-form-20-30"]
    expected = hole_files.write(one, names, tmp_path / "holes", size=32)
    runs = {
        "set": {"holes": "set:free-form-20-30", "seed": 1},
        "files": {"holes": str(tmp_path / "holes"), "seed": 2, "truth": source},
    }
    figures = []
    for name, options in runs.items():
        assert inpaint(laplace(source, tmp_path / name, **options)).done == 3
        assert facts(tmp_path / name)["hole set"] == expected
        figures.append([one["figures"] for one in manifest(tmp_path / name).values()])
    assert figures[0] == figures[1] and all(figures[0])


def test_files_say_what_they_are(tmp_path):
    some = HoleSet(holes.parse("block:5"), 2)
    names = ["a", "sub/b"]
    expected = hole_files.write(some, names, tmp_path / "holes", size=16)
    said = json.loads((tmp_path / "holes" / "holes.json").read_text())
    assert said.pop("holes").keys() == set(names)
    assert said == {"set": None, "kind": "block:5", "seed": 2, "size": 16, "hash": expected}
    picture = np.asarray(Image.open(tmp_path / "holes" / "sub" / "b.png"))
    np.testing.assert_array_equal(picture[..., :1] == 255, some.draw(names, size=16)[1])
    assert set(np.unique(picture)) == {0, 255}
    before = contents(tmp_path)
    with pytest.raises(holes.HoleError, match="holes is not empty; choose a new folder"):
        hole_files.write(some, names, tmp_path / "holes", size=16)
    assert contents(tmp_path) == before
