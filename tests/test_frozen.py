"""A frozen network says what its module says with stored statistics, wherever it is cut."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained

from ce_jax.completion.space import Networks, space_of
from ce_jax.config import LatentSearch
from ce_jax.models import frozen
from ce_jax.state import apply
from ce_jax.systems.dcgan import modules

RUNS = {"logit": tiny.dcgan(), "softmax, kernel 5": tiny.dcgan_otherwise()}


@pytest.fixture(scope="module", params=RUNS)
def networks(request):
    run = RUNS[request.param]
    return *modules(run.model, size=32), untrained.networks(run)


def pictures():
    return jax.random.uniform(jax.random.key(1), (3, 32, 32, 3), minval=-1.0)


def latents():
    return jax.random.uniform(jax.random.key(0), (3, 8), minval=-1.0)


def generate(layers, z):
    return frozen.decode(layers, frozen.features(layers, z))


def test_a_generator_without_batch_normalisation_makes_the_same_images(networks):
    generator, _, trained = networks
    layers = frozen.fold_generator(trained.generator, jnp.float32)
    expected = tiny.jit(partial(apply, generator))(trained.generator, latents())
    assert np.asarray(expected).std() > 0.1
    np.testing.assert_allclose(tiny.jit(generate)(layers, latents()), expected, atol=1e-5)
    for depth, side in ((1, 4), (2, 8), (3, 16)):
        maps = tiny.jit(partial(frozen.features, depth=depth))(layers, latents())
        assert maps.shape[:3] == (3, side, side)
        painted = tiny.jit(partial(frozen.decode, depth=depth))(layers, maps)
        np.testing.assert_allclose(painted, expected, atol=1e-5)


def test_a_critic_without_batch_normalisation_judges_the_same(networks):
    _, critic, trained = networks
    expected = tiny.jit(partial(apply, critic))(trained.critic, pictures())
    judged = tiny.jit(frozen.judge)(frozen.fold_critic(trained.critic, jnp.float32), pictures())
    np.testing.assert_allclose(judged, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("form", "loss"),
    [("saturating", lambda d: np.log(1 - d)), ("non-saturating", lambda d: -np.log(d))],
    ids=["saturating", "non-saturating"],
)
def test_the_prior_loss_of_a_search_is_that_of_the_papers(form, loss):
    """Yeh et al. 2017, eq. 5, and the authors' code, with D as a probability."""
    run, trained = tiny.dcgan(), untrained.networks(tiny.dcgan())
    of_critic = partial(apply, modules(run.model, size=32)[1], trained.critic)
    judged = 1 / (1 + np.exp(-np.asarray(tiny.jit(of_critic)(pictures()), np.float64)))
    assert np.ptp(judged) > 0.1
    settings = LatentSearch(prior_form=form)
    space = space_of(run.model, Networks(trained.generator, trained.critic), settings)
    found = tiny.jit(space.prior_loss)(latents(), pictures())
    np.testing.assert_allclose(found, loss(judged), rtol=1e-3)


def test_half_of_the_precision_is_inside_alone(networks):
    _, _, trained = networks
    whole, half = (frozen.fold_generator(trained.generator, t) for t in (jnp.float32, jnp.bfloat16))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(half)} == {"bfloat16"}
    rough, exact = (tiny.jit(generate)(layers, latents()) for layers in (half, whole))
    assert rough.dtype == jnp.float32
    assert 0 < np.abs(rough - exact).mean() < 0.02
    critic = frozen.fold_critic(trained.critic, jnp.bfloat16)
    assert jax.eval_shape(frozen.judge, critic, exact).dtype == jnp.float32
