"""Completions without a seam: the Poisson equation on the hole, solved exactly on the host.

Images are floating point in [-1, 1], `[b, h, w, c]`. A hole is bool `[b, h, w, 1]`, True where
pixels are missing. Everything is computed in float64, image by image, so that no result depends on
the other images of its batch, and all functions may be called from several threads at once.
"""

import numpy as np

from ce_jax.blending.membranes import factored


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
    for image, membrane in factored(hole):
        pixels[image, membrane.unknown] = membrane.stretch(pixels[image, membrane.rim])
    return extended


def poisson(images: np.ndarray, proposal: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Blend the proposal into the hole: keep its gradients, meet the known pixels without a seam.

    Yeh et al. 2017, eq. 6: argmin_x ||∇x - ∇G(ẑ)||² subject to x = y on the known pixels, with
    y = `images` and G(ẑ) = `proposal`. Writing x = G(ẑ) + u leaves ||∇u||² with u = y - G(ẑ) known
    outside the hole, so u is the harmonic extension of that difference.

        >>> images, hole = np.full((1, 4, 4, 3), 0.5), np.zeros((1, 4, 4, 1), bool)
        >>> hole[:, 1:3, 1:3] = True
        >>> bool(np.allclose(poisson(images, np.zeros_like(images), hole), images))  # flat is flat
        True

    Args:
        images: floating point `[b, h, w, c]` in [-1, 1], finite where known. Never read inside the
            hole.
        proposal: floating point, same shape, finite; known pixels beside the hole are read too.
        hole: bool `[b, h, w, 1]`.

    Returns:
        Completed images of the shape and dtype of `images`: known pixels bit-equal, the hole
        clipped to [-1, 1]. An empty hole gives the image itself; where nothing is known the
        solution is free up to a constant, and the proposal itself is returned, clipped.

    Raises:
        ValueError: shapes do not agree, `hole` is not bool, another array is not floating point,
            or the proposal is not finite.
    """
    _check(hole, images=images, proposal=proposal)
    _refuse_non_finite(proposal)
    completed, unbound = images.copy(), hole.all(axis=(1, 2, 3))
    completed[unbound] = proposal[unbound].clip(-1, 1)
    known, proposed, blended = map(_pixels, (images, proposal, completed))
    for image, membrane in factored(hole):
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
        ValueError: shapes do not agree, `hole` is not bool, another array is not floating point,
            or the proposal is not finite inside the hole.
    """
    _check(hole, images=images, proposal=proposal)
    _refuse_non_finite(np.where(hole, proposal, 0))
    return np.where(hole, proposal.astype(images.dtype), images)


def _pixels(images: np.ndarray) -> np.ndarray:
    """[b, h, w, c] -> [b, h * w, c]; writes to it reach C-ordered images."""
    batch, height, width, channels = images.shape
    return images.reshape(batch, height * width, channels)


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
