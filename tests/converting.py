"""What the tests of a conversion share: state dicts of a tiny DCGAN, and what a network makes."""

import numpy as np
import tiny
import untrained

from ce_jax.convert import layouts
from ce_jax.state import apply

STATE, CRITIC = (
    layouts.to_state_dict(layouts.layout_of(trained, role))
    for trained in [untrained.networks(tiny.dcgan())]
    for role in ("generator", "critic")
)


def images_of(size, count=3):
    return np.random.default_rng(size).uniform(-1, 1, (count, size, size, 3)).astype(np.float32)


def ours_of(module, variables, *inputs):
    return tiny.jit(lambda *x: apply(module, variables, *x))(*inputs)
