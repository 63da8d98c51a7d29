"""Every method keeps the promises of its signature; latent search is that of Yeh et al. 2017."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained
from scipy.ndimage import binary_dilation

from ce_jax import completion, holes, images, sharding
from ce_jax.completion import latent
from ce_jax.config import ConfigError, Dcgan, Inpainting, LatentSearch
from ce_jax.state import apply
from ce_jax.systems import dcgan

BATCH, SIZE = 16, 32  # two images on each of the eight devices
SEARCH = LatentSearch(steps=5, rate=0.05)
RUNS = {
    "latent": tiny.dcgan(),
    "latent, vae": tiny.vae(),
    "context-encoder, center": tiny.context_encoder(),
    "context-encoder, image": tiny.context_encoder_alone(),
    "laplace": None,
}
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


def keys(numbers):
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(5), jnp.array(list(numbers)))


def arrays(completed):
    return completion.Completion(*map(np.asarray, completed))


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def equal_or_nan(one, other):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


def build(name, devices=None):
    run = RUNS[name]
    config = Inpainting(method=name.split(",")[0], model="a run", latent=SEARCH)
    mesh = sharding.make_mesh(devices)
    return completion.build(config, None if run is None else untrained.networks(run), mesh)


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
    assert equal(shuffled, (array[order] for array in method()))


def test_a_completion_does_not_depend_on_batch_mates_or_padding(method):
    padded = np.minimum(np.arange(BATCH), 2)  # three images, and copies of the last
    some = method(method.photographs[padded], method.hole[padded], padded)
    assert equal((array[:3] for array in some), (array[:3] for array in method()))


def test_the_number_of_devices_changes_no_bit_when_each_has_as_many_images(method):
    pairs = [range(first, first + 2) for first in range(0, BATCH, 2)]
    single = [
        method(method.photographs[pair], method.hole[pair], pair, complete=method.alone)
        for pair in pairs
    ]
    joined = map(np.concatenate, zip(*single, strict=True))
    assert equal(joined, method())


def test_another_number_of_images_on_a_device_changes_little(method):
    """Sums are taken in another order: floats agree to 1e-4 of their range."""
    shared, single = method(), method(complete=method.alone)
    np.testing.assert_allclose(single.images, shared.images, atol=2e-4)
    np.testing.assert_allclose(single.score, shared.score, rtol=1e-4)


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
    if method.name == "laplace":
        assert not completed.images[1].any()  # mid grey


def test_nothing_of_a_full_hole_is_read(method):
    full = np.ones_like(method.hole)
    assert equal_or_nan(method(hole=full), method(255 - method.photographs, full))


def test_randomness_follows_the_key_of_the_image_alone(method):
    one, other = method(), method(numbers=range(BATCH, 2 * BATCH))
    searched = method.name.startswith("latent")
    assert np.any(one.images != other.images, axis=(1, 2, 3)).tolist() == [searched] * BATCH


def test_steps_and_score_are_those_of_the_search_or_zero(method):
    completed = method()
    searched = method.name.startswith("latent")
    assert set(completed.steps) == {SEARCH.steps if searched else 0}
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
        completion.build(config, untrained.networks(run), sharding.make_mesh())


# Latent search


@pytest.fixture(scope="module")
def networks():
    """G and D of a tiny DCGAN, as `search` takes them."""
    run = RUNS["latent"]
    generator, critic = dcgan.modules(run.model, size=SIZE)
    trained = untrained.networks(run)
    return {
        "generate": jax.jit(lambda z: apply(generator, trained.generator, z)),
        "judge": jax.jit(lambda pictures: apply(critic, trained.critic, pictures)),
    }


def problem(networks, *, count=8, kind="center"):
    """Images that the generator can make, holes, and starts elsewhere."""
    random = np.random.default_rng(3)
    answer, start = (jnp.asarray(random.uniform(-1, 1, (count, 8)), jnp.float32) for _ in range(2))
    hole = holes.draw(holes.parse(kind), keys(range(count)), size=SIZE)
    return answer, networks["generate"](answer), hole, start


def search(networks, settings, *data):
    compiled = jax.jit(
        lambda *data: latent.search(*data, **networks, settings=settings),
        compiler_options=tiny.QUICKLY,
    )
    return compiled(*data)


def restated_weight(hole, window):
    """Eq. 3, pixel by pixel."""
    weight, reach = np.zeros(hole.shape, np.float64), window // 2
    for b, i, j, _ in np.argwhere(~hole):
        around = hole[b, max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1]
        weight[b, i, j] = around.mean()
    return weight


def restated_objective(networks, z, pictures, weight, prior):
    """Eq. 4 and 5 with D as a probability."""
    generated = networks["generate"](z)
    judged = jax.nn.sigmoid(networks["judge"](generated))
    context = jnp.abs(weight * (generated - pictures)).sum(axis=(1, 2, 3))
    return context + prior * jnp.log(1 - judged)


def test_a_planted_answer_is_found(networks):
    _, pictures, hole, start = problem(networks)
    settings = LatentSearch(steps=300, rate=0.03, prior=0)
    z, score = search(networks, settings, pictures, hole, start)
    weight = restated_weight(np.asarray(hole), settings.window)
    before = restated_objective(networks, start, pictures, weight, 0)
    assert np.median(score / before) < 0.1
    inside = np.broadcast_to(hole, pictures.shape)
    errors = [
        np.abs(networks["generate"](latents) - pictures)[inside].mean() for latents in (start, z)
    ]
    assert errors[1] < 0.3 * errors[0]
    assert np.abs(z).max() <= 1


def test_the_score_is_the_objective_of_the_paper_at_the_z_that_is_returned(networks):
    _, pictures, hole, start = problem(networks, kind="pattern:0.4")
    settings = LatentSearch(steps=3, rate=0.1, window=5, prior=2.0)
    z, score = search(networks, settings, pictures, hole, start)
    weight = restated_weight(np.asarray(hole), 5)
    expected = restated_objective(networks, z, pictures, weight, 2.0)
    np.testing.assert_allclose(score, expected, rtol=1e-5)


@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_the_search_is_adam_within_the_box(networks, rate):
    """Kingma & Ba 2014, algorithm 1, in NumPy, with z cut off at -1 and 1 after every step."""
    _, pictures, hole, start = problem(networks)
    weight = restated_weight(np.asarray(hole), 7)
    gradient = jax.jit(
        jax.grad(lambda z: restated_objective(networks, z, pictures, weight, 0.003).sum()),
        compiler_options=tiny.QUICKLY,
    )
    z, first, second = np.asarray(start, np.float64), 0.0, 0.0
    for step in range(1, 5):
        slope = np.asarray(gradient(jnp.asarray(z, jnp.float32)), np.float64)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope**2
        rise, size = first / (1 - 0.9**step), second / (1 - 0.999**step)
        z = np.clip(z - rate * rise / (np.sqrt(size) + 1e-8), -1, 1)
    settings = LatentSearch(steps=4, rate=rate)
    found, _ = search(networks, settings, pictures, hole, start)
    np.testing.assert_allclose(found, z, atol=1e-4)
    assert (np.abs(z) == 1).any() == (rate > 0.1)


def test_without_a_critic_the_prior_is_that_of_a_normal_z_which_has_no_bounds(networks):
    _, pictures, hole, start = problem(networks)
    settings = LatentSearch(steps=4, rate=0.5, prior=2.0)
    alone = networks | {"judge": None}
    z, score = search(alone | {"bound": np.inf}, settings, pictures, hole, start)
    weight = restated_weight(np.asarray(hole), settings.window)
    context = jnp.abs(weight * (networks["generate"](z) - pictures)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(score, context + 2 * (z**2).sum(axis=1) / 2, rtol=1e-5)
    assert np.abs(z).max() > 1
    z, _ = search(alone, settings, pictures, hole, start)
    assert np.abs(z).max() == 1


def test_a_generator_of_normal_latents_is_searched_from_normal_starts_and_beyond_one():
    model = Dcgan(width=4, latent=8, prior="normal")
    trained = untrained.networks(tiny.dcgan(model=model))
    networks = trained.generator, trained.critic
    propose = latent.method(model, SIZE, LatentSearch(steps=1, rate=1e-7))
    generator, _ = dcgan.modules(model, size=SIZE)
    nothing_known = jnp.zeros((4, SIZE, SIZE, 3)), jnp.ones((4, SIZE, SIZE, 1), bool)

    @functools.partial(jax.jit, compiler_options=tiny.QUICKLY)
    def found_and_expected():
        z = dcgan.draw_latent(keys(range(4)), dimensions=8, prior="normal")
        proposal, _, _ = propose(networks, *nothing_known, keys(range(4)))
        return z, proposal, apply(generator, networks[0], z)

    z, proposal, expected = found_and_expected()
    assert np.abs(z).max() > 1
    np.testing.assert_allclose(proposal, expected, atol=1e-4)


def test_all_steps_are_one_compiled_scan_for_every_batch():
    complete = build("latent")
    data = jnp.zeros((BATCH, SIZE, SIZE, 3)), jnp.ones((BATCH, SIZE, SIZE, 1), bool)
    text = str(jax.make_jaxpr(complete)(*data, keys(range(BATCH))))
    assert text.count("scan[") == 1
    assert f"length={SEARCH.steps}" in text
    for first in (0, BATCH):
        complete(*data, keys(range(first, first + BATCH)))
    assert complete.func._cache_size() == 1
