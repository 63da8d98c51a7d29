"""How good a completion is, over the hole and over the whole image, one figure an image.

Compared are the 8-bit images that are written to disk (uint8 `[b, h, w, 3]`, RGB), because those
are what a reader of the results can check. All figures are on the scale 0..1, so the peak is 1:

    l1 = mean |a - b|    l2 = mean (a - b)²    psnr = 10 log10(1 / l2) in dB, inf where equal
    ssim = Wang et al. 2004: Gaussian window 11x11 of sigma 1.5, K1 = 0.01, K2 = 0.03,
           population covariance, a channel at a time, mean of the channels

A mean over a region that is empty is nan. Figures of several images are summarised by their mean,
PSNR too: the mean of decibels, not the decibels of the mean error.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.ndimage import gaussian_filter

_RADIUS = 5  # of the 11x11 window
_INDICES = 2**20  # that are drawn together in resampling


def figures(completion: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> dict[str, np.ndarray]:
    """Measure completions against the truth, over the hole and over the image.

    `hole/l1`, `hole/l2` and `hole/psnr` read nothing but the hole. `hole/ssim` is the mean over the
    hole of the similarity map, whose windows reach 5 pixels beyond it (mirrored at the image
    border). `image/ssim` leaves a border of 5 pixels out, as scikit-image does, and is nan for
    images of fewer than 11 pixels a side.

    Args:
        completion: uint8 `[b, h, w, 3]`.
        truth: uint8, same shape.
        hole: bool `[b, h, w, 1]`, True where pixels were missing.

    Returns:
        `hole/psnr`, `hole/ssim`, `hole/l1`, `hole/l2` and the same four under `image/`, each
        float64 `[b]`. Over an empty hole they are nan.

    Raises:
        ValueError: shapes do not agree, images are not uint8 or `hole` is not bool.
    """
    _check(completion, truth, hole)
    # One at a time: float64 maps of a whole batch of large photographs take gigabytes.
    each = [
        _figures(completion[i : i + 1] / 255, truth[i : i + 1] / 255, hole[i : i + 1])
        for i in range(max(len(hole), 1))
    ]
    return {name: np.concatenate([one[name] for one in each]) for name in each[0]}


def _figures(completion: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> dict[str, np.ndarray]:
    error = completion - truth
    similarity = _similarity(completion, truth)
    everywhere = np.ones_like(hole)
    inside = np.zeros_like(hole)
    inside[:, _RADIUS:-_RADIUS, _RADIUS:-_RADIUS] = True

    measured = {}
    for name, region, window in (("hole", hole, hole), ("image", everywhere, inside)):
        l2 = _mean(error**2, region)
        with np.errstate(divide="ignore"):  # log 0: equal images, infinitely many dB
            measured[f"{name}/psnr"] = -10 * np.log10(l2)
        measured[f"{name}/ssim"] = _mean(similarity, window)
        measured[f"{name}/l1"] = _mean(np.abs(error), region)
        measured[f"{name}/l2"] = l2
    return measured


RESAMPLES = 2000
"""Of the images, for an interval: minutes, for hundreds of thousands."""


class Estimate(NamedTuple):
    """A mean over `n` images with the bounds of its 95 % confidence interval."""

    mean: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, float | None]:
        """With null for nan, which JSON does not have."""
        return {k: None if np.isnan(v) else v for k, v in self._asdict().items()}

    @classmethod
    def from_json(cls, plain: Mapping[str, float | None]) -> Self:
        """The inverse of `to_json`."""
        values: dict[str, Any] = {k: np.nan if v is None else v for k, v in plain.items()}
        return cls(**values)


def summary(
    columns: Mapping[str, Sequence[float]], *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Estimate]:
    """Average every figure over the images, with a 95 % percentile bootstrap interval.

    Values that are infinite (PSNR of equal images) or nan (an empty hole) have no place in a mean.
    They are left out of their own figure only: `n` says how many images were used. With n = 0 the
    estimate is nan; of one image no interval is known, and its bounds are nan. The interval of a
    figure depends on its values, on `seed` and on `resamples` alone.

    Args:
        columns: the values of each figure, by its name; there may be more of one than of another.
        seed: of the resampling.
        resamples: how many times the images are drawn with replacement; 0: no interval is wanted.

    Returns:
        An `Estimate` for every figure, in their order.
    """
    estimates = {}
    for name, column in columns.items():
        values = np.asarray(column, np.float64)
        values = values[np.isfinite(values)]
        estimates[name] = _estimate(values, np.random.default_rng(seed), resamples)
    return estimates


def _estimate(values: np.ndarray, random: np.random.Generator, resamples: int) -> Estimate:
    n = len(values)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    if n == 1 or not resamples:
        return Estimate(float(values.mean()), np.nan, np.nan, n)
    # Some at a time: all indices at once are a gigabyte for a hundred thousand images.
    together = max(1, _INDICES // n)
    counts = [min(together, resamples - first) for first in range(0, resamples, together)]
    means = [values[random.integers(n, size=(count, n))].mean(axis=1) for count in counts]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high), n)


def _similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the SSIM map of Wang et al. 2004, eq. 13, of images on the scale 0..1."""

    def blur(x: np.ndarray) -> np.ndarray:
        return gaussian_filter(x, 1.5, radius=_RADIUS, mode="reflect", axes=(1, 2))

    c1, c2 = 0.01**2, 0.03**2
    mean_1, mean_2 = blur(first), blur(second)
    variance_1 = blur(first**2) - mean_1**2
    variance_2 = blur(second**2) - mean_2**2
    covariance = blur(first * second) - mean_1 * mean_2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    structure = (2 * covariance + c2) / (variance_1 + variance_2 + c2)
    return luminance * structure


def _mean(values: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Average `[b, h, w, c]` over a region `[b, h, w, 1]` and all channels, nan where empty."""
    count = region.sum(axis=(1, 2, 3)) * values.shape[-1]
    total = np.where(region, values, 0).sum(axis=(1, 2, 3))
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)


def _check(completion: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> None:
    """Refuse images that cannot be compared pixel by pixel."""
    given = [f"{array.dtype} {array.shape}" for array in (completion, truth, hole)]
    shape = completion.shape
    if len(shape) != 4 or given != [f"uint8 {shape}"] * 2 + [f"bool {(*shape[:3], 1)}"]:
        raise ValueError(
            "completion and truth must be uint8 [b, h, w, 3], as they are written, and hole bool "
            f"[b, h, w, 1]; got {', '.join(given)}"
        )
