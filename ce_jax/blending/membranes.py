"""Laplace's equation on a hole, by direct solvers on the host: each hole is factored once.

A membrane is stretched over the hole and fixed at the known pixels around it; beyond the border of
the image it is free. Rectangles are diagonalised; of other holes every second pixel is eliminated
by hand, and the rest decomposed within its band or, if that is wide, as a sparse matrix. float64.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded, eigh_tridiagonal
from scipy.sparse import coo_array, csc_array, csr_array, diags_array
from scipy.sparse.linalg import splu

_NARROW = 150
"""Bands up to which Cholesky's decomposition beats a sparse one; both were timed."""


def factored(hole: np.ndarray) -> Iterator[tuple[int, "Membrane"]]:
    """Every image of which something is missing and something known, with its hole factored.

    Of holes bool [b, h, w, 1]. Equal ones come next to each other: each is factored once, however
    small the cache.
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


def _built(bits: bytes, height: int, width: int) -> Membrane:
    """A hole that is given as packed bits, with the fastest exact solver for its shape."""
    hole = np.unpackbits(np.frombuffer(bits, np.uint8), count=height * width).astype(bool)
    hole = hole.reshape(height, width)
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    if hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all():
        grid = _Grid(hole)
        unknown, solve = grid.missing, _rectangle(rows, columns, height, width)
    else:
        turned = _band(hole) > _band(hole.T)
        grid = _Grid(hole.T, turned=True) if turned else _Grid(hole)
        black, white = grid.colours()
        unknown, solve = np.concatenate([black, white]), _chessboard(grid, black, white)
    rim = grid.rim()
    coupling = _matrix(grid.beside(unknown, rim), np.ones(len(unknown)), columns=len(rim))
    return Membrane(grid.pixels(unknown), grid.pixels(rim), coupling, solve)


# About 1 MB for a hole in a 64x64 image, 25 MB for one of half of 256x256 pixels: together at most
# some 200 MB. Of large holes that differ from image to image, none is met again.
_SMALL = 64 * 64
_membrane = lru_cache(maxsize=64)(_built)
_large_membrane = lru_cache(maxsize=4)(_built)


def forget() -> None:
    """Empties the memory of holes: the next one of each kind is factored anew."""
    _membrane.cache_clear()
    _large_membrane.cache_clear()
    _chain.cache_clear()


class _Grid:
    """A hole [h, w] in a border of one pixel around the image, so that all have four neighbours.

    Places are flat indices into it.

    Attributes:
        missing: the places of the hole, row by row.
        neighbours: how many each place has within the image, float64.
    """

    def __init__(self, hole: np.ndarray, *, turned: bool = False) -> None:
        """Of a hole, or with `turned` of one whose rows are the columns of the image."""
        height, width = hole.shape
        self._inside, framed = np.zeros((2, height + 2, width + 2), bool)
        self._inside[1:-1, 1:-1], framed[1:-1, 1:-1] = True, hole
        self._width, self.missing = width + 2, np.flatnonzero(framed)
        self._steps = np.array([-self._width, -1, 1, self._width])
        neighbours = np.full(framed.shape, 4.0)
        for border in (np.s_[1], np.s_[-2], np.s_[:, 1], np.s_[:, -2]):
            neighbours[border] -= 1
        self.neighbours = neighbours.ravel()
        self._strides = (1, height) if turned else (width, 1)

    def pixels(self, places: np.ndarray) -> np.ndarray:
        """Their flat indices in the image."""
        row, column = divmod(places, self._width)
        down, right = self._strides
        return (row - 1) * down + (column - 1) * right

    def colours(self) -> tuple[np.ndarray, np.ndarray]:
        """The places of black and of white pixels, as on a chessboard; no fewer are black."""
        row, column = divmod(self.missing, self._width)
        even = (row + column) % 2 == 0
        one, other = self.missing[even], self.missing[~even]
        return (one, other) if len(one) >= len(other) else (other, one)

    def rim(self) -> np.ndarray:
        """The known pixels beside the hole."""
        near = np.zeros_like(self._inside).ravel()
        near[self.missing[:, None] + self._steps] = True
        near[self.missing] = False
        return np.flatnonzero(near & self._inside.ravel())

    def beside(self, places: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Which of the others are above, left, right and below each, int32 [n, 4]; -1: none."""
        number = np.full(self._inside.size, -1, np.int32)
        number[others] = np.arange(len(others))
        return number[places[:, None] + self._steps]


def _matrix(beside: np.ndarray, weights: np.ndarray, *, columns: int) -> csr_array:
    """Sums over what is beside each pixel, times its weight [n]."""
    there = beside >= 0
    ends = np.zeros(len(beside) + 1, np.int32)
    ends[1:] = np.cumsum(there)[3::4]
    entries = np.repeat(weights, np.diff(ends)), beside[there], ends
    return csr_array(entries, shape=(len(beside), columns))


def _band(hole: np.ndarray) -> int:
    """How far apart neighbours stand at most if missing pixels are numbered row by row."""
    number = np.cumsum(hole).reshape(hole.shape)
    return int((number[1:] - number[:-1])[hole[1:] & hole[:-1]].max(initial=0))


def _rectangle(
    rows: np.ndarray, columns: np.ndarray, height: int, width: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Diagonalised along each axis: a rectangle is the sum of what its rows and its columns say."""
    (down, first), (across, second) = (
        _chain(len(places), int(places[0] > 0), int(places[-1] < size - 1))
        for places, size in ((rows, height), (columns, width))
    )
    scale = 1 / (first[:, None] + second)

    def solve(pull: np.ndarray) -> np.ndarray:
        channels = pull.T.reshape(-1, len(rows), len(columns))
        modes = (down.T @ channels @ across) * scale
        return (down @ modes @ across.T).reshape(len(channels), -1).T

    return solve


@lru_cache(maxsize=64)
def _chain(count: int, before: int, after: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors and eigenvalues of the equation of a row of so many missing pixels, alone.

    `before` and `after` say whether a known one follows there.
    """
    diagonal = np.full(count, 2.0)
    diagonal[0] -= 1 - before
    diagonal[-1] -= 1 - after
    values, vectors = eigh_tridiagonal(diagonal, np.full(count - 1, -1.0))
    return vectors, values


def _chessboard(
    grid: _Grid, black: np.ndarray, white: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """White pixels follow from their black neighbours, so that half of the equations remain.

    The black ones then depend on the next black ones in all eight directions: a matrix of the same
    band, decomposed within it where that is faster. Black pixels come first in what is solved.
    """
    of_black, of_white = grid.neighbours[black], grid.neighbours[white]
    count, beside = len(black), grid.beside(white, black)
    share = _matrix(beside, 1 / of_white, columns=count)
    back = share.T
    detours = _detours(beside, of_white, count)
    narrow = (detours.row - detours.col).max(initial=0) <= _NARROW
    solve_black = (_banded if narrow else _sparse)(of_black, detours)

    def solve(pull: np.ndarray) -> np.ndarray:
        values = np.empty_like(pull)
        values[:count] = solve_black(pull[:count] + back @ pull[count:])
        values[count:] = pull[count:] / of_white[:, None] + share @ values[:count]
        return values

    return solve


def _detours(beside: np.ndarray, of_white: np.ndarray, blacks: int) -> coo_array:
    """The lower half of linksᵀ share: from black to black by way of a white pixel, each way alone.

    Put together from the at most four neighbours of each, it takes a third of a general product.
    """
    weights, columns, rows = [], [], []
    for before, after in combinations_with_replacement(beside.T, 2):
        via = np.flatnonzero((before >= 0) & (after >= 0))
        weights.append(1 / of_white[via])
        columns.append(before[via])
        rows.append(after[via])
    places = np.concatenate(rows), np.concatenate(columns)
    return coo_array((np.concatenate(weights), places), shape=(blacks, blacks))


def _banded(degree: np.ndarray, links: coo_array) -> Callable[[np.ndarray], np.ndarray]:
    """Cholesky's decomposition of diag(degree) - links, of which the lower half is given."""
    height = (links.row - links.col).max(initial=0) + 1
    place = links.col.astype(np.int64) * height + links.row - links.col
    sums = np.bincount(place, np.negative(links.data), minlength=height * len(degree))
    band = sums.astype(float, copy=False).reshape(len(degree), height).T
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
