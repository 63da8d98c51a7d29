"""The networks have the published shapes, sizes and starting values, and judge each image alone.

After a change of `tests/golden/initialisers.txt` that is meant: UPDATE_GOLDEN=1 pytest this file,
and say in the commit why every number of weights or spread of starting values moved.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from ce_jax import losses
from ce_jax.models import context_encoder, dcgan, vae
from ce_jax.models.smooth_fill import smooth_fill

# The kernels of the networks between 64 pixels and 4x4, from the image inwards, as published.
STEM = 4 * 4 * 3 * 64
CHAIN = 4 * 4 * (64 * 128 + 128 * 256 + 256 * 512)


def variables_of(module, *shape):
    """Shapes of all variables, of outputs on two inputs; nothing is computed."""
    inputs = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    outputs, variables = jax.eval_shape(
        lambda key, x: module.init_with_output(key, x, train=False), jax.random.key(0), inputs
    )
    return variables, outputs.shape


def weights(variables, *, norm):
    """How many trainable numbers belong to BatchNorm (norm) or to convolutions and products."""
    leaves = jax.tree_util.tree_leaves_with_path(variables["params"])
    return sum(leaf.size for path, leaf in leaves if ("BatchNorm" in str(path)) == norm)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_every_network_has_its_shapes_at_every_size(size):
    assert variables_of(dcgan.Generator(size), 100)[1] == (2, size, size, 3)
    assert variables_of(dcgan.Generator(size, kernel=5), 100)[1] == (2, size, size, 3)
    assert variables_of(dcgan.Critic(), size, size, 3)[1] == (2,)
    assert variables_of(dcgan.Critic(kernel=5, head="softmax"), size, size, 3)[1] == (2,)
    assert variables_of(dcgan.Critic(), size // 2, size // 2, 3)[1] == (2,)
    for output in (size // 2, size):
        module = context_encoder.ContextEncoder(output)
        assert variables_of(module, size, size, 3)[1] == (2, output, output, 3)


def test_the_dcgan_has_the_weights_of_the_published_network():
    """PyTorch's example (main.py, nz=100, ngf=ndf=64): 3,576,704 and 2,765,568 parameters."""
    generator, _ = variables_of(dcgan.Generator(64, 64), 100)
    assert weights(generator, norm=False) == 100 * 4 * 4 * 512 + CHAIN + STEM == 3_574_784
    assert weights(generator, norm=True) == 2 * (512 + 256 + 128 + 64) == 1_920
    critic, _ = variables_of(dcgan.Critic(64), 64, 64, 3)
    assert weights(critic, norm=False) == STEM + CHAIN + 4 * 4 * 512 == 2_763_776
    assert weights(critic, norm=True) == 2 * (128 + 256 + 512) == 1_792


def test_the_dcgan_of_its_authors_has_the_weights_of_their_code():
    """Newmu's faces/train_uncond_dcgan.py: 5x5, ngf=ndf=128; but gains and biases by channel."""
    convolutions = 5 * 5 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 1024)
    generator, _ = variables_of(dcgan.Generator(64, 128, kernel=5), 100)
    assert weights(generator, norm=False) == 100 * 4 * 4 * 1024 + convolutions
    critic, _ = variables_of(dcgan.Critic(128, kernel=5), 64, 64, 3)
    assert weights(critic, norm=False) == convolutions + 4 * 4 * 1024


def test_a_softmax_over_two_classes_is_the_sigmoid_of_their_difference():
    """Outputs -w/2 and w/2 give the probabilities, losses and gradients of one logit w."""
    images = jax.random.uniform(jax.random.key(0), (4, 32, 32, 3), minval=-1.0)
    variables = jax.tree.map(lambda leaf: 5 * leaf, started(dcgan.Critic(4), (32, 32, 3)))
    kernel = variables["params"]["Dense_0"]["kernel"]

    def judged(head, kernel, images):
        """The logit, and what the last layer says, on photographs."""
        critic = dcgan.Critic(4, head=head)
        params = variables["params"] | {"Dense_0": {"kernel": kernel}}
        logit, seen = critic.apply(
            variables | {"params": params}, images, train=False, capture_intermediates=True
        )
        (last,) = seen["intermediates"]["Dense_0"]["__call__"]
        return logit, last

    def two_classes(kernel, images):
        logit, last = judged("softmax", kernel, images)
        probability = jax.nn.softmax(last)[:, 1]
        return -jnp.sum(jnp.log(probability)), (probability, logit)

    def one_logit(kernel, images):
        logit, _ = judged("logit", kernel, images)
        return jnp.sum(losses.adversarial_loss(logit)), (jax.nn.sigmoid(logit), logit)

    ours, theirs = (
        tiny.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(kernel, images)
        for loss, kernel in (
            (two_classes, jnp.concatenate([-kernel / 2, kernel / 2], axis=1)),
            (one_logit, kernel),
        )
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), ours[0], theirs[0])
    (slopes, by_image), (slope, same_by_image) = ours[1], theirs[1]
    np.testing.assert_allclose(slopes, np.hstack([-slope, slope]), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(by_image, same_by_image, rtol=1e-3, atol=1e-6)
    assert np.ptp(ours[0][1][0]) > 0.01  # not all images are judged alike


def test_a_vae_draws_z_with_the_mean_and_the_spread_of_its_encoder():
    module = autoencoder(learn_scale=False)
    variables = started(module, (32, 32, 3), (20,))
    images = jax.random.uniform(jax.random.key(0), (3, 32, 32, 3), minval=-1.0)
    noise = jax.random.normal(jax.random.key(1), (3, 20))

    @tiny.jit
    def seen_and_decoded(variables):
        seen = module.apply(variables, images, noise, train=False)
        z = seen.mean + jnp.exp(seen.log_variance) ** 0.5 * noise
        return seen, module.decoder.apply(vae.decoder_of(variables), z, train=False)

    seen, decoded = seen_and_decoded(variables)
    np.testing.assert_allclose(seen.images, decoded, atol=1e-6)
    assert seen.mean.shape == seen.log_variance.shape == (3, 20)
    assert seen.log_scale == pytest.approx(np.log(0.5))
    assert "log_scale" not in variables["params"]


def test_the_context_encoder_has_the_weights_of_the_published_network():
    """The authors' train.lua: 128x128 images, 64x64 centre, nef=ngf=64, nBottleneck=4000."""
    variables, _ = variables_of(context_encoder.ContextEncoder(64, 64, 4000), 128, 128, 3)
    encoder = STEM + 4 * 4 * 64 * 64 + CHAIN
    bottleneck = 2 * (4 * 4 * 512) * 4000
    decoder = CHAIN + STEM
    assert weights(variables, norm=False) == encoder + bottleneck + decoder == 71_112_704
    channels = (64, 128, 256, 512, 4000, 512, 256, 128, 64)
    assert weights(variables, norm=True) == 2 * sum(channels)


def test_skips_widen_what_each_layer_of_the_decoder_is_shown_and_nothing_else():
    plain, skipping = (
        variables_of(context_encoder.ContextEncoder(64, 8, 16, skips=skips), 64, 64, 4)[0]
        for skips in (False, True)
    )
    before, after = (variables["params"] for variables in (plain, skipping))
    changed = {
        name
        for name in before
        if np.shape(jax.tree.leaves(before[name])[0]) != np.shape(jax.tree.leaves(after[name])[0])
    }
    assert changed == {"Upsample_1", "Upsample_2", "Upsample_3"}
    for name in changed:
        (narrow,), (wide,) = (jax.tree.leaves(params[name]) for params in (before, after))
        assert wide.shape == (*narrow.shape[:-1], 2 * narrow.shape[-1])


def autoencoder(*, learn_scale=True):
    """Not the default in anything: 5x5, and a scale of a half."""
    encoder, decoder = vae.Encoder(latent=20, width=16, kernel=5), dcgan.Generator(32, 16, kernel=5)
    return vae.Vae(encoder, decoder, scale=0.5, learn_scale=learn_scale)


SMALL = {
    "generator32": (dcgan.Generator(32, 16), (20,)),
    "critic32": (dcgan.Critic(16), (32, 32, 3)),
    "context_encoder32": (context_encoder.ContextEncoder(16, 16, 50), (32, 32, 3)),
    "channel_wise32": (context_encoder.ContextEncoder(32, 8, "channel-wise", 4), (32, 32, 4)),
}


def started(module, *shapes):
    """Starting values, compiled as quickly as possible."""
    init = tiny.jit(lambda key, *x: module.init(key, *x, train=False))
    return jax.device_get(init(jax.random.key(0), *(jnp.zeros((1, *shape)) for shape in shapes)))


def test_starting_values_have_the_committed_names_shapes_and_spread(assert_committed_start):
    modules = SMALL | {"vae32": (autoencoder(), (32, 32, 3), (20,))}
    starts = ({name: started(*of)} for name, of in modules.items())
    assert_committed_start("initialisers", *starts)


LONG = "context_encoder32"  # to compile; but for one layer it is channel_wise32


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        pytest.param(*of, id=name, marks=[pytest.mark.slow] if name == LONG else [])
        for name, of in SMALL.items()
    ],
)
def test_an_image_depends_on_its_batch_mates_in_training_only(module, shape):
    batch = jax.random.uniform(jax.random.key(0), (4, *shape), minval=-1.0)
    others = jax.random.uniform(jax.random.key(1), (4, *shape), minval=-1.0).at[0].set(batch[0])
    # Larger weights than at the start, as after training: nothing drowns in the stored statistics.
    variables = jax.tree.map(lambda leaf: 5 * leaf, started(module, shape))

    @tiny.jit
    def both(variables, batch):
        trained, updated = module.apply(variables, batch, train=True, mutable=["batch_stats"])
        return trained, module.apply(variables, batch, train=False), updated

    trained, stored, updated = both(variables, batch)
    trained_with_others, stored_with_others, _ = both(variables, others)
    assert (trained[0] != trained_with_others[0]).any()
    np.testing.assert_array_equal(stored[0], stored_with_others[0])
    for i in (1, 2, 3):
        assert (stored[i] != stored_with_others[i]).any()
    assert jax.tree.structure(updated["batch_stats"]) == jax.tree.structure(
        variables["batch_stats"]
    )
    if not isinstance(module, dcgan.Critic):
        assert 1e-3 < jnp.max(jnp.abs(stored)) <= 1


def test_painting_hides_what_was_in_the_hole_and_nothing_else():
    images = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3), minval=-1.0)
    hole = jax.random.bernoulli(jax.random.key(1), 0.5, (2, 8, 8, 1))
    colour = (117, 104, 250)
    painted = np.asarray(context_encoder.paint(images, hole, colour=colour, hole_channel=False))
    with_hole = context_encoder.paint(images, hole, colour=colour, hole_channel=True)
    np.testing.assert_array_equal(with_hole, np.concatenate([painted, hole], axis=-1))
    everywhere = np.broadcast_to(hole, images.shape)
    np.testing.assert_array_equal(painted[~everywhere], np.asarray(images)[~everywhere])
    bytes_in_hole = ((painted + 1) * 127.5)[np.asarray(hole[..., 0])]
    np.testing.assert_allclose(bytes_in_hole, np.tile(colour, (len(bytes_in_hole), 1)), rtol=1e-5)


def test_a_network_that_has_learned_nothing_says_the_smooth_fill_if_it_is_residual():
    """Its last layer, of weights 0, adds nothing to what it is shown."""
    images = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3), minval=-1.0)
    hole = jax.random.bernoulli(jax.random.key(1), 0.5, (2, 32, 32, 1))
    module = context_encoder.ContextEncoder(32, 4, 8, skips=True, residual=True)
    variables = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), variables_of(module, 32, 32, 4)[0])

    @tiny.jit
    def said_and_shown(images, hole):
        shown = context_encoder.paint(images, hole, colour=None, hole_channel=True)
        return module.apply(variables, shown, train=False), smooth_fill(images, hole)

    np.testing.assert_array_equal(*said_and_shown(images, hole))


def test_the_centre_is_cut_out_and_pasted_back_in_the_same_place():
    images = jnp.arange(2 * 8 * 8 * 3.0).reshape(2, 8, 8, 3)
    patch = context_encoder.center(images)
    np.testing.assert_array_equal(patch, images[:, 2:6, 2:6])
    np.testing.assert_array_equal(context_encoder.paste_center(images, patch), images)
    pasted = context_encoder.paste_center(jnp.zeros_like(images), patch)
    np.testing.assert_array_equal(context_encoder.center(pasted), patch)
    assert jnp.count_nonzero(pasted) == patch.size
