"""The way of a search through its space: at which steps to look, and how to see it on paper."""

import numpy as np


def milestones(steps: int, *, count: int) -> np.ndarray:
    """`count` different steps from 0 to `steps`, ever further apart: most happens at the start.

    They stand in geometric progression wherever that leaves at least one step between two.

    Args:
        steps: the last of them.
        count: from 2 to steps + 1.
    """
    progression = np.rint(np.geomspace(steps, 1, count - 1))[::-1]
    return np.concatenate([[0], np.maximum(progression, np.arange(1, count))]).astype(int)


def principal_plane(points: np.ndarray) -> tuple[np.ndarray, float]:
    """The points seen in the plane of their two leading principal components.

    An axis points to where its largest coefficient is positive, so that the view is always the
    same.

    Args:
        points: [..., d].

    Returns:
        Coordinates [..., 2], and the share of the variance that the plane holds, 1 for points that
        are all the same.
    """
    flat = points.reshape(-1, points.shape[-1]).astype(np.float64)
    centred = flat - flat.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1, keepdims=True), axis=1)
    plane = np.zeros((len(flat), 2))
    plane[:, : len(axes)] = centred @ (axes * np.sign(largest)).T
    variance = spread**2
    share = variance[:2].sum() / variance.sum() if variance.any() else 1.0
    return plane.reshape(*points.shape[:-1], 2), float(share)
