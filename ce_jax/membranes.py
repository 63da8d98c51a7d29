"""Laplace's equation on a hole, by direct solvers on the host: each hole is factored once.

A membrane is stretched over the hole and fixed at the known pixels around it; beyond the border of
the image it is free. Rectangles are diagonalised; of other holes every second pixel is eliminated
by hand, and the rest decomposed within its band or, if that is wide, as a sparse matrix. float64.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded, eigh_tridiagonal
from scipy.sparse import coo_array, csc_array, csr_array, diags_array
from scipy.sparse.linalg import splu

_NARROW = 150
"""Bands up to which Cholesky's decomposition beats a sparse one; both were timed."""


def membranes(hole: np.ndarray) -> Iterator[tuple[int, "Membrane"]]:
    """Every image of which something is missing and something known, with its hole solved.

    Equal holes come next to each other: each is factored once, however small the cache.
    """
    batch, height, width, _ = hole.shape
    keys = [bits.tobytes() for bits in np.packbits(hole.reshape(batch, height * width), axis=1)]
    partly = hole.any(axis=(1, 2, 3)) & ~hole.all(axis=(1, 2, 3))
    for image in sorted(np.flatnonzero(partly).tolist(), key=keys.__getitem__):
        membrane = _membrane if np.count_nonzero(hole[image]) <= _SMALL else _large_membrane
        yield image, membrane(keys[image], height, width)


class Membrane(NamedTuple):
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


def _factored(bits: bytes, height: int, width: int) -> Membrane:
    """A hole that is given as packed bits, with the fastest exact solver for its shape."""
    hole = np.unpackbits(np.frombuffer(bits, np.uint8), count=height * width).astype(bool)
    hole = hole.reshape(height, width)
    index = np.arange(hole.size).reshape(hole.shape)
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    if _runs(rows) and _runs(columns) and len(rows) * len(columns) == hole.sum():
        equations = _equations(hole, index)
        solve = _rectangle(rows, columns, height, width)
    else:
        along = (hole, index) if _band(hole) <= _band(hole.T) else (hole.T, index.T)
        equations = _equations(*along)
        solve = _chessboard(equations, width)
    rim, place = np.unique(equations.known[1], return_inverse=True)
    once = np.ones(len(place)), (equations.known[0], place)
    coupling = csr_array(once, shape=(len(equations.unknown), len(rim)))
    return Membrane(equations.unknown, rim, coupling, solve)


# About 1 MB for a hole in a 64x64 image, 25 MB for one of half of 256x256 pixels.
_SMALL = 256 * 128
_membrane = lru_cache(maxsize=64)(_factored)
_large_membrane = lru_cache(maxsize=2)(_factored)


def forget() -> None:
    """Empties the memory of holes: the next one of each kind is factored anew."""
    _membrane.cache_clear()
    _large_membrane.cache_clear()


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


def _equations(hole: np.ndarray, index: np.ndarray) -> _Equations:
    """Those of a hole [h, w], numbered row by row; `index` [h, w] says which pixel stands where."""
    number = _numbered(hole)
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


def _numbered(hole: np.ndarray) -> np.ndarray:
    """The place of each missing pixel among all, row by row."""
    return np.cumsum(hole).reshape(hole.shape) - 1


def _band(hole: np.ndarray) -> int:
    """How far apart neighbours stand at most if missing pixels are numbered row by row."""
    number = _numbered(hole)
    return int((number[1:] - number[:-1])[hole[1:] & hole[:-1]].max(initial=0))


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


def _chessboard(equations: _Equations, width: int) -> Callable[[np.ndarray], np.ndarray]:
    """White pixels follow from their black neighbours, so that half of the equations remain.

    The black ones then depend on the next black ones in all eight directions: a matrix of the same
    band, decomposed within it where that is faster.
    """
    row, column = divmod(equations.unknown, width)
    white, degree = (row + column) % 2 == 0, equations.degree
    if 2 * np.count_nonzero(white) > len(white):
        white = ~white  # so that there is always a black one
    place = np.where(white, _numbered(white), _numbered(~white))
    first, second = equations.pairs
    ends = np.where(white[first], (first, second), (second, first))
    shape = np.count_nonzero(white), np.count_nonzero(~white)
    links = csr_array((np.ones(len(first)), place[ends]), shape=shape)
    of_white, of_black = degree[white], degree[~white]
    via = np.repeat(np.arange(len(of_white)), np.diff(links.indptr))
    share = csr_array((1 / of_white[via], links.indices, links.indptr), shape=shape)
    detours = _detours(via, share, len(of_black))
    narrow = (detours.row - detours.col).max(initial=0) <= _NARROW
    solve_black = (_banded if narrow else _sparse)(of_black, detours)

    def solve(pull: np.ndarray) -> np.ndarray:
        values = np.empty_like(pull)
        values[~white] = solve_black(pull[~white] + share.T @ pull[white])
        values[white] = pull[white] / of_white[:, None] + share @ values[~white]
        return values

    return solve


def _detours(via: np.ndarray, share: csr_array, blacks: int) -> coo_array:
    """The lower half of linksᵀ share: from black to black by way of a white pixel, each way alone.

    Put together from the at most four neighbours of each, it takes a third of a general product.
    """
    row, column, weight = [], [], []
    for apart in range(4):
        here, there = slice(0, max(len(via) - apart, 0)), slice(apart, None)
        together = via[here] == via[there]
        row.append(share.indices[there][together])
        column.append(share.indices[here][together])
        weight.append(share.data[here][together])
    entries = np.concatenate(weight), (np.concatenate(row), np.concatenate(column))
    return coo_array(entries, shape=(blacks, blacks))


def _banded(degree: np.ndarray, links: coo_array) -> Callable[[np.ndarray], np.ndarray]:
    """Cholesky's decomposition of diag(degree) - links, of which the lower half is given."""
    height = (links.row - links.col).max(initial=0) + 1
    place = links.col.astype(np.int64) * height + links.row - links.col
    sums = np.bincount(place, links.data, minlength=height * len(degree))
    band = np.negative(sums, out=sums).reshape(len(degree), height).T
    band[0] += degree
    factor = cholesky_banded(band, overwrite_ab=True, lower=True, check_finite=False)
    return lambda pull: cho_solve_banded((factor, True), pull, check_finite=False)


def _sparse(degree: np.ndarray, links: coo_array) -> Callable[[np.ndarray], np.ndarray]:
    """The same by a sparse decomposition, for wide holes."""
    below = csc_array(links)
    return splu(
        csc_array(diags_array(degree + below.diagonal()) - below - below.T),
        # Symmetric and positive definite: order for A + Aᵀ, and never pivot.
        permc_spec="MMD_AT_PLUS_A",
        options={"SymmetricMode": True},
        diag_pivot_thresh=0.0,
    ).solve
