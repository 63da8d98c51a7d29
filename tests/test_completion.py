"""Every method keeps the promises of its signature."""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained
from scipy.ndimage import binary_dilation
from searching import keys

from ce_jax import completion, holes, images, sharding
from ce_jax.completion import methods
from ce_jax.config import Beyond, ConfigError, Inpainting, LatentSearch, TotalVariation

BATCH, SIZE = 16, 32  # two images on each of the eight devices
SEARCH = LatentSearch(steps=5, rate=0.05)
SETTINGS = {
    "latent, several": replace(SEARCH, starts=3, choose="held-out", held_out=0.3, trail=3),
    "latent, vae": replace(SEARCH, start="pool", pool=512),
    "latent, encoder": replace(SEARCH, start="encoder", beyond=Beyond(steps=2)),
}
RUNS = {
    "latent": tiny.dcgan(),
    "latent, several": tiny.dcgan(),
    "latent, vae": tiny.vae(),
    "latent, encoder": tiny.latent_encoder(),
    "context-encoder, center": tiny.context_encoder(),
    "context-encoder, image": tiny.context_encoder_alone(),
    "laplace": None,
    "tv": None,
    "neighbours": None,
}
DRAWN = {"latent", "latent, several"}
"""Whose starts are drawn; the others begin where the known pixels say."""
TWINS = {"latent", "latent, vae", "latent, encoder", "context-encoder, center"}
"""What another name does too, so far as devices are concerned; compiled for one device seldom."""

ANYWHERE = ("half", "random:0.7", "block:9", "pattern:0.4")
WITHIN_CENTER = ("center", "center:6")


class Method(NamedTuple):
    """A method compiled for eight devices and for one, and photographs with holes it can fill."""

    name: str
    complete: completion.Complete
    alone: completion.Complete
    photographs: np.ndarray
    hole: np.ndarray

    def __call__(self, photographs=None, hole=None, numbers=range(BATCH), *, complete=None):
        photographs = self.photographs if photographs is None else photographs
        hole = self.hole if hole is None else hole
        if photographs.dtype == np.uint8:
            photographs = images.to_float(photographs)
        complete = complete or self.complete
        return arrays(complete(jnp.asarray(photographs), jnp.asarray(hole), keys(numbers)))


def arrays(completed):
    return jax.tree.map(np.asarray, completed)


def equal(one, other, *, or_nan=False):
    same = jax.tree.map(lambda a, b: np.array_equal(a, b, equal_nan=or_nan), one, other)
    return all(jax.tree.leaves(same))


def build(name, devices=None):
    run = RUNS[name]
    config = Inpainting(
        method=name.split(",")[0],
        model="a run",
        latent=SETTINGS.get(name, SEARCH),
        candidates=2 if name == "latent, several" else 1,
        tv=TotalVariation(steps=SEARCH.steps),
    )
    mesh = sharding.make_mesh(devices)
    if run is None:  # little to compile, and much to do
        return methods.build(config, None, mesh)
    trained = untrained.networks(run)
    if name == "latent, several":
        trained = trained._replace(guide=untrained.networks(tiny.context_encoder_alone()))
    with tiny.quickly(tiny.EXACTLY):
        return methods.build(config, trained, mesh)


@pytest.fixture(scope="module", params=RUNS)
def method(request):
    kinds = WITHIN_CENTER if request.param.endswith("center") else ANYWHERE
    each = keys(range(BATCH // len(kinds)))
    drawn = [holes.draw(holes.parse(kind), jax.random.clone(each), size=SIZE) for kind in kinds]
    return Method(
        request.param,
        build(request.param),
        build(request.param, jax.devices()[:1]),
        np.random.default_rng(0).integers(0, 256, (BATCH, SIZE, SIZE, 3), np.uint8),
        np.concatenate(drawn),
    )


def test_a_method_is_compiled_once_for_all_kinds_of_hole_and_anew_for_other_settings():
    mesh = sharding.make_mesh(jax.devices()[:1])

    def program(**changes):
        config = Inpainting(images="-", method="tv", **changes)
        return methods.build(config, None, mesh).func

    assert program(holes="half") is program(holes="center", seed=1)
    assert program() is not program(tv=TotalVariation(steps=3))


def test_known_pixels_come_back_as_they_were_and_the_hole_is_filled(method):
    completed = method()
    kept = np.where(method.hole, 0, method.photographs)
    assert np.array_equal(np.where(method.hole, 0, images.to_uint8(completed.images)), kept)
    assert np.all(np.isfinite(completed.images))
    inside = np.broadcast_to(method.hole, completed.images.shape)
    assert np.array_equal(completed.images[inside], completed.proposal[inside])
    assert np.abs(completed.proposal).max() <= 1
    assert completed.score.shape == completed.steps.shape == (BATCH,)


@pytest.mark.parametrize("filling", ["noise", "NaN"])
def test_what_stands_in_the_hole_changes_no_bit(method, filling):
    noise = np.random.default_rng(1).uniform(-9, 9, method.photographs.shape).astype(np.float32)
    other = np.full_like(noise, np.nan) if filling == "NaN" else noise
    tampered = np.where(method.hole, other, images.to_float(method.photographs))
    assert equal(method(tampered), method())


def test_a_known_pixel_beside_the_hole_changes_the_completion(method):
    beside = binary_dilation(method.hole, np.ones((1, 3, 3, 1))) & ~method.hole
    changed = np.where(beside, 255 - method.photographs, method.photographs)
    inside = np.broadcast_to(method.hole, changed.shape)
    before, after = method().images, method(changed).images
    differs = np.any((before != after) & inside, axis=(1, 2, 3))
    assert differs.all()


def test_a_completion_does_not_depend_on_the_order_of_the_batch(method):
    order = np.random.default_rng(2).permutation(BATCH)
    shuffled = method(method.photographs[order], method.hole[order], order)
    assert equal(shuffled, jax.tree.map(lambda array: array[order], method()))


def test_a_completion_does_not_depend_on_batch_mates_or_padding(method):
    padded = np.minimum(np.arange(BATCH), 2)  # three images, and copies of the last
    some = method(method.photographs[padded], method.hole[padded], padded)
    assert equal(*(jax.tree.map(lambda array: array[:3], one) for one in (some, method())))


apart = pytest.mark.parametrize(
    "method",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in TWINS)) for name in RUNS],
    indirect=True,
)


@apart
def test_the_number_of_devices_changes_no_bit_when_each_has_as_many_images(method):
    pairs = [range(first, first + 2) for first in range(0, BATCH, 2)]
    single = [
        method(method.photographs[pair], method.hole[pair], pair, complete=method.alone)
        for pair in pairs
    ]
    joined = jax.tree.map(lambda *arrays: np.concatenate(arrays), *single)
    assert equal(joined, method())


@apart
def test_another_number_of_images_on_a_device_changes_little(method):
    """Sums are taken in another order: floats agree to 1e-4 of their range."""
    shared, single = method(), method(complete=method.alone)
    np.testing.assert_allclose(single.images, shared.images, atol=2e-4)
    np.testing.assert_allclose(single.score, shared.score, rtol=1e-4)
    if shared.candidates is not None:
        assert np.array_equal(single.candidates.start, shared.candidates.start)


def test_empty_full_and_border_holes_have_defined_results(method):
    hole = np.zeros_like(method.hole)
    hole[1] = True
    hole[2, :, :5] = hole[3, 0] = hole[4, -1, -1] = True
    completed = method(hole=hole)
    known = images.to_float(method.photographs)
    assert np.array_equal(np.where(hole, 0, completed.images), np.where(hole, 0, known))
    assert np.array_equal(completed.images[0], known[0])
    missing = np.broadcast_to(hole, known.shape)
    if method.name.endswith("center"):  # no opinion beyond the centre, and it says so
        outside = np.pad(np.zeros((16, 16), bool), 8, constant_values=True)[..., np.newaxis]
        assert np.array_equal(np.isnan(completed.images), missing & outside)
    else:
        assert np.abs(completed.images).max() <= 1
    if method.name in ("laplace", "tv", "neighbours"):
        assert np.abs(completed.images[1]).max() < 1e-6  # mid grey


def test_nothing_of_a_full_hole_is_read(method):
    full = np.ones_like(method.hole)
    assert equal(method(hole=full), method(255 - method.photographs, full), or_nan=True)


def test_randomness_follows_the_key_of_the_image_alone(method):
    one, other = method(), method(numbers=range(BATCH, 2 * BATCH))
    drawn = method.name in DRAWN
    assert np.any(one.images != other.images, axis=(1, 2, 3)).tolist() == [drawn] * BATCH


def test_steps_and_score_are_those_of_the_search_or_zero(method):
    completed = method()
    searched = method.name.startswith(("latent", "tv"))
    spent = SEARCH.steps + SETTINGS.get(method.name, SEARCH).beyond.steps
    assert set(completed.steps) == {spent if searched else 0}
    assert np.all((completed.score > 0) == searched)


@pytest.mark.parametrize(
    ("method", "run", "kind"),
    [
        ("latent", tiny.context_encoder(), "ContextEncoder"),
        ("context-encoder", tiny.dcgan(), "Dcgan"),
        ("context-encoder", tiny.vae(), "Vae"),
    ],
)
def test_a_method_refuses_the_network_of_another(method, run, kind):
    config = Inpainting(method=method, model="runs/mine")
    with pytest.raises(ConfigError, match=f"{method} does not run on runs/mine.* a {kind}"):
        methods.build(config, untrained.networks(run), sharding.make_mesh())
