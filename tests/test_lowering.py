"""Every experiment is a program for TPU and for CUDA, made on a machine that has neither.

At full size, over as many of the tests' devices as share a batch; nothing of that size is allocated
or compiled.
"""

import math
import re
import runpy
from pathlib import Path

import jax
import numpy as np
import pytest

from ce_jax import sharding
from ce_jax.config import Training
from ce_jax.runs import arithmetic

CONFIGS = {
    path.stem: experiment
    for path in sorted((Path(__file__).parents[1] / "configs").glob("*.py"))
    if isinstance(experiment := runpy.run_path(str(path))["get_config"](), Training)
}


def assert_lowers_with_native_convolutions(config):
    step, (state, images, keys) = arithmetic.abstract_step(config)
    devices = jax.devices()[: math.gcd(8, config.batch_size)]  # papers have batches of 100
    update = sharding.compile_steps(step, sharding.make_mesh(devices))
    batch = jax.ShapeDtypeStruct(images.shape, np.uint8)
    traced = update.trace(state, [batch], jax.ShapeDtypeStruct((), keys.dtype))
    kernels = {
        "x".join(map(str, leaf.shape))
        for player in ("generator", "critic", "recovery")
        for leaf in jax.tree.leaves(getattr(getattr(state, player, None), "params", {}))
        if leaf.ndim == 4
    }
    assert kernels
    for platform in ("tpu", "cuda"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        convolutions = re.findall(r"stablehlo\.convolution.*", text)
        taken = {
            shape
            for line in convolutions
            for shape in re.findall(r"tensor<([\dx]+)xf32>", line.rpartition(" : ")[2])
        }
        assert all(taken & {kernel, _half(kernel)} for kernel in kernels)


def _half(kernel):
    """What each of two groups has of a kernel."""
    *sides, outputs = kernel.split("x")
    return "x".join([*sides, str(int(outputs) // 2)])


def test_the_smallest_experiment_lowers_for_accelerators():
    assert_lowers_with_native_convolutions(CONFIGS["smoke"])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - {"smoke"}))
def test_every_experiment_lowers_for_accelerators(name):
    assert_lowers_with_native_convolutions(CONFIGS[name])


def test_there_is_an_experiment_of_every_kind():
    assert len({type(config.model) for config in CONFIGS.values()}) == 5
