"""The networks have the published shapes, sizes and starting values, and judge each image alone.

After a change of `tests/golden/initialisers.txt` that is meant: UPDATE_GOLDEN=1 pytest this file,
and say in the commit why every number of weights or spread of starting values moved.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax.models import context_encoder, dcgan

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
    assert variables_of(dcgan.Critic(), size, size, 3)[1] == (2,)
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


def test_the_context_encoder_has_the_weights_of_the_published_network():
    """The authors' train.lua: 128x128 images, 64x64 centre, nef=ngf=64, nBottleneck=4000."""
    variables, _ = variables_of(context_encoder.ContextEncoder(64, 64, 4000), 128, 128, 3)
    encoder = STEM + 4 * 4 * 64 * 64 + CHAIN
    bottleneck = 2 * (4 * 4 * 512) * 4000
    decoder = CHAIN + STEM
    assert weights(variables, norm=False) == encoder + bottleneck + decoder == 71_112_704
    channels = (64, 128, 256, 512, 4000, 512, 256, 128, 64)
    assert weights(variables, norm=True) == 2 * sum(channels)


SMALL = {
    "generator32": (dcgan.Generator(32, 16), (20,)),
    "critic32": (dcgan.Critic(16), (32, 32, 3)),
    "context_encoder32": (context_encoder.ContextEncoder(16, 16, 50), (32, 32, 3)),
    "channel_wise32": (context_encoder.ContextEncoder(32, 8, "channel-wise", 4), (32, 32, 4)),
}


def started(module, shape):
    """Starting values, compiled as quickly as possible."""
    quickly = {"xla_backend_optimization_level": "0"}
    init = jax.jit(lambda key, x: module.init(key, x, train=False), compiler_options=quickly)
    return jax.device_get(init(jax.random.key(0), jnp.zeros((1, *shape))))


def test_starting_values_have_the_committed_names_shapes_and_spread(golden):
    lines = []
    for name, (module, shape) in SMALL.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(started(module, shape)):
            where = "/".join(str(key.key) for key in path)
            sides = "x".join(map(str, leaf.shape))
            # Three decimals: the numbers of a key are firm, the last bits of a logarithm are not.
            lines.append(f"{name}/{where} {sides} {leaf.mean():.3f} {leaf.std():.3f}")
    found = "\n".join(lines).replace("-0.000", "0.000") + "\n"
    assert found == golden("initialisers.txt", found), "if this is meant: UPDATE_GOLDEN=1 pytest"


@pytest.mark.parametrize(("module", "shape"), SMALL.values(), ids=SMALL)
def test_an_image_depends_on_its_batch_mates_in_training_only(module, shape):
    batch = jax.random.uniform(jax.random.key(0), (4, *shape), minval=-1.0)
    others = jax.random.uniform(jax.random.key(1), (4, *shape), minval=-1.0).at[0].set(batch[0])
    # Larger weights than at the start, as after training: nothing drowns in the stored statistics.
    variables = jax.tree.map(lambda leaf: 5 * leaf, started(module, shape))

    @jax.jit
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


def test_the_centre_is_cut_out_and_pasted_back_in_the_same_place():
    images = jnp.arange(2 * 8 * 8 * 3.0).reshape(2, 8, 8, 3)
    patch = context_encoder.center(images)
    np.testing.assert_array_equal(patch, images[:, 2:6, 2:6])
    np.testing.assert_array_equal(context_encoder.paste_center(images, patch), images)
    pasted = context_encoder.paste_center(jnp.zeros_like(images), patch)
    np.testing.assert_array_equal(context_encoder.center(pasted), patch)
    assert jnp.count_nonzero(pasted) == patch.size
