"""The convolutions agree with loops, the native ones and PyTorch, up to their second derivatives.

Tolerances: sums of fewer than 300 products of numbers near 1 in float32.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from ce_jax.models import convolution

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
CASES = {
    "an image": {"large": (2, 8, 4, 3), "small": (2, 4, 2, 5), "kernel": (4, 4, 3, 5)},
    "features": {"large": (2, 8, 4, 16), "small": (2, 4, 2, 5), "kernel": (4, 4, 16, 5)},
    "odd features": {"large": (2, 6, 4, 16), "small": (2, 3, 2, 5), "kernel": (4, 4, 16, 5)},
    "side 5": {"large": (2, 8, 4, 16), "small": (2, 4, 2, 5), "kernel": (5, 5, 16, 5)},
    "side 5, an image": {"large": (2, 6, 4, 3), "small": (2, 3, 2, 5), "kernel": (5, 5, 3, 5)},
}


@pytest.fixture(params=CASES)
def shapes(request):
    """Few channels, many channels, many of an odd number of rows; the larger kernel."""
    return CASES[request.param]


def drawn(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def touching(large_shape, small_shape, side):
    """Every (i, j, k, l = m) of the module's docstring whose pixel lies inside the large image."""
    (_, height, width, _), (_, h, w, _) = large_shape, small_shape
    for i, j, k, m in np.ndindex(h, w, side, side):
        row, column = 2 * i + k - 1, 2 * j + m - 1
        if 0 <= row < height and 0 <= column < width:
            yield i, j, k, m, row, column


def downsample_by_loops(large, kernel):
    (b, height, width, _), o = large.shape, kernel.shape[-1]
    small = np.zeros((b, height // 2, width // 2, o))
    for i, j, k, m, row, column in touching(large.shape, small.shape, len(kernel)):
        small[:, i, j] += large[:, row, column] @ kernel[k, m]
    return small


def upsample_by_loops(small, kernel):
    b, h, w, _ = small.shape
    large = np.zeros((b, 2 * h, 2 * w, kernel.shape[2]))
    for i, j, k, m, row, column in touching(large.shape, small.shape, len(kernel)):
        large[:, row, column] += small[:, i, j] @ kernel[k, m].T
    return large


def correlate_by_loops(large, small, side):
    kernel = np.zeros((side, side, large.shape[-1], small.shape[-1]))
    for i, j, k, m, row, column in touching(large.shape, small.shape, side):
        kernel[k, m] += large[:, row, column].T @ small[:, i, j]
    return kernel


MAPS = {
    "downsample": (("large", "kernel"), downsample_by_loops),
    "upsample": (("small", "kernel"), upsample_by_loops),
    "correlate": (("large", "small"), correlate_by_loops),
}


def forms(name, shapes):
    """A map as it is used, as a native convolution, in matrix products, and by loops."""
    functions = [getattr(convolution, form.format(name)) for form in ("{}", "_{}_native")]
    functions += [getattr(convolution, f"_{name}_products"), MAPS[name][1]]
    if name == "correlate":
        return [functools.partial(function, side=shapes["kernel"][0]) for function in functions]
    used, native, products, by_loops = functions
    size = shapes["small"][1:3]
    return [used, made_ready(native, size), made_ready(products, size), by_loops]


def made_ready(function, size):
    """A map that takes an image and a kernel as it is."""
    return lambda image, kernel: function(image, convolution._prepared(size, kernel))


@pytest.mark.parametrize("name", MAPS)
def test_every_form_of_a_map_is_the_sum_in_the_docstring(name, shapes):
    arrays = [drawn(shapes[argument]) for argument in MAPS[name][0]]
    *ours, by_loops = forms(name, shapes)
    expected = by_loops(*(np.asarray(array, np.float64) for array in arrays))
    for form in ours:
        np.testing.assert_allclose(tiny.jit(form)(*arrays), expected, **CLOSE)


@pytest.mark.parametrize("name", MAPS)
def test_the_products_round_no_worse_than_the_native_convolutions(name):
    """In units of the largest output; sums of 16 x 32 and more numbers of either sign."""
    shapes = {"large": (8, 16, 16, 32), "small": (8, 8, 8, 48), "kernel": (4, 4, 32, 48)}
    arrays = [drawn(shapes[argument]) for argument in MAPS[name][0]]
    _, native, products, by_loops = forms(name, shapes)
    expected = by_loops(*(np.asarray(array, np.float64) for array in arrays))
    ours, native = (
        np.abs(tiny.jit(form)(*arrays) - expected).max() / np.abs(expected).max()
        for form in (products, native)
    )
    assert ours < max(2 * native, 1e-6)


@pytest.mark.parametrize("name", MAPS)
def test_first_and_second_derivatives_are_those_of_the_native_convolutions(name, shapes):
    arrays = [drawn(shapes[argument]) / 2 for argument in MAPS[name][0]]

    def penalty(form):
        def loss(*arrays):
            return jnp.sum(jnp.sin(form(*arrays)))

        def squared_gradient(*arrays):  # as in a gradient penalty
            return sum(jnp.vdot(g, g) for g in jax.grad(loss, argnums=(0, 1))(*arrays))

        return tiny.jit(
            lambda *a: (jax.grad(loss, (0, 1))(*a), jax.grad(squared_gradient, (0, 1))(*a))
        )

    ours, native = (penalty(form)(*arrays) for form in forms(name, shapes)[:2])
    for found, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(native), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3)
        assert jnp.max(jnp.abs(expected)) > 1  # there was something to get wrong


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", ["downsample", "upsample"])
def test_a_prepared_kernel_does_what_it_did_to_an_image_and_its_gradient(name, dtype):
    """Bit by bit, for sizes that its matrices were not made for."""
    for sizes in CASES["features"], CASES["side 5"], CASES["an image"]:
        image, kernel = (drawn(sizes[each]).astype(dtype) for each in MAPS[name][0])
        convolve = getattr(convolution, name)

        def both(image, kernel, convolve=convolve):
            made, pull_back = jax.vjp(lambda image: convolve(image, kernel), image)
            return made, *pull_back(jnp.sin(made))

        found = tiny.jit(both)(image, tiny.jit(convolution.prepare)(kernel))
        for ours, expected in zip(found, tiny.jit(both)(image, kernel), strict=True):
            np.testing.assert_array_equal(ours, expected)
            assert ours.dtype == dtype


@pytest.mark.parametrize("name", ["downsample", "upsample"])
def test_layers_equal_those_of_pytorch(name, shapes):
    """Which knows no padding that differs before and after: it is given zeros, or cut off."""
    torch = pytest.importorskip("torch")
    image = drawn(shapes["large" if name == "downsample" else "small"])
    kernel = drawn(shapes["kernel"], 1)
    more = len(kernel) - 4
    theirs, weight = (
        torch.tensor(np.asarray(array))
        for array in (image.transpose(0, 3, 1, 2), kernel.transpose(3, 2, 0, 1))
    )
    if name == "downsample":
        theirs = torch.nn.functional.pad(theirs, (1, 1 + more, 1, 1 + more))
        theirs = torch.nn.functional.conv2d(theirs, weight, stride=2)
    else:
        theirs = torch.nn.functional.conv_transpose2d(theirs, weight, stride=2, padding=1)
        theirs = theirs[..., : 2 * image.shape[1], : 2 * image.shape[2]]
    ours = tiny.jit(getattr(convolution, name))(image, kernel)
    np.testing.assert_allclose(ours.transpose(0, 3, 1, 2), theirs.numpy(), **CLOSE)


def lowered(name, shapes, platform):
    arguments = (jax.ShapeDtypeStruct(shapes[argument], jnp.float32) for argument in MAPS[name][0])
    traced = jax.jit(forms(name, shapes)[0]).trace(*arguments)
    return traced.lower(lowering_platforms=(platform,))


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
@pytest.mark.parametrize("name", MAPS)
def test_the_cpu_gets_matrix_products_and_accelerators_the_native_convolution(
    name, platform, shapes
):
    text = lowered(name, shapes, platform).as_text()
    found = {kind for kind in ("convolution", "dot_general") if f"stablehlo.{kind}" in text}
    assert found == {"dot_general" if platform == "cpu" else "convolution"}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize(
    ("case", "products"), [("features", 9), ("odd features", 1), ("side 5", 1)]
)
def test_pairs_of_outputs_take_nine_products_of_sixteen(name, case, products):
    text = lowered(name, CASES[case], "cpu").as_text()
    assert text.count("stablehlo.dot_general") == products
