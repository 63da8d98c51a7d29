"""One update of a context encoder, by hand: what counts, how much, and what a critic sees."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
import untrained
from flax import linen as nn

from ce_jax import systems
from ce_jax.config import Adam, ContextEncoder
from ce_jax.holes import HoleKind
from ce_jax.models.dcgan import Critic
from ce_jax.models.layers import BatchNorm
from ce_jax.state import Game, Network, optimizer
from ce_jax.systems import context_encoder


class Picture(nn.Module):
    """Predicts one and the same picture, its only weight, whatever it is shown."""

    size: int

    @nn.compact
    def __call__(self, images, *, train):
        BatchNorm(train)(images)
        picture = self.param("picture", nn.initializers.zeros, (1, self.size, self.size, 3))
        return jnp.tile(picture, (len(images), 1, 1, 1))


def picture_step(model, *, critic=None):
    """One step of a network `Picture` at learning rate 1: (picture, images) -> scalars, picture."""

    @tiny.jit
    def step(picture, images):
        generator = Network(Picture(picture.shape[1]), optax.sgd(1.0))
        player = generator.init(jax.random.key(0), images)
        player = player.replace(params=player.params | {"picture": picture})
        judge = None if critic is None else critic.init(jax.random.key(1), picture)
        game, scalars = context_encoder.step(
            Game(player, judge, None, jnp.zeros((), jnp.int32)),
            images,
            keys_of(len(images)),
            generator=generator,
            critic=critic,
            model=model,
            average=0.0,
        )
        return scalars, game.generator.params["picture"]

    return lambda *arrays: jax.device_get(step(*arrays))


def keys_of(count):
    return jax.random.split(jax.random.key(2), count)


def test_the_reconstruction_of_the_centre_by_hand():
    truth = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3), minval=-1.0)
    model = ContextEncoder(overlap=3, overlap_weight=10.0, adversarial=0.0)
    scalars, learned = picture_step(model)(jnp.zeros((1, 16, 16, 3)), truth)

    centre = np.asarray(truth, np.float64)[:, 8:24, 8:24]
    weight = np.full((16, 16, 1), 10.0)
    weight[3:-3, 3:-3] = 1
    loss = np.mean(weight * centre**2)  # all 16x16 pixels count: the hole and its band
    square = np.mean(centre[:, 3:-3, 3:-3] ** 2, axis=(1, 2, 3))
    assert scalars["loss/reconstruction"] == pytest.approx(loss, rel=1e-5)
    assert scalars["loss/generator"] == pytest.approx(loss, rel=1e-5)
    assert scalars["hole/psnr"] == pytest.approx(np.mean(10 * np.log10(2**2 / square)), rel=1e-5)
    gradient = -2 * np.mean(weight * centre, axis=0, keepdims=True) / centre[0].size
    np.testing.assert_allclose(learned, -gradient, rtol=1e-4, atol=1e-8)


def test_the_critic_of_whole_images_judges_what_is_used_of_a_prediction():
    """Pixels that stay as they are cannot give a prediction away."""
    images = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3), minval=-1.0)
    model = ContextEncoder(predicts="image", holes=("center:6",), overlap=0, adversarial=0.5)
    step = picture_step(model, critic=Network(Critic(2), optimizer(Adam(), steps=1)))
    grey = jnp.zeros((1, 16, 16, 3))
    pictures = (grey, grey.at[:, :5].set(1), grey.at[:, 5:6].set(1))  # the hole begins at row 5
    reports = [step(picture, images)[0] for picture in pictures]
    assert reports[0] == reports[1]
    assert reports[0]["critic/fake"] != reports[2]["critic/fake"]
    assert reports[0]["loss/reconstruction"] != reports[2]["loss/reconstruction"]


def test_reconstructing_the_image_counts_every_pixel_and_judges_the_raw_prediction():
    images = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3), minval=-1.0)
    model = ContextEncoder(
        predicts="image", holes=("center:6",), reconstructs="image", overlap=0, adversarial=0.5
    )
    step = picture_step(model, critic=Network(Critic(2), optimizer(Adam(), steps=1)))
    grey = jnp.zeros((1, 16, 16, 3))
    reports = [step(picture, images)[0] for picture in (grey, grey.at[:, :5].set(1))]
    square = np.mean(np.asarray(images, np.float64) ** 2)
    assert reports[0]["loss/reconstruction"] == pytest.approx(square, rel=1e-5)
    assert reports[0]["critic/fake"] != reports[1]["critic/fake"]


def test_by_the_logarithm_every_image_pulls_alike():
    """The gradient of an image then goes with how far off it is, and not with its square."""
    model = ContextEncoder(predicts="image", overlap=0, adversarial=0.0, error="logarithm")
    step, images = picture_step(model), np.full((4, 8, 8, 3), 0.25, np.float32)
    scalars, picture = step(np.zeros((1, 8, 8, 3), np.float32), images)
    assert scalars["loss/reconstruction"] == pytest.approx(np.log(0.25**2), rel=1e-4)
    # d log(mean d^2) = 2 d / (pixels * mean d^2), for each of the 4x4 pixels in the hole
    np.testing.assert_allclose(picture[0, 2:6, 2:6], 2 / 0.25 / 48, rtol=1e-4)


def test_a_predicted_centre_overlaps_its_hole_on_every_side():
    assert context_encoder.training_holes(ContextEncoder(overlap=7), 128) == (
        HoleKind("center", 50),
    )
    model = ContextEncoder(predicts="image", holes=("block:12", "random:0.3"))
    assert context_encoder.training_holes(model, 64) == (
        HoleKind("block", 12),
        HoleKind("random", 0.3),
    )


def test_a_context_encoder_shows_what_it_saw_what_it_made_of_it_and_the_truth():
    experiment = tiny.context_encoder_alone()
    images = jax.random.uniform(jax.random.key(1), (2, 32, 32, 3), minval=-1.0)
    preview = tiny.jit(systems.build(experiment).preview)
    rows = preview(
        untrained.game(experiment).inference_variables,
        images,
        jax.random.split(jax.random.key(2), 2),
    )
    painted, completed, truth = np.moveaxis(np.asarray(rows), 1, 0)
    known = (painted == truth).all(axis=-1)
    np.testing.assert_array_equal(truth, images)
    np.testing.assert_array_equal(completed[known], truth[known])
    assert set(np.sum(~known, axis=(1, 2))) <= {12 * 12, round(0.3 * 32 * 32)}
    assert (completed[~known] != painted[~known]).any(axis=-1).all()
