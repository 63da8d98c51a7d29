"""A context encoder beside a latent search: what each of them has in the proposal."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained
from scipy.ndimage import gaussian_filter

from ce_jax import holes
from ce_jax.completion import context_encoder, latent
from ce_jax.completion.space import Networks
from ce_jax.config import ConfigError, Inpainting, LatentSearch
from ce_jax.runs import loading

RUN, GUIDE = tiny.dcgan(), tiny.context_encoder_alone()
TRAINED, GUIDING = untrained.networks(RUN), untrained.networks(GUIDE)
NETWORKS = Networks(TRAINED.generator, TRAINED.critic, guide=GUIDING.generator)
SEARCH = LatentSearch(steps=20, rate=0.05, guide_weight=0.0)
COUNT = 4


def found(settings, *, guide=GUIDE.model):
    """The proposals for some noise with holes, which the networks do not see."""
    key = jax.random.split(jax.random.key(0), COUNT)
    images, hole = noise()
    propose = latent.method(RUN.model, settings, guide=guide)
    with tiny.quickly(tiny.EXACTLY):
        return np.asarray(jax.jit(propose)(NETWORKS, images, hole, key)[0])


def noise():
    images = np.random.default_rng(0).uniform(-1, 1, (COUNT, 32, 32, 3)).astype(np.float32)
    hole = holes.draw(holes.parse("half"), jax.random.split(jax.random.key(1), COUNT), size=32)
    return jnp.where(hole, 0.0, images), hole


@pytest.fixture(scope="module")
def alone():
    return found(SEARCH, guide=None)


@pytest.fixture(scope="module")
def prediction():
    with tiny.quickly():
        propose = jax.jit(context_encoder.propose, static_argnums=0)
        return np.asarray(propose(GUIDE.model, GUIDING.generator, *noise(), None)[0])


@pytest.mark.parametrize("detail", [0.0, 0.3])
def test_the_proposal_is_shared_between_both(alone, prediction, detail):
    """Without a weight the search is that of the paper; beside SciPy's filter."""
    shared = found(replace(SEARCH, guide_detail=detail))
    difference = prediction - alone
    coarse = gaussian_filter(difference, (0, 1, 1, 0), mode="reflect")
    expected = alone + coarse + detail * (difference - coarse)
    np.testing.assert_allclose(shared, expected.clip(-1, 1), atol=1e-4)


def test_a_weight_draws_the_search_to_the_prediction_in_the_hole(alone, prediction):
    hole = np.broadcast_to(noise()[1], alone.shape)

    def miss(proposal):
        return np.abs(proposal - prediction).mean(axis=(1, 2, 3), where=hole)

    assert (miss(found(replace(SEARCH, guide_weight=10.0))) < miss(alone)).all()


def inpainting(tmp_path, guide):
    model = untrained.workdir(tmp_path / "model", RUN)
    return Inpainting(model=model, guide=untrained.workdir(tmp_path / "guide", guide))


def test_a_guide_is_loaded_beside_the_model(tmp_path):
    networks = loading.networks_of(inpainting(tmp_path, GUIDE))
    assert networks is not None
    assert networks.guide is not None
    assert (networks.config.model, networks.guide.config.model) == (RUN.model, GUIDE.model)


@pytest.mark.parametrize(
    ("guide", "complaint"),
    [
        (RUN, "is no context encoder that predicts whole images"),
        (tiny.context_encoder(), "is no context encoder that predicts whole images"),
        (tiny.alexnet(), "predicts 227-pixel images, but .* was trained on 32-pixel ones"),
    ],
)
def test_what_cannot_guide_is_refused(monkeypatch, guide, complaint):
    runs = {"model": TRAINED, "guide": TRAINED._replace(config=guide)}
    monkeypatch.setattr(loading, "load", runs.get)
    with pytest.raises(ConfigError, match=complaint):
        loading.networks_of(Inpainting(model="model", guide="guide"))


def test_a_guide_is_for_a_latent_search():
    with pytest.raises(ConfigError, match="guide must be left out for method laplace"):
        Inpainting(method="laplace", guide="runs/ce")
