"""Pictures that are smooth but for an edge, holes in them, and a method run on three of them."""

from functools import cache, partial

import jax
import numpy as np
import tiny

BATCH, SIZE = 3, 32
KEYS = jax.random.split(jax.random.key(0), BATCH)
ROW, COLUMN, _ = np.mgrid[:SIZE, :SIZE, :1] / SIZE


def smooth(seed):
    """A picture of one wave a channel, and an edge: [s, s, 3] in [-1, 1]."""
    down, right, phase = np.random.default_rng(seed).uniform(0, 7, (3, 3))
    waves = np.sin(down * ROW + right * COLUMN + phase)
    return np.float32(0.6 * waves + 0.3 * np.sign(ROW + COLUMN - 0.9))


def dots(seed, share=0.5):
    """Single missing pixels: [s, s, 1]."""
    return np.random.default_rng(seed).random((SIZE, SIZE, 1)) < share


def square(top, bottom, left, right):
    hole = np.zeros((SIZE, SIZE, 1), bool)
    hole[top:bottom, left:right] = True
    return hole


@cache
def compiled(propose, settings):
    return tiny.jit(partial(propose, settings, None))


def run(propose, settings, pictures, holes):
    """Proposal, score and steps of three pictures."""
    pictures, holes = np.stack(pictures).astype(np.float32), np.stack(holes)
    found = compiled(propose, settings)(np.where(holes, 0, pictures), holes, KEYS)
    return [np.asarray(array) for array in found[:3]]
