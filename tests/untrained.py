"""Networks with random weights, loud enough for every pixel to matter, without a training run."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ce_jax import systems
from ce_jax.config import Training
from ce_jax.runs import checkpointing, workdirs
from ce_jax.state import Game, Trained

_MEAN_AND_SPREAD = {"kernel": (0, 0.2), "scale": (1, 0.1), "bias": (0, 0.1), "mean": (0, 0.1)}


def game(config: Training, *, seed: int = 0) -> Game:
    """The state of a run; nothing is compiled for it."""
    random = np.random.default_rng(seed)

    def weights(path, leaf):
        name = getattr(path[-1], "key", None)
        if name == "var":
            return jnp.asarray(random.uniform(0.5, 2, leaf.shape), leaf.dtype)
        return jnp.asarray(
            random.normal(*_MEAN_AND_SPREAD.get(name, (0, 0)), leaf.shape), leaf.dtype
        )

    shapes = jax.eval_shape(systems.build(config).init, jax.random.key(0))
    return jax.tree_util.tree_map_with_path(weights, shapes)


def networks(config: Training) -> Trained:
    """What an inpainting loads of a run."""
    return Trained.of(config, game(config), 7)


def workdir(path: Path, config: Training) -> str:
    """A work directory as a run leaves it at step 7."""
    workdirs.claim(path, config)
    with checkpointing.Checkpoints(path) as checkpoints:
        checkpoints.save(7, game(config))
    return str(path)
