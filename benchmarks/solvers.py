"""Poisson blending as others write it; each gives what `ce_jax.blending.poisson` gives.

The equation is ours (Yeh et al. 2017, eq. 6): in the hole, the Laplacian of the result is that of
the proposal, and neighbours beyond the border of the image are left out. The public code treats
its border otherwise (pixels at one side are neighbours of those at the other, and what is missing
above and below counts as zero), which no two sides of a comparison could agree on; whatever else
it does is restated here as it is done there. One image [h, w, c] of float64 at a time.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array, dia_array, eye_array, kronsum, lil_array
from scipy.sparse.linalg import splu

_TOLERANCE = 1e-10


def reference(image: np.ndarray, proposal: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The public algorithm: an equation for every pixel, entered one by one, and multigrid.

    As parosky/poissonblending has it, which moodoki/semantic_image_inpainting uses: known pixels
    are equations, too (x = y), the matrix is built in Python's loops, and each channel is given
    to `pyamg.solve` with a tolerance of 1e-10.
    """
    import pyamg

    height, width, channels = image.shape
    matrix = lil_array(eye_array(height * width))
    for row in range(height):
        for column in range(width):
            if hole[row, column]:
                here, beside = row * width + column, 0
                if row > 0:
                    matrix[here, here - width] = -1
                    beside += 1
                if row < height - 1:
                    matrix[here, here + width] = -1
                    beside += 1
                if column > 0:
                    matrix[here, here - 1] = -1
                    beside += 1
                if column < width - 1:
                    matrix[here, here + 1] = -1
                    beside += 1
                matrix[here, here] = beside
    matrix, laplacian = matrix.tocsr(), kronsum(_path(width), _path(height), "csr")
    blended = np.empty_like(image)
    for channel in range(channels):
        known, wanted = image[..., channel], laplacian @ proposal[..., channel].ravel()
        for row in range(height):
            for column in range(width):
                if not hole[row, column]:
                    wanted[row * width + column] = known[row, column]
        solved = _quietly(pyamg.solve, matrix, wanted, verb=False, tol=_TOLERANCE)
        blended[..., channel] = solved.reshape(height, width).clip(-1, 1)
    return blended


def _path(count: int) -> dia_array:
    """The Laplacian of so many pixels in a row."""
    degree = np.full(count, 2.0)
    degree[[0, -1]] = 1
    return dia_array(([degree, -np.ones(count), -np.ones(count)], [0, 1, -1]), shape=(count, count))


def sparse(image: np.ndarray, proposal: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Without a loop: the missing pixels alone, in one sparse decomposition for all channels.

    Its options are those of our own sparse decompositions, for a matrix that is positive definite.
    """
    matrix, pull = _equations(image, proposal, hole)
    factors = splu(
        matrix.tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        options={"SymmetricMode": True},
        diag_pivot_thresh=0.0,
    )
    return _filled(image, hole, factors.solve(pull))


def multigrid(image: np.ndarray, proposal: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The same equations by classical algebraic multigrid, built once for all channels."""
    import pyamg

    matrix, pull = _equations(image, proposal, hole)
    solver = _quietly(pyamg.ruge_stuben_solver, matrix)
    solved = [solver.solve(channel, tol=_TOLERANCE, accel="cg") for channel in pull.T]
    return _filled(image, hole, np.stack(solved, axis=-1))


def _equations(
    image: np.ndarray, proposal: np.ndarray, hole: np.ndarray
) -> tuple[csr_array, np.ndarray]:
    """The matrix of the missing pixels [n, n] and its right-hand sides [n, c]."""
    count = np.count_nonzero(hole)
    number = np.full(hole.shape, -1)
    number[hole] = np.arange(count)
    degree, rows, columns = np.zeros(count), [], []
    pull = np.zeros((count, image.shape[-1]))
    before, after = (np.s_[:-1], np.s_[:, :-1]), (np.s_[1:], np.s_[:, 1:])
    for here, there in zip(before + after, after + before, strict=True):
        missing = hole[here]
        pixel, beside = number[here][missing], number[there][missing]
        degree[pixel] += 1
        pull[pixel] += (proposal[here] - proposal[there])[missing]
        inside = beside >= 0
        pull[pixel[~inside]] += image[there][missing][~inside]
        rows.append(pixel[inside])
        columns.append(beside[inside])
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    diagonal = np.arange(count)
    entries = np.concatenate([degree, np.full(len(rows), -1.0)])
    places = np.concatenate([diagonal, rows]), np.concatenate([diagonal, columns])
    return coo_array((entries, places), shape=(count, count)).tocsr(), pull


def _filled(image: np.ndarray, hole: np.ndarray, solved: np.ndarray) -> np.ndarray:
    blended = image.copy()
    blended[hole] = solved.clip(-1, 1)
    return blended


def _quietly(function: Callable, *arguments: object, **options: object) -> Any:
    """Calls what advises about formats of matrices."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)
