"""The Poisson equation on the hole, solved exactly on the host by a sparse direct solver.

Images are floating point in [-1, 1], `[b, h, w, c]`. A hole is bool `[b, h, w, 1]`, True where
pixels are missing. Everything is computed in float64, image by image, so that no result depends on
the other images of its batch, and all functions may be called from several threads at once.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded, eigh_tridiagonal
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import splu

_NARROW = 100
"""Bands up to which Cholesky's decomposition beats a sparse one; both were timed."""


def harmonic(values: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Replace the hole by the harmonic extension of the known values into it.

    Inside the hole every pixel becomes the mean of its 4 neighbours; neighbours beyond the image
    border are left out (Neumann). That is the minimiser of ||∇u||² with u given on the known
    pixels, a membrane stretched over the hole. Of images themselves it is the Laplace fill.

    Args:
        values: floating point `[b, h, w, c]`, finite where known. Never read inside the hole.
        hole: bool `[b, h, w, 1]`.

    Returns:
        Array of the shape and dtype of `values`, known entries bit-equal. An image whose hole is
        empty comes back as it is; where nothing is known the extension is 0, which is mid grey.

    Raises:
        ValueError: shapes do not agree, `hole` is not bool or `values` is not floating point.
    """
    _check(hole, values=values)
    extended = values.copy()
    extended[hole.all(axis=(1, 2, 3))] = 0
    pixels = _pixels(extended)
    for image, membrane in _membranes(hole):
        pixels[image, membrane.unknown] = membrane.stretch(pixels[image, membrane.rim])
    return extended


def poisson(images: np.ndarray, proposal: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Blend the proposal into the hole: keep its gradients, meet the known pixels without a seam.

    Yeh et al. 2017, eq. 6: argmin_x ||∇x - ∇G(ẑ)||² subject to x = y on the known pixels, with
    y = `images` and G(ẑ) = `proposal`. Writing x = G(ẑ) + u leaves ||∇u||² with u = y - G(ẑ) known
    outside the hole, so u is the harmonic extension of that difference.

    Args:
        images: floating point `[b, h, w, c]` in [-1, 1], finite where known. Never read inside the
            hole.
        proposal: floating point, same shape, finite; known pixels beside the hole are read too.
        hole: bool `[b, h, w, 1]`.

    Returns:
        Completed images of the shape and dtype of `images`: known pixels bit-equal, the hole
        clipped to [-1, 1]. An empty hole gives the image itself; where nothing is known the
        solution is free up to a constant, and the proposal itself is returned.

    Raises:
        ValueError: shapes or dtypes do not agree, or the proposal is not finite.
    """
    _check(hole, images=images, proposal=proposal)
    _refuse_non_finite(proposal)
    completed, unbound = images.copy(), hole.all(axis=(1, 2, 3))
    completed[unbound] = proposal[unbound].clip(-1, 1)
    known, proposed, blended = map(_pixels, (images, proposal, completed))
    for image, membrane in _membranes(hole):
        unknown, rim = membrane.unknown, membrane.rim
        seam = np.subtract(known[image, rim], proposed[image, rim], dtype=np.float64)
        filled = proposed[image, unknown] + membrane.stretch(seam)
        blended[image, unknown] = filled.clip(-1, 1)
    return completed


def overlay(images: np.ndarray, proposal: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Paste the proposal into the hole as it is; Yeh et al. 2017, fig. 5 shows the seams.

    Args:
        images: floating point `[b, h, w, c]` in [-1, 1]. Never read inside the hole.
        proposal: floating point, same shape. Never read outside the hole.
        hole: bool `[b, h, w, 1]`.

    Returns:
        Completed images of the shape and dtype of `images`, known pixels bit-equal.

    Raises:
        ValueError: shapes or dtypes do not agree, or the proposal is not finite inside the hole.
    """
    _check(hole, images=images, proposal=proposal)
    _refuse_non_finite(np.where(hole, proposal, 0))
    return np.where(hole, proposal.astype(images.dtype), images)


def _pixels(images: np.ndarray) -> np.ndarray:
    """[b, h, w, c] -> [b, h * w, c]; writes to it reach C-ordered images."""
    batch, height, width, channels = images.shape
    return images.reshape(batch, height * width, channels)


def _membranes(hole: np.ndarray) -> Iterator[tuple[int, "_Membrane"]]:
    """Every image of which something is missing and something known, with its hole solved.

    Equal holes come next to each other: each is factored once, however small the cache.
    """
    batch, height, width, _ = hole.shape
    keys = [bits.tobytes() for bits in np.packbits(hole.reshape(batch, height * width), axis=1)]
    partly = hole.any(axis=(1, 2, 3)) & ~hole.all(axis=(1, 2, 3))
    for image in sorted(np.flatnonzero(partly).tolist(), key=keys.__getitem__):
        membrane = _membrane if np.count_nonzero(hole[image]) <= _SMALL else _large_membrane
        yield image, membrane(keys[image], height, width)


class _Membrane(NamedTuple):
    """A hole that is ready to be filled in one image after the other.

    One solve an image: with all images of a hole as columns of one, BLAS rounds a column
    differently depending on how many stand beside it.

    Attributes:
        unknown: the missing pixels, flat indices [n].
        rim: the known pixels beside them, [m].
        coupling: how often each of those is a neighbour of each missing one, [n, m].
        solve: sums of known neighbours [n, c] -> values [n, c].
    """

    unknown: np.ndarray
    rim: np.ndarray
    coupling: csr_array
    solve: Callable[[np.ndarray], np.ndarray]

    def stretch(self, known: np.ndarray) -> np.ndarray:
        """Values at the rim [m, c] -> their harmonic extension into the hole [n, c], float64."""
        return self.solve(self.coupling @ known.astype(np.float64))


def _factored(bits: bytes, height: int, width: int) -> _Membrane:
    """A hole that is given as packed bits, with the fastest exact solver for its shape."""
    hole = np.unpackbits(np.frombuffer(bits, np.uint8), count=height * width).astype(bool)
    hole = hole.reshape(height, width)
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    if _runs(rows) and _runs(columns) and len(rows) * len(columns) == hole.sum():
        equations = _equations(hole, np.arange(hole.size).reshape(hole.shape))
        solve = _rectangle(rows, columns, height, width)
    else:
        order = np.arange(hole.size).reshape(hole.shape)
        either_way = _equations(hole, order), _equations(hole.T, order.T)
        equations = min(either_way, key=lambda equations: equations.band)
        solve = (_banded if equations.band <= _NARROW else _sparse)(equations)
    rim, place = np.unique(equations.known[1], return_inverse=True)
    once = np.ones(len(place)), (equations.known[0], place)
    coupling = csr_array(once, shape=(len(equations.unknown), len(rim)))
    return _Membrane(equations.unknown, rim, coupling, solve)


# About 1 MB for a hole in a 64x64 image, 25 MB for one of half of 256x256 pixels.
_SMALL = 256 * 128
_membrane = lru_cache(maxsize=64)(_factored)
_large_membrane = lru_cache(maxsize=2)(_factored)


def _runs(places: np.ndarray) -> bool:
    return bool(places[-1] - places[0] + 1 == len(places))


class _Equations(NamedTuple):
    """Laplace's equation on a hole: what each missing pixel has to do with its neighbours.

    Attributes:
        unknown: the missing pixels in the order of the equations, flat indices [n].
        degree: how many neighbours each has within the image, [n].
        pairs: places in `unknown` of two neighbours that are both missing, the first before.
        known: places in `unknown` and the flat indices of a known neighbour each.
    """

    unknown: np.ndarray
    degree: np.ndarray
    pairs: np.ndarray
    known: np.ndarray

    @property
    def band(self) -> int:
        """How far apart neighbours stand at most."""
        return int((self.pairs[1] - self.pairs[0]).max(initial=0))


def _equations(hole: np.ndarray, index: np.ndarray) -> _Equations:
    """Those of a hole [h, w], numbered row by row; `index` [h, w] says which pixel stands where."""
    number = np.cumsum(hole).reshape(hole.shape) - 1
    pairs, known = [], []
    for before, after in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        both = hole[before] & hole[after]
        pairs.append((number[before][both], number[after][both]))
        for here, there in ((before, after), (after, before)):
            edge = hole[here] & ~hole[there]
            known.append((number[here][edge], index[there][edge]))
    pairs, known = np.concatenate(pairs, axis=1), np.concatenate(known, axis=1)
    degree = np.bincount(np.concatenate([*pairs, known[0]]), minlength=np.count_nonzero(hole))
    return _Equations(index[hole], degree, pairs, known)


def _rectangle(
    rows: np.ndarray, columns: np.ndarray, height: int, width: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Diagonalised along each axis: a rectangle is the sum of what its rows and its columns say."""
    (down, first), (across, second) = _axis(rows, height), _axis(columns, width)
    scale = 1 / (first[:, None] + second)

    def solve(pull: np.ndarray) -> np.ndarray:
        channels = pull.T.reshape(-1, len(rows), len(columns))
        modes = (down.T @ channels @ across) * scale
        return (down @ modes @ across.T).reshape(len(channels), -1).T

    return solve


def _axis(places: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors and eigenvalues of the equation of a row of missing pixels, alone."""
    return _chain(len(places), int(places[0] > 0), int(places[-1] < size - 1))


@lru_cache(maxsize=64)
def _chain(count: int, before: int, after: int) -> tuple[np.ndarray, np.ndarray]:
    """As above, of so many pixels; `before` and `after` say whether a known one follows there."""
    diagonal = np.full(count, 2.0)
    diagonal[0] -= 1 - before
    diagonal[-1] -= 1 - after
    values, vectors = eigh_tridiagonal(diagonal, np.full(count - 1, -1.0))
    return vectors, values


def _banded(equations: _Equations) -> Callable[[np.ndarray], np.ndarray]:
    """Cholesky's decomposition within the band."""
    matrix = np.zeros((equations.band + 1, len(equations.unknown)), order="F")
    matrix[0] = equations.degree
    first, second = equations.pairs
    matrix[second - first, first] = -1
    factor = cholesky_banded(matrix, overwrite_ab=True, lower=True, check_finite=False)
    return lambda pull: cho_solve_banded((factor, True), pull, check_finite=False)


def _sparse(equations: _Equations) -> Callable[[np.ndarray], np.ndarray]:
    """A sparse decomposition, for wide holes."""
    (first, second), each = equations.pairs, np.arange(len(equations.unknown))
    rows, columns = np.concatenate([each, first, second]), np.concatenate([each, second, first])
    entries = np.concatenate([equations.degree, np.full(2 * len(first), -1.0)])
    return splu(
        csc_array((entries, (rows, columns))),
        # Symmetric and positive definite: order for A + Aᵀ, and never pivot.
        permc_spec="MMD_AT_PLUS_A",
        options={"SymmetricMode": True},
        diag_pivot_thresh=0.0,
    ).solve


def _check(hole: np.ndarray, **arrays: np.ndarray) -> None:
    """Refuse shapes that differ, and dtypes that would make the arithmetic silently wrong."""
    for name, array in arrays.items():
        if array.ndim != 4 or hole.shape != (*array.shape[:3], 1):
            raise ValueError(
                f"{name} {array.shape} and hole {hole.shape} do not belong together: "
                "expected [b, h, w, c] and [b, h, w, 1]"
            )
        if not np.issubdtype(array.dtype, np.floating):
            raise ValueError(f"{name} must be floating point in [-1, 1], got {array.dtype}")
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = " and ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"{shapes} must have the same shape")
    if hole.dtype != bool:
        raise ValueError(f"hole must be bool, True where pixels are missing, got {hole.dtype}")


def _refuse_non_finite(proposal: np.ndarray) -> None:
    """Name the first image whose proposal cannot be shown."""
    broken = ~np.isfinite(proposal).all(axis=(1, 2, 3))
    if broken.any():
        raise ValueError(
            f"the proposal of image {broken.argmax()} of the batch is NaN or infinite; "
            "leave that image out or run its method with another seed"
        )
