"""Poisson blending, the same hole for all images or a new one each, beside what others do.

One image after the other; nothing is known of a new hole before its image comes. See `solvers`.
"""

import importlib.util
import itertools
from collections.abc import Callable, Iterator
from functools import partial

import jax
import numpy as np

from benchmarks import solvers
from benchmarks.work import Side, Skipped, Work
from ce_jax import holes
from ce_jax.blending import poisson
from ce_jax.blending.membranes import forget

SIZES = (64, 128)
KINDS = ("center", "half", "block", "pattern", "free-form:20-30", "random:0.8")
Solver = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

_COMPARED = ("block", "pattern", "random:0.8")
"""Kinds of holes that others fill too, if each is new."""

_SLOW = ("public reference", "PyAMG")
"""Sides that blend one image in a call, so that they do not take most of the time of a run."""


def works(
    *, count: int, sizes: tuple[int, ...] = SIZES, kinds: tuple[str, ...] = KINDS
) -> Iterator[Work | Skipped]:
    """So many images blended in a call, of each size and kind of hole."""
    others: dict[str, Solver] = {"SciPy": solvers.sparse}
    if importlib.util.find_spec("pyamg"):
        others |= {"public reference": solvers.reference, "PyAMG": solvers.multigrid}
    else:
        why = "pyamg is not installed, which the public reference needs, too"
        yield Skipped(name="Poisson blending", setting="multigrid", reason=why)
    for size, kind, same in itertools.product(sizes, kinds, (True, False)):
        problem = problems(kind, size, count=count, same=same)
        sides = {"ce_jax": Side(call=partial(poisson if same else ours, *problem))}
        compared = others if kind in _COMPARED and not same else {}
        for name, solver in compared.items():
            part = 1 if name in _SLOW else count
            call = partial(theirs, solver, *(array[:part] for array in problem))
            sides[name] = Side(call=call, part=part / count)
        slow = " and ".join(name for name in compared if name in _SLOW)
        yield Work(
            name="Poisson blending",
            setting=f"{size}x{size}, {kind}, {'the same hole' if same else 'a new hole each'}"
            + (f"; {slow} by the first of {count}" if slow else ""),
            images=count,
            sides=sides,
        )


def problems(
    kind: str, size: int, *, count: int, same: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise to be blended into other noise, so faint that nothing is clipped, and its holes.

    With `same`, all have the hole that is otherwise that of the first.
    """
    images, proposal = np.random.default_rng(0).uniform(-0.3, 0.3, (2, count, size, size, 3))
    keys = jax.random.split(jax.random.key(0), count)
    hole = np.asarray(holes.draw(holes.parse(kind), keys, size=size))
    return images, proposal, np.broadcast_to(hole[:1], hole.shape) if same else hole


def ours(images: np.ndarray, proposal: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """As an inpainting blends a batch, with holes that it has not seen before."""
    forget()
    return poisson(images, proposal, hole)


def theirs(
    solver: Solver, images: np.ndarray, proposal: np.ndarray, hole: np.ndarray
) -> np.ndarray:
    """One image after the other."""
    blended = map(solver, images, proposal, hole[..., 0])
    return np.stack(list(blended))
