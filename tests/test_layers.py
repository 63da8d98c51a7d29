"""The layers agree with loops, native convolutions and PyTorch, up to their second derivatives.

Tolerances: sums of fewer than 300 products of numbers near 1 in float32.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ce_jax.models import layers

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
SHAPES = {"large": (2, 6, 4, 3), "small": (2, 3, 2, 5), "kernel": (4, 4, 3, 5)}


def drawn(name, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(SHAPES[name]), jnp.float32)


def touching(large_shape, small_shape):
    """Every (i, j, k, l = m) of the module's docstring whose pixel lies inside the large image."""
    (_, height, width, _), (_, h, w, _) = large_shape, small_shape
    for i, j, k, m in np.ndindex(h, w, 4, 4):
        row, column = 2 * i + k - 1, 2 * j + m - 1
        if 0 <= row < height and 0 <= column < width:
            yield i, j, k, m, row, column


def downsample_by_loops(large, kernel):
    small = np.zeros(SHAPES["small"])
    for i, j, k, m, row, column in touching(large.shape, small.shape):
        small[:, i, j] += large[:, row, column] @ kernel[k, m]
    return small


def upsample_by_loops(small, kernel):
    large = np.zeros(SHAPES["large"])
    for i, j, k, m, row, column in touching(large.shape, small.shape):
        large[:, row, column] += small[:, i, j] @ kernel[k, m].T
    return large


def correlate_by_loops(large, small):
    kernel = np.zeros(SHAPES["kernel"])
    for i, j, k, m, row, column in touching(large.shape, small.shape):
        kernel[k, m] += large[:, row, column].T @ small[:, i, j]
    return kernel


MAPS = {
    "downsample": (("large", "kernel"), downsample_by_loops),
    "upsample": (("small", "kernel"), upsample_by_loops),
    "correlate": (("large", "small"), correlate_by_loops),
}
NATIVE = {
    "downsample": layers._downsample_native,
    "upsample": layers._upsample_native,
    "correlate": layers._correlate_native,
}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("downsample", layers.downsample),
        ("upsample", layers.upsample),
        ("upsample", layers._upsample_native),
        ("upsample", layers._upsample_product),
        ("correlate", layers.correlate),
        ("correlate", layers._correlate_native),
        ("correlate", layers._correlate_product),
    ],
)
def test_each_form_of_a_map_is_the_sum_in_the_docstring(name, form):
    arguments, by_loops = MAPS[name]
    arrays = [drawn(argument) for argument in arguments]
    expected = by_loops(*(np.asarray(array, np.float64) for array in arrays))
    np.testing.assert_allclose(form(*arrays), expected, **CLOSE)


def test_the_three_maps_are_each_others_transposes():
    large, small, kernel = drawn("large"), drawn("small", 1), drawn("kernel", 2)
    products = (
        jnp.vdot(layers.downsample(large, kernel), small),
        jnp.vdot(large, layers.upsample(small, kernel)),
        jnp.vdot(kernel, layers.correlate(large, small)),
    )
    np.testing.assert_allclose(products, products[0], rtol=1e-4)


@pytest.mark.parametrize("name", MAPS)
def test_first_and_second_derivatives_are_those_of_the_native_convolutions(name):
    arguments, _ = MAPS[name]
    arrays = [drawn(argument) for argument in arguments]

    def penalty(form):
        def loss(*arrays):
            return jnp.sum(jnp.sin(form(*arrays)))

        def squared_gradient(*arrays):  # as in a gradient penalty
            return sum(jnp.vdot(g, g) for g in jax.grad(loss, argnums=(0, 1))(*arrays))

        return jax.jit(
            lambda *a: (jax.grad(loss, (0, 1))(*a), jax.grad(squared_gradient, (0, 1))(*a))
        )

    ours, native = (penalty(form)(*arrays) for form in (getattr(layers, name), NATIVE[name]))
    for found, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(native), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3)
        assert jnp.max(jnp.abs(expected)) > 1  # there was something to get wrong


@pytest.mark.parametrize("name", ["downsample", "upsample"])
def test_layers_equal_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    image = drawn("large" if name == "downsample" else "small")
    kernel = drawn("kernel", 1)
    convolve = {
        "downsample": torch.nn.functional.conv2d,
        "upsample": torch.nn.functional.conv_transpose2d,
    }[name]
    theirs = convolve(
        torch.tensor(np.asarray(image.transpose(0, 3, 1, 2))),
        torch.tensor(np.asarray(kernel.transpose(3, 2, 0, 1))),
        stride=2,
        padding=1,
    )
    ours = getattr(layers, name)(image, kernel)
    np.testing.assert_allclose(ours.transpose(0, 3, 1, 2), theirs.numpy(), **CLOSE)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
@pytest.mark.parametrize("name", ["upsample", "correlate"])
def test_the_cpu_gets_a_matrix_product_and_accelerators_the_native_convolution(name, platform):
    shapes = (jax.ShapeDtypeStruct(SHAPES[argument], jnp.float32) for argument in MAPS[name][0])
    traced = jax.jit(getattr(layers, name)).trace(*shapes)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    found = {kind for kind in ("convolution", "dot_general") if f"stablehlo.{kind}" in text}
    assert found == {"dot_general" if platform == "cpu" else "convolution"}


def test_the_kernel_gradient_of_a_strided_convolution_is_a_matrix_product_on_the_cpu():
    shapes = (
        jax.ShapeDtypeStruct(SHAPES[argument], jnp.float32) for argument in MAPS["downsample"][0]
    )
    gradient = jax.jit(jax.grad(lambda x, k: jnp.sum(layers.downsample(x, k) ** 2), argnums=1))
    text = gradient.trace(*shapes).lower(lowering_platforms=("cpu",)).as_text()
    assert text.count("stablehlo.convolution") == 1  # the forward pass
    assert text.count("stablehlo.dot_general") == 1


@pytest.mark.parametrize(
    ("layer", "out", "kernel"),
    [
        (layers.Downsample(7), (2, 4, 3, 7), (4, 4, 5, 7)),
        (layers.Upsample(7), (2, 16, 12, 7), (4, 4, 7, 5)),
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


def test_leaky_relu_has_the_slope_of_the_papers():
    np.testing.assert_allclose(
        layers.leaky_relu(jnp.array([-2.0, 0.0, 3.0])), [-0.4, 0.0, 3.0], rtol=1e-6
    )
