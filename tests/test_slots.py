"""An image that has come to an end makes room for the next one, and nobody notices."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import tiny
import untrained
from folders import contents, latent, manifest, photographs

from ce_jax import sharding
from ce_jax.batch import inpaint
from ce_jax.completion import methods
from ce_jax.config import Inpainting, LatentSearch
from ce_jax.holes import HoleKind
from ce_jax.holes.hole_sets import HoleSet
from ce_jax.inpainting import loop
from ce_jax.inpainting.pairing import Picture

SEARCH = LatentSearch(steps=150, rate=0.05, patience=6, tolerance=0.005)
CONFIG = Inpainting(model="a run", latent=SEARCH, batch_size=8)
GUIDE = untrained.networks(tiny.context_encoder_alone())
TRAINED = untrained.networks(tiny.dcgan())._replace(guide=GUIDE)
HOLES = HoleSet(HoleKind("center"), 0)


def pictures(count):
    random = np.random.default_rng(0)
    shape = (count, 32, 32, 3)
    return [
        Picture(f"{number:02}", image, None, None, {})
        for number, image in enumerate(random.integers(0, 256, shape, np.uint8))
    ]


def groups(some):
    return iter([some[first : first + 8] for first in range(0, len(some), 8)])


@pytest.fixture(scope="module")
def slots():
    with tiny.quickly(tiny.EXACTLY):
        mesh = sharding.make_mesh(jax.devices()[:1])
        return methods.build_slots(CONFIG, TRAINED, mesh)


def found(slots, some):
    """By name: proposal, score, steps and hole; and how many there were at a time."""
    ask = jax.tree_util.Partial(loop.ask, CONFIG, HOLES, 32)
    each, sizes = {}, []
    for batch in loop.in_slots(slots, groups(some), ask=ask, count=8):
        sizes.append(len(batch.pictures))
        proposal, score, steps, *_ = batch.found
        for number, picture in enumerate(batch.pictures):
            assert picture.name not in each
            each[picture.name] = [
                np.asarray(array[number]) for array in (proposal, score, steps, batch.hole)
            ]
    return each, sizes


@pytest.fixture(scope="module")
def thirty(slots):
    return found(slots, pictures(30))


def test_every_image_comes_out_once_with_what_it_found_alone(slots, thirty):
    """To the last bit, whatever slot it had and whoever was in the others."""
    each, sizes = thirty
    assert sorted(each) == [picture.name for picture in pictures(30)]
    assert len(sizes) > 4
    assert max(sizes) <= 8
    for number in (0, 7, 13, 29):
        alone, _ = found(slots, [pictures(30)[number]])
        for one, other in zip(alone[f"{number:02}"], each[f"{number:02}"], strict=True):
            assert np.array_equal(one, other)


def test_what_stands_in_the_hole_changes_no_bit(slots, thirty):
    tampered = pictures(9)
    for picture in tampered:
        picture.image[8:24, 8:24] = 255 - picture.image[8:24, 8:24]
    for name, each in found(slots, tampered)[0].items():
        for one, other in zip(each, thirty[0][name], strict=True):
            assert np.array_equal(one, other)


def test_images_take_as_many_steps_as_they_need(thirty):
    steps = [int(taken) for _, _, taken, _ in thirty[0].values()]
    assert len(set(steps)) > 5
    assert min(steps) > SEARCH.patience
    assert max(steps) <= SEARCH.steps


def test_they_find_what_a_whole_batch_finds_that_waits_for_the_last(thirty):
    complete = methods.build(CONFIG, TRAINED, sharding.make_mesh(jax.devices()[:1]))
    some = pictures(30)[8:16]
    _, (images, hole, key) = loop.ask(CONFIG, HOLES, 32, some)
    together = complete(images, hole, key)
    for number, picture in enumerate(some):
        proposal, score, steps, missing = thirty[0][picture.name]
        assert np.array_equal(missing, hole[number])
        assert steps == together.steps[number]
        assert score == pytest.approx(float(together.score[number]), rel=1e-4)
        np.testing.assert_allclose(proposal, together.proposal[number], atol=1e-3)


def test_slots_are_compiled_once(slots, thirty):
    counts = [slots.refill._cache_size()]
    counts += [part.func._cache_size() for part in (slots.begin, slots.advance, slots.conclude)]
    assert counts == [1, 1, 1, 1]


def test_the_command_fills_slots_and_resumes_to_the_same_bytes(tmp_path, slots, monkeypatch):
    monkeypatch.setattr(methods, "build_slots", lambda *_: slots)
    model = untrained.workdir(tmp_path / "dcgan", tiny.dcgan())
    source = photographs(tmp_path / "in", *(f"{number:02}" for number in range(12)))
    config = replace(latent(source, tmp_path / "once", model), latent=SEARCH)
    twice = replace(config, output=str(tmp_path / "twice"))
    asked = iter([True])
    assert inpaint(config) == (12, 0, 12, False)
    inpaint(twice, stopped=lambda: next(asked, False))
    assert inpaint(twice) == (12, 0, 12, False)
    once, other = (
        {name: pixels for name, (pixels, _) in contents(tmp_path / run / "images").items()}
        for run in ("once", "twice")
    )
    assert once == other
    steps = {record["steps"] for record in manifest(tmp_path / "once").values()}
    assert len(steps) > 3
