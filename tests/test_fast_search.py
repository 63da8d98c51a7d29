"""Latent search with fewer and with better steps finds what it should, and for each image alone."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from searching import (
    NETWORKS,
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
    space,
)

from ce_jax import sharding
from ce_jax.completion import latent, methods
from ce_jax.completion.objective import Problem
from ce_jax.completion.space import space_of
from ce_jax.completion.starts import draw_pool
from ce_jax.config import Beyond, Inpainting, LatentSearch

__all__ = ["networks", "problem"]


def test_the_rate_may_go_down_as_a_cosine(networks, problem):
    images, hole, start = problem
    settings = LatentSearch(steps=4, rate=0.2, optimizer="nesterov", momentum=0.0, prior=0)
    _, constant = search(networks, settings, images, hole, start)
    _, falling = search(networks, replace(settings, schedule="cosine"), images, hole, start)
    assert np.array_equal(falling[:, 1], constant[:, 1])
    weight = restated_weight(np.asarray(hole), settings)
    slope = tiny.jit(
        jax.grad(lambda z: restated_objective(networks, settings, z, images, weight).sum())
    )
    z = start
    for step in range(4):
        rate = 0.2 * (1 + np.cos(np.pi * step / 4)) / 2
        z = jnp.clip(z - rate * slope(z), -1, 1)
    np.testing.assert_allclose(falling[:, -1], z, atol=1e-4)


def test_numbers_that_leave_the_box_are_drawn_anew(networks, problem):
    settings = LatentSearch(steps=3, rate=0.5)
    _, clipped = search(networks, settings, *problem)
    _, redrawn = search(networks, replace(settings, projection="redraw"), *problem)
    at_the_border = np.abs(clipped[:, 1]) == 1
    assert at_the_border.any()
    np.testing.assert_allclose(
        clipped[:, 1][~at_the_border], redrawn[:, 1][~at_the_border], atol=1e-6
    )
    anew = redrawn[:, 1][at_the_border]
    assert len(np.unique(anew)) == len(anew)
    assert np.abs(redrawn).max() < 1


def test_an_image_that_makes_no_progress_is_done_and_the_others_go_on(networks, problem):
    """It has then what a search of so many steps would have found, whoever else is there."""
    images, hole, start = problem
    settings = LatentSearch(steps=40, rate=0.2, patience=3, tolerance=0.05)

    def run(start):
        asked = space(networks, settings), Problem(images, hole, keys())
        ended, _ = latent.search(*asked, latent.begin(*asked, None)._replace(z=start[:, None]))
        return ended.taken, latent.conclude(*asked, ended, None)[1]

    taken, score = tiny.jit(run)(start)
    assert len(np.unique(taken)) > 2
    assert taken.min() > settings.patience
    long = replace(settings, patience=0, tolerance=0.001)
    _, way = search(networks, long, images, hole, start)
    scores = restated_scores(networks, settings, way, images, hole)
    for each, steps, best in zip(scores, taken, score, strict=True):
        assert best == pytest.approx(each[: steps + 1].min(), rel=1e-3)


@pytest.mark.parametrize("every", [3, 9])
def test_a_prior_whose_slope_is_always_the_same_need_be_asked_once(networks, problem, every):
    """Between two words of the critic the last one counts; of one that changes, that is not all."""
    pattern = jax.random.normal(jax.random.key(0), (1, SIZE, SIZE, 3))
    settings = LatentSearch(steps=5, rate=0.1, prior=5.0)
    seldom = replace(settings, prior_every=every)
    plain = space(networks, settings)
    linear = plain._replace(prior_loss=lambda _, images: (pattern * images).sum((1, 2, 3)))
    for where, same in ((linear, True), (plain, False)):
        _, often = search(networks, settings, *problem, where=where)
        _, seldom_ = search(networks, seldom, *problem, where=where)
        assert often.shape == seldom_.shape
        assert np.allclose(often, seldom_, atol=1e-5) is same
        np.testing.assert_allclose(often[:, 1], seldom_[:, 1], atol=1e-6)


def test_beyond_z_the_known_pixels_are_met_better_within_a_ball(problem):
    images, hole, _ = problem
    plain = replace(SOME, prior=0)
    before = found(problem, plain)
    near, far = (
        found(problem, replace(plain, beyond=Beyond(steps=30, rate=0.05, radius=radius)))
        for radius in (1e-3, 1.0)
    )
    assert np.all(far[1] < 0.8 * before[1])
    assert np.all(near[1] <= before[1] * (1 + 1e-5))
    assert 0 < np.abs(near[0] - before[0]).max() < 0.1
    assert np.abs(far[0] - before[0]).max() > 0.1
    assert np.array_equal(far[2], before[2] + 30)
    known = np.broadcast_to(~hole, images.shape)
    errors = [np.abs(result[0] - images)[known].mean() for result in (before, far)]
    assert errors[1] < errors[0]


def test_beyond_z_nothing_moves_where_nothing_is_known(problem):
    images, hole, start = problem
    blank = images, jnp.ones_like(hole), start
    before, after = (found(blank, replace(SOME, beyond=Beyond(steps=n))) for n in (0, 5))
    np.testing.assert_allclose(after[0], before[0], atol=1e-5)


@pytest.mark.slow
def test_half_of_the_precision_finds_nearly_the_same(problem):
    exact, rough = (found(problem, replace(SOME, precision=p)) for p in ("float32", "bfloat16"))
    assert rough[0].dtype == np.float32
    assert 0 < np.abs(exact[0] - rough[0]).mean() < 0.05
    np.testing.assert_allclose(rough[1], exact[1], rtol=0.05)


def test_a_pool_gives_each_image_the_start_that_agrees_best_with_it(problem):
    """Beginning at its own answer, which is in the pool, an image is found in no time."""
    settings = LatentSearch(start="pool", pool=512, steps=1, rate=1e-6, prior=0)
    config = Inpainting(model="a run", latent=settings, seed=4)
    mesh = sharding.make_mesh(jax.devices()[:1])
    with tiny.quickly():
        complete = methods.build(config, TRAINED, mesh)
        pool = draw_pool(jax.random.key(4), space_of(RUN.model, NETWORKS, settings), 512)
        answers = jnp.array([3, 500, 77, 0, 511, 8, 9, 10])
        images = pool.images[answers].astype(np.float32) / 127.5 - 1
        proposal = complete(images, problem[1], keys()).proposal
    np.testing.assert_allclose(proposal, images, atol=0.01)
