"""The Poisson equation on the hole, solved exactly on the host by a sparse direct solver.

Images are floating point in [-1, 1], `[b, h, w, c]`. A hole is bool `[b, h, w, 1]`, True where
pixels are missing. Everything is computed in float64, image by image, so that no result depends on
the other images of its batch, and all functions may be called from several threads at once.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import SuperLU, splu


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
    batch, height, width, channels = values.shape
    extended = values.copy()
    pixels = extended.reshape(batch, height * width, channels)  # a view: writes reach `extended`
    keys = [bits.tobytes() for bits in np.packbits(hole.reshape(batch, height * width), axis=1)]
    # Equal holes next to each other: each is factored once, however small the cache.
    for image in sorted(range(batch), key=keys.__getitem__):
        if hole[image].all():
            extended[image] = 0
        elif hole[image].any():
            membrane = _membrane if hole[image].sum() <= _SMALL else _large_membrane
            unknown, rim, coupling, factors = membrane(keys[image], height, width)
            # One solve an image. With all images of a hole as columns of one solve, BLAS rounds a
            # column differently depending on how many stand beside it; nor is that any faster for
            # the solid holes that batches share.
            pixels[image, unknown] = factors.solve(coupling @ pixels[image, rim])
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
    difference = harmonic(np.subtract(images, proposal, dtype=np.float64), hole)
    return np.where(hole, np.clip(proposal + difference, -1, 1).astype(images.dtype), images)


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


class _Membrane(NamedTuple):
    """A factored hole: solve(coupling @ values[rim]) gives the values at `unknown`."""

    unknown: np.ndarray
    rim: np.ndarray
    coupling: csr_array
    factors: SuperLU


def _factored(bits: bytes, height: int, width: int) -> _Membrane:
    """Factor the Laplace equation on a hole that is given as packed bits."""
    hole = np.unpackbits(np.frombuffer(bits, np.uint8), count=height * width).astype(bool)
    unknown, known = np.flatnonzero(hole), np.flatnonzero(~hole)
    equations = _laplacian(height, width)[unknown]
    coupling = -equations[:, known]
    beside = np.unique(coupling.indices)
    factors = splu(
        equations[:, unknown].tocsc(),
        # Symmetric and positive definite: order for A + Aᵀ, and never pivot.
        permc_spec="MMD_AT_PLUS_A",
        options={"SymmetricMode": True},
        diag_pivot_thresh=0.0,
    )
    return _Membrane(unknown, known[beside], coupling[:, beside], factors)


# About 0.5 MB for a 32x32 hole, 25 MB for half of a 256x256 image.
_SMALL = 256 * 128
_membrane = lru_cache(maxsize=64)(_factored)
_large_membrane = lru_cache(maxsize=2)(_factored)


@lru_cache(maxsize=8)
def _laplacian(height: int, width: int) -> csr_array:
    """Return ∇ᵀ∇ of the pixel grid; ∇ takes the difference across every pair of neighbours."""
    pixel = np.arange(height * width).reshape(height, width)
    here = np.concatenate([pixel[:, :-1].ravel(), pixel[:-1].ravel()])
    there = np.concatenate([pixel[:, 1:].ravel(), pixel[1:].ravel()])
    pair = np.arange(len(here))
    signs = np.repeat([-1.0, 1.0], len(pair))
    gradient = csr_array(
        (signs, (np.tile(pair, 2), np.concatenate([here, there]))), shape=(len(pair), pixel.size)
    )
    return csr_array(gradient.T @ gradient)


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
