"""In bfloat16 a network multiplies; what it learns, remembers and is judged by is float32.

Tolerance of one step: bfloat16 keeps 8 bits of a number, so that a product is off by up to 2^-8;
losses, which are means over thousands of them, agree to 1 %.
"""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from ce_jax import systems
from ce_jax.models import convolution

ROUGH = replace(tiny.dcgan(), precision="bfloat16")


def assert_a_step_is_alike(experiment):
    rough = replace(experiment, precision="bfloat16")
    (exact, (scalars,)), (game, (found,)) = (
        tiny.play(run, tiny.batch(0)) for run in (experiment, rough)
    )
    assert {leaf.dtype.name for leaf in jax.tree.leaves(game)} == {"float32", "int32"}
    assert found == pytest.approx(scalars, rel=1e-2)
    assert found != scalars
    for player in ("generator", "critic"):
        ours, theirs = (getattr(state, player) for state in (game, exact))
        for a, b in zip(
            jax.tree.leaves(getattr(ours, "batch_stats", {})),
            jax.tree.leaves(getattr(theirs, "batch_stats", {})),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(tiny.EVERY_KIND))
def test_one_step_is_that_of_float32_within_a_hundredth(kind):
    assert_a_step_is_alike(tiny.EVERY_KIND[kind])


def test_what_multiplies_is_bfloat16_and_nothing_else_is():
    """In the program of a TPU: every convolution, and no loss, statistic or optimiser."""
    system = systems.build(ROUGH)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 16))
    images = jax.ShapeDtypeStruct((16, 32, 32, 3), jnp.float32)
    traced = jax.jit(system.step).trace(tiny.start(ROUGH), images, keys)
    lines = traced.lower(lowering_platforms=("tpu",)).as_text().splitlines()
    convolutions = [line for line in lines if "stablehlo.convolution" in line]
    assert len(convolutions) > 10
    for line in convolutions:
        factors, _, result = line.rpartition(" : ")[2].partition(" -> ")
        assert factors.count("bf16>") == 2, line
        # Sums that become the gradient of a kernel stay in float32.
        assert ("xf32>" in result) == ("[b, 0, 1, f]x" not in line), line
    # Losses are softplus: of the first two, whose slope need not be a logistic function.
    occur = ("log_plus_one", "exponential", "sqrt", "rsqrt", "tanh")
    for name in (*occur, "logistic"):
        of_these = [line for line in lines if f"stablehlo.{name} " in line]
        assert of_these or name not in occur, name
        assert all("bf16" not in line for line in of_these), name


SHAPES = {"large": (2, 8, 8, 32), "small": (2, 4, 4, 24), "kernel": (4, 4, 32, 24)}


@pytest.mark.parametrize("form", ["native", "products"])
def test_sums_are_taken_in_float32_and_rounded_once(form):
    """Both forms are exact to half a unit of bfloat16, which a sum of rounded numbers is not."""
    random = np.random.default_rng(0)
    arrays = {
        name: jnp.asarray(random.standard_normal(shape), jnp.bfloat16)
        for name, shape in SHAPES.items()
    }
    exact = {name: array.astype(jnp.float32) for name, array in arrays.items()}
    for name, (left, right), unit in (
        ("downsample", ("large", "kernel"), 2**-8),
        ("upsample", ("small", "kernel"), 2**-8),
        ("correlate", ("large", "small"), 1e-5),
    ):
        function = getattr(convolution, f"_{name}_{form}")
        if name == "correlate":
            compiled = tiny.jit(functools.partial(function, side=4))
        else:
            compiled = tiny.jit(lambda x, kernel, f=function: f(x, convolution.prepare(kernel)))
        found, expected = (compiled(some[left], some[right]) for some in (arrays, exact))
        assert found.dtype == (jnp.float32 if name == "correlate" else jnp.bfloat16)
        tolerance = {"rtol": unit, "atol": 1e-4}
        np.testing.assert_allclose(found.astype(jnp.float32), expected, **tolerance)


def test_a_float32_kernel_gets_a_float32_gradient_that_was_never_rounded():
    random = np.random.default_rng(0)
    images = jnp.asarray(random.standard_normal(SHAPES["large"]), jnp.bfloat16)
    kernel = jnp.asarray(random.standard_normal(SHAPES["kernel"]), jnp.float32)

    @tiny.jit
    @jax.grad
    def slope(kernel):
        return jnp.sum(convolution.downsample(images, kernel).astype(jnp.float32))

    gradient = slope(kernel)
    assert gradient.dtype == jnp.float32
    assert (gradient != gradient.astype(jnp.bfloat16).astype(jnp.float32)).any()


@pytest.mark.slow
def test_what_looks_at_a_network_does_so_in_float32():
    """A picture of a run in bfloat16 is the picture of the same variables in float32."""
    z_keys = jax.random.split(jax.random.key(0), 4)
    images = np.zeros((4, 32, 32, 3), np.float32)
    variables = tiny.start(ROUGH).inference_variables
    exact, rough = (
        tiny.jit(systems.build(run).preview)(variables, images, jax.random.clone(z_keys))
        for run in (tiny.dcgan(), ROUGH)
    )
    np.testing.assert_array_equal(exact, rough)
