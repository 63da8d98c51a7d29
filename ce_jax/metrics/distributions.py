"""How alike two sets of images are, by what a network makes of them; float64, on the host.

Features are [n, d], one row an image. Both measures forget which completion belongs to which truth,
and are 0 in the limit for sets that nobody can tell apart.
"""

import numpy as np

from ce_jax.metrics import Estimate

FEWEST_FOR_FID = 2048
"""Below this many images a covariance of 2048 features has not even full rank (Heusel et al.)."""


# Of features, that are in memory together as float64.
_ROWS = 4096


def figures(first: np.ndarray, second: np.ndarray) -> tuple[dict[str, Estimate], str]:
    """FID and KID of two sets of as many images, and what has to be said of them, if anything.

    Returns:
        `set/fid` without an interval, and `set/kid` with its deviation on both sides; nan for fewer
        than two images. The remark is empty from `FEWEST_FOR_FID` images on.
    """
    n = len(first)
    if n < 2:
        nothing = Estimate(np.nan, np.nan, np.nan, n)
        remark = f"FID and KID need at least 2 completed images with a known truth; here are {n}"
        return {"set/fid": nothing, "set/kid": nothing}, remark
    fid = frechet_distance(first, second)
    kid, deviation = kernel_distance(first, second)
    found = {
        "set/fid": Estimate(fid, np.nan, np.nan, n),
        "set/kid": Estimate(kid, kid - deviation, kid + deviation, n),
    }
    if n >= FEWEST_FOR_FID:
        return found, ""
    return found, (
        f"FID of {n} images is biased upwards, and comparable only with that of as many; "
        f"use KID, or at least {FEWEST_FOR_FID} images"
    )


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """FID: the distance of two normal distributions (Heusel et al. 2017, eq. 6).

        |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))

    With C = R^T R and C' = R'^T R', the eigenvalues of C C' are the squares of the singular values
    of R R'^T, so that the trace of the root is their sum: real, and right where C is singular.

    Args:
        first: [n, d], n at least 2.
        second: [m, d], m at least 2.
    """
    means = [features.mean(axis=0, dtype=np.float64) for features in (first, second)]
    apart = np.sum((means[0] - means[1]) ** 2)
    one, other = map(_root_of_covariance, (first, second), means)
    shared = np.linalg.norm(one @ other.T, "nuc")
    return float(apart + np.sum(one**2) + np.sum(other**2) - 2 * shared)


def kernel_distance(
    first: np.ndarray, second: np.ndarray, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """KID: the mean over random subsets of the square MMD (Binkowski et al. 2018, eq. 4).

    The kernel is (x . y / d + 1)^3 and the estimate unbiased, so that it may be below 0.

    Args:
        first: [n, d], n at least 2.
        second: [m, d], m at least 2.
        subsets: how many are drawn.
        size: images in each of them. Where there are no more than that, all are taken, once.
        seed: of the drawing.

    Returns:
        The mean, and the standard deviation over the subsets; nan if there is but one.
    """
    if min(len(first), len(second)) <= size:
        return _square_mmd(first, second), np.nan
    random = np.random.default_rng(seed)
    found = [
        _square_mmd(*(x[random.choice(len(x), size, replace=False)] for x in (first, second)))
        for _ in range(subsets)
    ]
    return float(np.mean(found)), float(np.std(found))


def _root_of_covariance(features: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """R with R^T R the unbiased covariance of [n, d] about its mean; [min(n, d), d].

    That of some rows and of the R of all before them is the R of them all.
    """
    root = np.empty((0, features.shape[1]))
    for first in range(0, len(features), _ROWS):
        centred = features[first : first + _ROWS] - mean
        root = np.linalg.qr(np.concatenate([root, centred])).R
    return root / np.sqrt(len(features) - 1)


def _square_mmd(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first.astype(np.float64), second.astype(np.float64)

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def others(x: np.ndarray) -> float:
        """The mean over pairs of different images."""
        among = kernel(x, x)
        return (among.sum() - np.trace(among)) / (len(x) * (len(x) - 1))

    return float(others(first) + others(second) - 2 * kernel(first, second).mean())
