"""Latent search is that of Yeh et al. 2016 and 2017, from as many starts as one likes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained
from searching import (
    BATCH,
    RUN,
    SIZE,
    SOME,
    TRAINED,
    found,
    keys,
    networks,
    problem,
    restated_objective,
    restated_scores,
    restated_weight,
    search,
)

from ce_jax import holes, sharding
from ce_jax.completion import latent, methods
from ce_jax.completion.objective import Problem, held_out
from ce_jax.completion.space import Networks, space_of
from ce_jax.completion.starts import draw_starts
from ce_jax.completion.trails import milestones
from ce_jax.config import Inpainting, LatentSearch

__all__ = ["networks", "problem"]

# The objective


def test_a_planted_answer_is_found(networks, problem):
    images, _, start = problem
    hole = holes.draw(holes.parse("center"), keys(), size=SIZE)
    settings = LatentSearch(steps=300, rate=0.03, prior=0)
    score, way = search(networks, settings, images, hole, start)
    weight = restated_weight(np.asarray(hole), settings)
    before = restated_objective(networks, settings, start, images, weight)
    assert np.median(score / before) < 0.1
    inside = np.broadcast_to(hole, images.shape)
    errors = [np.abs(networks["generate"](z) - images)[inside].mean() for z in (start, way[:, -1])]
    assert errors[1] < 0.3 * errors[0]
    assert np.abs(way).max() <= 1


@pytest.mark.parametrize(
    "changes",
    [
        {"window": 5},
        {"weighting": "uniform"},
        {"norm": "l2", "prior_form": "non-saturating"},
    ],
)
def test_the_score_is_the_objective_of_the_papers_at_the_best_z_of_all(networks, problem, changes):
    """With so large a rate, the last is not always the best."""
    images, hole, start = problem
    settings = LatentSearch(steps=6, rate=0.6, prior=2.0, **changes)
    score, way = search(networks, settings, images, hole, start)
    scores = restated_scores(networks, settings, way, images, hole)
    np.testing.assert_allclose(score, scores.min(axis=1), rtol=1e-5)
    assert np.any(scores.argmin(axis=1) < settings.steps)


def test_without_a_prior_the_critic_is_not_asked(networks, problem):
    def refuse(_):
        raise AssertionError("the critic was asked")

    settings = LatentSearch(steps=2, prior=0)
    search({**networks, "judge": refuse}, settings, *problem)
    with pytest.raises(AssertionError, match="was asked"):
        search({**networks, "judge": refuse}, replace(settings, prior=1e-6), *problem)


# The optimisers


def adam(z, slope, settings):
    """Kingma & Ba 2014, algorithm 1."""
    first = second = 0.0
    for step in range(1, settings.steps + 1):
        rate = settings.rate * settings.decay ** ((step - 1) // settings.decay_every)
        gradient = slope(z)
        first = settings.momentum * first + (1 - settings.momentum) * gradient
        second = 0.999 * second + 0.001 * gradient**2
        rise, size = first / (1 - settings.momentum**step), second / (1 - 0.999**step)
        z = np.clip(z - rate * rise / (np.sqrt(size) + 1e-8), -1, 1)
    return z


def nesterov(z, slope, settings):
    """As the public code has it: v' = m v - rate g, then z' = z - m v + (1 + m) v'."""
    velocity, momentum = 0.0, settings.momentum
    for step in range(settings.steps):
        rate = settings.rate * settings.decay ** (step // settings.decay_every)
        before, velocity = velocity, momentum * velocity - rate * slope(z)
        z = np.clip(z - momentum * before + (1 + momentum) * velocity, -1, 1)
    return z


@pytest.mark.parametrize(
    ("restated", "changes"),
    [
        pytest.param(adam, {"rate": 0.01}, marks=pytest.mark.slow),
        (adam, {"rate": 0.2, "momentum": 0.5, "decay": 0.3, "decay_every": 2}),
        pytest.param(nesterov, {"rate": 1e-3}, marks=pytest.mark.slow),
        (nesterov, {"rate": 0.3, "momentum": 0.5, "decay": 0.3, "decay_every": 2}),
    ],
)
def test_the_search_is_its_optimiser_within_the_box(networks, problem, restated, changes):
    """In NumPy, with z cut off at -1 and 1 after every step."""
    images, hole, start = problem
    settings = LatentSearch(steps=5, optimizer=restated.__name__, **changes)
    weight = restated_weight(np.asarray(hole), settings)
    gradient = tiny.jit(
        jax.grad(lambda z: restated_objective(networks, settings, z, images, weight).sum())
    )

    def slope(z):
        return np.asarray(gradient(jnp.asarray(z, jnp.float32)), np.float64)

    expected = restated(np.asarray(start, np.float64), slope, settings)
    found = search(networks, settings, images, hole, start)[1][:, -1]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(found - start).max() > 1e-2
    assert (np.abs(expected) == 1).any() == (settings.decay < 1)


def test_all_steps_are_one_compiled_scan_for_every_batch():
    settings = LatentSearch(steps=5, starts=2)
    config = Inpainting(model="a run", latent=settings)
    with tiny.quickly():
        complete = methods.build(config, TRAINED, sharding.make_mesh(jax.devices()[:1]))
    data = jnp.zeros((BATCH, SIZE, SIZE, 3)), jnp.ones((BATCH, SIZE, SIZE, 1), bool)
    text = str(complete.func.trace(*complete.args, *data, keys()).jaxpr)
    assert text.count("scan[") == 1
    assert f"length={settings.steps}" in text
    for first in (0, BATCH):
        complete(*data, keys(range(first, first + BATCH)))
    assert complete.func._cache_size() == 1


# Starts and candidates


def by_start(ranked, candidates):
    """[b, k, ...] in the order of the starts."""
    order = np.argsort(candidates.start, axis=1)
    return np.stack([array[places] for array, places in zip(ranked, order, strict=True)])


@pytest.fixture(scope="module")
def five(problem):
    return found(problem, replace(SOME, starts=5, trail=3), keep=5, exactly=True)


def test_several_starts_contain_the_single_one_and_are_never_worse(problem, five):
    alone, single, _, none, _ = found(problem, SOME)
    _, score, _, candidates, _ = five
    assert none is None
    proposals = by_start(candidates.proposal, candidates)
    np.testing.assert_allclose(proposals[:, 0], alone, atol=2e-4)
    np.testing.assert_allclose(by_start(candidates.score, candidates)[:, 0], single, rtol=1e-4)
    assert np.all(score <= single * (1 + 1e-4))
    assert np.any(score < 0.9 * single)


def test_candidates_are_ranked_and_the_best_is_the_completion(five):
    best, score, _, candidates, _ = five
    assert np.array_equal(candidates.proposal[:, 0], best)
    assert np.array_equal(candidates.score[:, 0], score)
    assert np.all(np.diff(candidates.score, axis=1) >= 0)
    assert np.array_equal(np.sort(candidates.start, axis=1), np.tile(np.arange(5), (BATCH, 1)))
    assert np.any(candidates.start[:, 0] > 0)


def test_only_so_many_are_kept_and_a_trail_changes_no_bit_of_them(problem, five):
    few = found(problem, replace(SOME, starts=5), keep=2, exactly=True)
    proposal, score, _, candidates, trails = few
    assert trails is None
    assert np.array_equal(proposal, five[0])
    assert np.array_equal(score, five[1])
    for few, all_ in zip(candidates, five[3], strict=True):
        assert np.array_equal(few, all_[:, :2])


@pytest.mark.parametrize("kind", ["prior", "normal"])
def test_starts_lie_in_the_box_and_the_first_are_the_same_however_many_there_are(kind):
    few, many = (
        draw_starts(keys(), LatentSearch(start=kind, starts=k), dimensions=200) for k in (2, 4)
    )
    assert np.array_equal(few, many[:, :2])
    assert len(np.unique(many.reshape(-1, 200), axis=0)) == 4 * BATCH
    assert np.abs(many).max() <= 1
    at_the_border = 0.3173 if kind == "normal" else 0  # beyond one standard deviation
    assert np.mean(np.abs(many) == 1) == pytest.approx(at_the_border, abs=0.02)
    assert np.mean(many) == pytest.approx(0, abs=0.02)


HELD_OUT = replace(SOME, starts=3, choose="held-out", held_out=0.2, trail=2)


def held_back(hole, settings):
    return held_out(Problem(None, hole, keys()), settings)


def test_what_is_held_out_is_a_share_of_what_is_known(problem):
    _, hole, _ = problem
    unseen = held_back(hole, HELD_OUT)
    assert not np.any(unseen & hole)
    assert np.sum(unseen) / np.sum(~hole) == pytest.approx(0.2, abs=0.02)
    assert not np.any(held_back(hole, SOME))


def test_the_search_does_not_see_what_is_held_out_and_is_judged_by_that_alone(networks, problem):
    images, hole, start = problem
    unseen = held_back(hole, HELD_OUT)
    noise = np.random.default_rng(0).uniform(-1, 1, images.shape).astype(np.float32)
    before = found(problem, HELD_OUT, keep=3)
    after = found((jnp.where(unseen, noise, images), hole, start), HELD_OUT, keep=3)
    one, other = (by_start(result[4].z, result[3]) for result in (before, after))
    assert np.array_equal(one, other)
    assert np.any(before[3].start != after[3].start)

    weight = np.where(unseen, restated_weight(np.asarray(hole), HELD_OUT), 0)
    error = np.abs(before[3].proposal - np.asarray(images)[:, np.newaxis])
    expected = (weight[:, np.newaxis] * error).sum(axis=(2, 3, 4))
    np.testing.assert_allclose(before[3].score, expected, rtol=1e-4)


def test_where_nothing_that_counts_is_held_out_the_objective_chooses(problem):
    images, hole, start = problem
    small = jnp.zeros_like(hole).at[:, 4, 4].set(True)  # 48 pixels around it count
    settings = replace(HELD_OUT, held_out=1e-6, choose="held-out")
    judged, plain = (
        found((images, small, start), replace(settings, choose=choose), keep=3)
        for choose in ("held-out", "objective")
    )
    assert np.all(judged[3].score > 0)
    assert np.array_equal(judged[3].score, plain[3].score)


# Trails


def test_a_trail_leads_from_the_start_to_the_completion(five):
    *_, candidates, trails = five
    start = draw_starts(keys(), replace(SOME, starts=5), dimensions=8)
    assert trails.z.shape == (BATCH, 5, SOME.steps + 1, 8)
    assert np.array_equal(by_start(trails.z, candidates)[:, :, 0], start)
    assert np.all(np.abs(np.diff(trails.z, axis=2)).max(axis=-1) > 0)
    objective = trails.context + trails.prior
    assert np.all(candidates.score <= objective.min(axis=-1) * (1 + 1e-6))
    last = objective[..., -1] <= candidates.score * (1 + 1e-6)
    assert last.mean() > 0.5
    np.testing.assert_allclose(
        trails.proposal[:, :, -1][last], candidates.proposal[last], atol=1e-6
    )


def test_a_trail_shows_the_images_of_its_milestones(networks, five):
    *_, trails = five
    for place, step in enumerate(milestones(SOME.steps, count=3)):
        expected = networks["generate"](trails.z[:, 0, step])
        np.testing.assert_allclose(trails.proposal[:, 0, place], expected, atol=1e-5)


# Spaces other than that of the published DCGAN


def test_a_vae_is_searched_without_bounds_for_what_is_probable():
    model, networks = tiny.vae().model, untrained.networks(tiny.vae())
    settings = LatentSearch(steps=4, rate=0.5, prior=0.1)
    decoder = space_of(model, Networks(networks.generator, None), settings)
    hole = jnp.zeros((BATCH, SIZE, SIZE, 1), bool).at[:, 8:24, 8:24].set(True)
    pictures = jax.random.uniform(jax.random.key(0), (BATCH, SIZE, SIZE, 3), minval=-1.0)
    start = 3 * jax.random.normal(jax.random.key(1), (BATCH, model.latent))
    score, way = search(None, settings, pictures, hole, start, where=decoder)
    weight = restated_weight(np.asarray(hole), settings)
    generate = tiny.jit(decoder.generate)
    scores = [
        (weight * jnp.abs(generate(z) - pictures)).sum((1, 2, 3)) + 0.1 * (z**2).sum(1) / 2
        for z in jnp.moveaxis(way, 1, 0)
    ]
    np.testing.assert_allclose(score, np.min(scores, axis=0), rtol=1e-5)
    assert np.abs(way).max() > 1
    assert decoder.prior == "normal"


def test_a_generator_of_normal_latents_is_searched_from_normal_starts_and_beyond_one():
    model = replace(RUN.model, prior="normal")
    trained = untrained.networks(tiny.dcgan(model=model))
    networks = Networks(trained.generator, trained.critic)
    settings = LatentSearch(steps=1, rate=1e-7)
    nothing_known = jnp.zeros((BATCH, SIZE, SIZE, 3)), jnp.ones((BATCH, SIZE, SIZE, 1), bool)
    proposal, *_ = tiny.jit(latent.method(model, settings))(networks, *nothing_known, keys())
    start = draw_starts(keys(), settings, dimensions=8, prior="normal")[:, 0]
    assert np.abs(start).max() > 1
    generated = tiny.jit(space_of(model, networks, settings).generate)(start)
    np.testing.assert_allclose(proposal, generated, atol=1e-4)
