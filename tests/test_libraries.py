"""A method of a library is what the library makes of a blank hole, and of nothing else."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from patterns import BATCH, KEYS, SIZE, dots, smooth, square

from ce_jax import images, sharding
from ce_jax.completion import methods
from ce_jax.config import ConfigError, Inpainting, PatchMatch

LIBRARIES = {
    "biharmonic": "skimage",
    "telea": "cv2",
    "navier-stokes": "cv2",
    "patchmatch": "patchmatch",
}


def build(method, **changes):
    config = Inpainting(method=method, **changes)
    return methods.build(config, None, sharding.make_mesh(jax.devices()[:1]))


@pytest.fixture(params=LIBRARIES)
def method(request):
    pytest.importorskip(LIBRARIES[request.param], reason="comes with the extra classical")
    return request.param


HOLES = np.stack([dots(1, 0.8), square(0, 20, 9, SIZE), square(9, 20, 9, 20)])
PICTURES = np.stack([smooth(seed) for seed in range(BATCH)])


def completed(complete, pictures=PICTURES, hole=HOLES):
    found = complete(jnp.asarray(pictures), jnp.asarray(hole), jax.random.clone(KEYS))
    return np.asarray(found.images)


def test_a_method_of_a_library_gives_what_the_library_gives_for_a_blank_hole(method):
    blank = images.to_uint8(np.where(HOLES, 0, PICTURES))
    if method == "biharmonic":
        from skimage.restoration import inpaint_biharmonic

        def expected(image, hole):
            return inpaint_biharmonic(images.to_float(image).astype(float), hole, channel_axis=-1)

    elif method == "patchmatch":
        import patchmatch

        patchmatch.set_random_seed(7)

        def expected(image, hole):
            return images.to_float(patchmatch.inpaint(image, hole, patch_size=2))

    else:
        import cv2

        kind = cv2.INPAINT_TELEA if method == "telea" else cv2.INPAINT_NS

        def expected(image, hole):
            return images.to_float(cv2.inpaint(image, hole.astype(np.uint8), 3, kind))

    pictures = images.to_float(images.to_uint8(PICTURES))
    complete = build(method, patchmatch=PatchMatch(radius=2), seed=7)
    found = completed(complete, pictures)
    for image, hole, result in zip(blank, HOLES[..., 0], found, strict=True):
        np.testing.assert_allclose(result, expected(image, hole.copy()), atol=1e-6)
    assert np.array_equal(np.where(HOLES, 0, found), np.where(HOLES, 0, pictures))


def test_a_library_reads_neither_the_hole_nor_other_images(method):
    complete, order = build(method), [2, 0, 1]
    found = completed(complete)
    for filling in (np.float32(np.nan), np.random.default_rng(0).uniform(-1, 1, PICTURES.shape)):
        tampered = np.where(HOLES, filling, PICTURES).astype(np.float32)
        assert np.array_equal(completed(complete, tampered), found)
    assert np.array_equal(completed(complete, PICTURES[order], HOLES[order]), found[order])


def test_where_nothing_is_known_a_library_is_not_asked_and_where_nothing_is_missing_all_stays(
    method,
):
    hole = HOLES.copy()
    hole[0], hole[1] = True, False
    found = completed(build(method), hole=hole)
    assert np.isnan(found[0]).all()
    assert np.array_equal(found[1], PICTURES[1])
    assert np.isfinite(found[2]).all()


def test_another_seed_gives_other_patches():
    pytest.importorskip("patchmatch", reason="comes with the extra classical")
    one, other = (completed(build("patchmatch", seed=seed)) for seed in (0, 1))
    assert np.any(one != other)


@pytest.mark.parametrize(("method", "module"), [*LIBRARIES.items()])
def test_a_library_that_is_missing_is_named_with_the_extra(monkeypatch, method, module):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "skimage.restoration", raising=False)
    with pytest.raises(ConfigError, match=rf"{method} needs pip install .*\[classical\]") as told:
        build(method)
    assert module in str(told.value)
    assert "\n" not in str(told.value)
