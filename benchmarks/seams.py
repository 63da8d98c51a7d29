"""Poisson blending, another hole for each image, beside what others do; see `solvers`.

One image after the other; nothing is known of a hole before its image comes.
"""

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial

import jax
import numpy as np

from benchmarks import solvers
from benchmarks.work import Side, Skipped, Work
from ce_jax import holes
from ce_jax.blending import poisson
from ce_jax.membranes import forget

SIZES = (64, 128)
KINDS = ("block", "pattern", "random:0.8")
Solver = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

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
    for size in sizes:
        for kind in kinds:
            problem = problems(kind, size, count=count)
            sides = {"ce_jax": Side(call=partial(ours, *problem))}
            for name, solver in others.items():
                part = 1 if name in _SLOW else count
                call = partial(theirs, solver, *(array[:part] for array in problem))
                sides[name] = Side(call=call, part=part / count)
            yield Work(
                name="Poisson blending",
                setting=f"{size}x{size}, {kind}, a new hole each",
                images=count,
                sides=sides,
            )


def problems(kind: str, size: int, *, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise to be blended into other noise, so faint that nothing is clipped, and its holes."""
    images, proposal = np.random.default_rng(0).uniform(-0.3, 0.3, (2, count, size, size, 3))
    keys = jax.random.split(jax.random.key(0), count)
    return images, proposal, np.asarray(holes.draw(holes.parse(kind), keys, size=size))


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
