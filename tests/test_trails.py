"""A trail is looked at where something happens, and from where most of it can be seen."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from ce_jax.completion.trails import milestones, principal_plane


@pytest.mark.parametrize("steps", [1, 2, 7, 60, 1500])
def test_milestones_are_different_steps_from_the_first_to_the_last(steps):
    for count in range(2, min(steps + 1, 70) + 1):
        found = milestones(steps, count=count)
        assert len(found) == count
        assert (found[0], found[-1]) == (0, steps)
        assert np.all(np.diff(found) >= 1)


def test_milestones_lie_ever_further_apart():
    assert milestones(1000, count=5).tolist() == [0, 1, 10, 100, 1000]
    assert milestones(3, count=4).tolist() == [0, 1, 2, 3]


def points(*shape):
    spread = np.array([5, 3, 1, 0.5])
    return (np.random.default_rng(0).normal(size=(*shape, 4)) * spread + 7).astype(np.float32)


def test_the_plane_is_that_of_principal_component_analysis():
    cloud = points(3, 50)
    found, share = principal_plane(cloud)
    reference = PCA(2)
    expected = reference.fit_transform(cloud.reshape(-1, 4)).reshape(3, 50, 2)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)
    assert share == pytest.approx(reference.explained_variance_ratio_.sum(), abs=1e-6)


def test_the_view_does_not_depend_on_the_order_of_the_points():
    cloud = points(60)
    order = np.random.default_rng(1).permutation(60)
    np.testing.assert_allclose(
        principal_plane(cloud[order])[0], principal_plane(cloud)[0][order], atol=1e-9
    )


def test_points_without_a_plane_have_a_view_as_well():
    still, share = principal_plane(np.ones((2, 3, 4)))
    assert (still.shape, share) == ((2, 3, 2), 1)
    assert not still.any()
    line, share = principal_plane(np.array([[0.0], [2.0]]))
    assert np.allclose(line, [[-1, 0], [1, 0]])
    assert share == 1
