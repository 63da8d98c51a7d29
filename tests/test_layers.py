"""The layers have the shapes, the initial values and the constants of the papers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax.models import layers


@pytest.mark.parametrize(
    ("layer", "out", "kernel"),
    [
        (layers.Downsample(7), (2, 4, 3, 7), (4, 4, 5, 7)),
        (layers.Upsample(7), (2, 16, 12, 7), (4, 4, 7, 5)),
        (layers.Downsample(7, side=5), (2, 4, 3, 7), (5, 5, 5, 7)),
        (layers.Upsample(7, side=5), (2, 16, 12, 7), (5, 5, 7, 5)),
    ],
)
def test_layers_halve_and_double_and_have_one_kernel_and_no_bias(layer, out, kernel):
    images = jnp.ones((2, 8, 6, 5))
    outputs, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), images)
    assert outputs.shape == out
    assert jax.tree.map(jnp.shape, variables) == {"params": {"kernel": kernel}}


def test_kernels_start_as_in_the_dcgan_paper():
    kernel = layers.Downsample(64).init(jax.random.key(0), jnp.ones((1, 2, 2, 64)))
    values = np.asarray(kernel["params"]["kernel"])
    assert abs(values.mean()) < 5 * 0.02 / values.size**0.5
    assert values.std() == pytest.approx(0.02, rel=0.01)


def test_batch_norm_normalises_a_training_batch_and_remembers_a_tenth_of_it():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (64, 4, 4, 256))
    module = layers.BatchNorm(train=True)
    variables = module.init(jax.random.key(1), x)
    scale = np.asarray(variables["params"]["BatchNorm_0"]["scale"])
    assert scale.mean() == pytest.approx(1, abs=0.005)
    assert scale.std() == pytest.approx(0.02, rel=0.15)
    np.testing.assert_array_equal(variables["params"]["BatchNorm_0"]["bias"], 0)

    outputs, updated = module.apply(variables, x, mutable=["batch_stats"])
    np.testing.assert_allclose(outputs.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(outputs.std((0, 1, 2)), scale, rtol=1e-3)
    kept = updated["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(kept["mean"], 0.1 * x.mean((0, 1, 2)), rtol=1e-3)
    np.testing.assert_allclose(kept["var"], 0.9 + 0.1 * x.var((0, 1, 2)), rtol=1e-3)

    stored = {
        **variables,
        "batch_stats": {"BatchNorm_0": {"mean": jnp.full(256, 3.0), "var": jnp.full(256, 4.0)}},
    }
    outputs = layers.BatchNorm(train=False).apply(stored, x)
    np.testing.assert_allclose(outputs, scale * (np.asarray(x) - 3) / 2, rtol=1e-4, atol=1e-4)


def test_a_channel_wise_layer_connects_the_places_of_each_map_and_no_maps():
    """m maps of n x n take m n^4 weights; the oracle is one matrix for each map."""
    x = jax.random.normal(jax.random.key(0), (2, 6, 6, 5))
    module = layers.ChannelWise()
    variables = module.init(jax.random.key(1), x)
    kernel = np.asarray(variables["params"]["kernel"])
    assert kernel.size == 5 * 6**4
    expected = [x[..., m].reshape(2, 36) @ kernel[..., m] for m in range(5)]
    expected = np.stack(expected, axis=-1).reshape(x.shape)
    np.testing.assert_allclose(module.apply(variables, x), expected, rtol=1e-4, atol=1e-5)


def test_leaky_relu_has_the_slope_of_the_papers():
    np.testing.assert_allclose(
        layers.leaky_relu(jnp.array([-2.0, 0.0, 3.0])), [-0.4, 0.0, 3.0], rtol=1e-6
    )
