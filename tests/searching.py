"""The pieces of a latent search, for tests: a tiny DCGAN, holes in its images, the equations.

`problem` and `networks` are fixtures; a test file imports them.
"""

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained

from ce_jax import holes, losses
from ce_jax.completion import latent
from ce_jax.completion.objective import Problem
from ce_jax.completion.space import Networks, Space
from ce_jax.config import LatentSearch
from ce_jax.state import apply
from ce_jax.systems import dcgan

BATCH, SIZE = 8, 32
RUN = tiny.dcgan()
TRAINED = untrained.networks(RUN)
NETWORKS = Networks(TRAINED.generator, TRAINED.critic)


def keys(numbers=range(BATCH)):
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(5), jnp.array(list(numbers)))


@pytest.fixture(scope="module")
def networks():
    """G and D of a tiny DCGAN, as `search` takes them."""
    generator, critic = dcgan.modules(RUN.model, size=SIZE)
    return {
        "generate": jax.jit(lambda z: apply(generator, TRAINED.generator, z)),
        "judge": jax.jit(lambda pictures: apply(critic, TRAINED.critic, pictures)),
    }


@pytest.fixture(scope="module")
def problem(networks):
    """Images that the generator can make, holes, and starts elsewhere."""
    random = np.random.default_rng(3)
    answer, start = (jnp.asarray(random.uniform(-1, 1, (BATCH, 8)), jnp.float32) for _ in range(2))
    hole = tiny.jit(partial(holes.draw, holes.parse("pattern:0.4"), size=SIZE))(keys())
    return networks["generate"](answer), hole, start


def space(networks, settings):
    form = {"saturating": losses.prior_loss, "non-saturating": losses.adversarial_loss}
    return Space(
        settings=settings,
        dimensions=8,
        prior="uniform",
        features=lambda z, maps: z,
        decode=networks["generate"],
        prior_loss=lambda _, images: form[settings.prior_form](networks["judge"](images)),
    )


def search(networks, settings, images, hole, start, *, where=None):
    """The objective of the best z, and all z on the way, [b, steps + 1, d]."""
    settings = replace(settings, trail=2)

    def run(images, hole, start):
        looked_in = (where or space(networks, settings))._replace(settings=settings)
        problem = Problem(images, hole, keys())
        begun = latent.begin(looked_in, problem, None)._replace(z=start[:, None])
        ended, way = latent.search(looked_in, problem, begun)
        return latent.conclude(looked_in, problem, ended, None)[1], way[:, 0]

    return tiny.jit(run)(images, hole, start)


def restated_scores(networks, settings, way, images, hole):
    """The objective of the papers at every z of a way, [b, steps + 1]."""
    weight = restated_weight(np.asarray(hole), settings)
    each = [
        restated_objective(networks, settings, way[:, step], images, weight)
        for step in range(way.shape[1])
    ]
    return np.stack(each, axis=1)


def restated_weight(hole, settings):
    """Yeh et al. 2017, eq. 3, pixel by pixel; 2016, eq. 2: 1 wherever something is known."""
    if settings.weighting == "uniform":
        return (~hole).astype(float)
    weight, reach = np.zeros(hole.shape), settings.window // 2
    for b, i, j, _ in np.argwhere(~hole):
        around = hole[b, max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1]
        weight[b, i, j] = around.mean()
    return weight


def restated_objective(networks, settings, z, images, weight):
    """Eq. 4 and 5 with D as a probability."""
    generated = networks["generate"](z)
    judged = jax.nn.sigmoid(networks["judge"](generated))
    size = jnp.abs(generated - images) ** {"l1": 1, "l2": 2}[settings.norm]
    prior = jnp.log(1 - judged) if settings.prior_form == "saturating" else -jnp.log(judged)
    return (weight * size).sum(axis=(1, 2, 3)) + settings.prior * prior


SOME = LatentSearch(steps=4, rate=0.1)


def found(problem, settings, *, keep=1, exactly=False):
    """Proposal, score, steps, candidates and trails; exactly, where bits of two are compared."""
    images, hole, _ = problem
    method = _proposing(settings, keep, exactly)
    return jax.tree.map(np.asarray, method(NETWORKS, images, hole, keys()))


@cache
def _proposing(settings, keep, exactly):
    options = tiny.EXACTLY if exactly else tiny.QUICKLY
    return jax.jit(latent.method(RUN.model, settings, keep=keep), compiler_options=options)
