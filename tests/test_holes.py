"""Holes have the promised size, depend on their own key alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from ce_jax import holes
from ce_jax.holes.hole_sets import hash_of

PIXELS_OF_37X37 = {
    "center": 18 * 18,
    "center:5": 5 * 5,
    "block": 18 * 18,
    "block:7": 7 * 7,
    "random": 1095,
    "random:0.3": 411,
    "pattern": 342,
    "pattern:0.4": 548,
    "half": 18 * 37,
    "half:left": 18 * 37,
    "half:right": 18 * 37,
    "half:top": 18 * 37,
    "half:bottom": 18 * 37,
}


def keys_of(*seeds):
    return jax.vmap(jax.random.key)(jnp.array(seeds))


quickly = functools.partial(tiny.jit, static_argnums=0, static_argnames="size")
compiled = quickly(holes.draw)


def drawn(spec, *seeds, size=37):
    return np.asarray(compiled(holes.parse(spec), keys_of(*seeds), size=size))


@pytest.mark.parametrize(
    "spec", [*PIXELS_OF_37X37, "block:7-12", "blocks", "blocks:0.1", "free-form", "free-form:0-9"]
)
def test_a_kind_is_hashable_and_written_as_it_is_read(spec):
    kind = holes.parse(spec)
    assert holes.parse(str(kind)) == kind
    assert {kind: 1}[holes.parse(spec)] == 1


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (
            "centre",
            "'centre' is unknown; did you mean center\\? kinds are center, block, blocks, random",
        ),
        ("xyz:3", "'xyz:3' is unknown; kinds are"),
        ("random:1.5", "'random:1.5': 1.5 is not a share above 0 and below 1, as in random:0.8"),
        ("random:0", "0 is not a share"),
        ("pattern:nan", "nan is not a share"),
        ("pattern:lots", "'lots' is not a share"),
        ("center:0", "0 is not a side"),
        ("block:2.5", "2.5 is not a side in whole pixels, or the first .*: block:24, block:7-12"),
        ("block:12-7", r"\(12, 7\) is not a side"),
        ("block:7-", "'7-' is not a side"),
        ("blocks:2", "2 is not a share"),
        ("free-form:20", "20 is not two whole per cents from 0 to 99, as in free-form:20-30"),
        ("free-form:50-100", r"\(50, 100\) is not two"),
        ("half:middle", "'middle' is not left, right, top or bottom"),
        ("half:", "'' is not left, right, top or bottom"),
    ],
)
def test_a_kind_that_cannot_be_drawn_is_refused_with_its_value_and_a_remedy(spec, complaint):
    with pytest.raises(holes.HoleError, match=complaint):
        holes.parse(spec)


@pytest.mark.parametrize(
    "spec",
    ["center:37", "block:40", "block:7-40", "blocks:0.01", "random:0.0001", "pattern:0.9999"],
)
def test_a_hole_that_leaves_nothing_to_do_or_nothing_to_do_it_from_is_refused(spec):
    with pytest.raises(holes.HoleError, match=f"'{spec}' .*; use "):
        drawn(spec, 0)


@pytest.mark.parametrize(("spec", "pixels"), PIXELS_OF_37X37.items())
def test_every_hole_has_exactly_the_pixels_its_kind_promises(spec, pixels):
    hole = drawn(spec, 3, 7, 5)
    assert hole.shape == (3, 37, 37, 1)
    assert hole.dtype == bool
    np.testing.assert_array_equal(hole.sum((1, 2, 3)), pixels)


@pytest.mark.parametrize(
    "spec", ["center", "block", "block:2-9", "blocks", "random", "pattern", "free-form", "half"]
)
def test_a_hole_depends_on_its_own_key_alone(spec):
    np.testing.assert_array_equal(drawn(spec, 3, 7, 5)[1], drawn(spec, 7)[0])


@pytest.mark.parametrize(
    "spec",
    [
        *("center", "block", "block:2-9", "random", "half"),
        *(pytest.param(spec, marks=pytest.mark.slow) for spec in ("blocks", "pattern")),
    ],
)
def test_a_hole_is_the_same_without_jit(spec):
    uncompiled = holes.draw(holes.parse(spec), keys_of(7, 5), size=37)
    np.testing.assert_array_equal(drawn(spec, 7, 5), uncompiled)


@pytest.mark.parametrize(
    "spec", ["block", "block:2-9", "blocks", "random", "pattern", "free-form", "half"]
)
def test_other_keys_give_other_holes(spec):
    assert len({hole.tobytes() for hole in drawn(spec, 3, 7, 5)}) > 1


def test_each_key_chooses_among_kinds_by_itself():
    kinds = tuple(map(holes.parse, ("center:3", "random", "block:20")))
    draw_any = quickly(holes.draw_any)
    batch = np.asarray(draw_any(kinds, keys_of(*range(16)), size=37))
    assert set(batch.sum((1, 2, 3))) == {3 * 3, 1095, 20 * 20}
    np.testing.assert_array_equal(draw_any(kinds, keys_of(9), size=37)[0], batch[9])


def test_strokes_that_can_take_no_whole_pixel_are_refused():
    with pytest.raises(holes.HoleError, match="'free-form:0-1' takes no whole pixel of 8x8; use m"):
        holes.check(holes.parse("free-form:0-1"), size=8)


def test_center_is_the_middle_square():
    expected = np.zeros((8, 8), bool)
    expected[2:6, 2:6] = True
    np.testing.assert_array_equal(drawn("center", 0, size=8)[0, ..., 0], expected)


def test_a_block_of_several_sizes_is_a_square_of_any_of_them():
    hole = drawn("block:2-5", *range(200), size=16)[..., 0]
    sides = {*hole.any(1).sum(1)} | {*hole.any(2).sum(1)}
    assert sides == {2, 3, 4, 5}
    np.testing.assert_array_equal(hole.sum((1, 2)), hole.any(1).sum(1) * hole.any(2).sum(1))


def test_several_blocks_fill_their_share_and_no_more():
    share = drawn("blocks", *range(100), size=64).mean((1, 2, 3))
    assert share.max() <= 0.25
    assert share.mean() > 0.23
    hole = drawn("blocks", *range(100), size=64)[..., 0]
    squares = hole.any(1).sum(1) * hole.any(2).sum(1)
    assert (hole.sum((1, 2)) < squares).mean() > 0.9  # more than one of them


@pytest.mark.parametrize(("share", "size"), [(0.02, 64), (0.016, 64), (0.0156, 64), (0.0625, 8)])
def test_of_a_small_share_no_hole_of_blocks_is_empty(share, size):
    pixels = drawn(f"blocks:{share}", *range(300), size=size).sum((1, 2, 3))
    assert pixels.min() >= (size // 8) ** 2
    assert pixels.max() <= round(share * size**2)


@pytest.mark.parametrize(
    ("spec", "size", "known_by"),
    [
        ("blocks", 64, "5dd0cdacc3ed46e0"),
        ("blocks", 128, "58378b2a3103e3cd"),
        ("blocks:0.0625", 64, "662484a84fedfd32"),
        ("blocks:0.1", 37, "8c8a9362f29ac1e9"),
    ],
)
def test_blocks_of_a_usual_share_are_what_they_always_were(spec, size, known_by):
    assert hash_of(drawn(spec, *range(40), size=size)) == known_by


def test_each_key_is_told_which_kind_to_draw():
    kinds = tuple(map(holes.parse, ("center:3", "random", "block:20")))
    choice = jnp.array([2, 0, 1, 2])
    draw_chosen = quickly(holes.draw_chosen)
    batch = draw_chosen(kinds, choice, keys_of(*range(4)), size=37)
    assert batch.sum((1, 2, 3)).tolist() == [20 * 20, 3 * 3, 1095, 20 * 20]
    alone = draw_chosen(kinds, choice[:1], keys_of(0), size=37)
    np.testing.assert_array_equal(alone[0], batch[0])


def test_blocks_reach_every_corner():
    hole = drawn("block:6", *range(60), size=8)[..., 0]
    assert hole[:, [0, 0, -1, -1], [0, -1, 0, -1]].any(0).all()


@pytest.mark.parametrize(
    ("edge", "border"), [("left", (..., 0)), ("right", (..., -1)), ("top", 0), ("bottom", -1)]
)
def test_a_half_lies_at_its_edge(edge, border):
    hole = drawn(f"half:{edge}", 0, size=9)[0, ..., 0]
    assert hole[border].all()
    assert not hole[::-1, ::-1][border].any()


def test_random_pixels_are_spread_evenly():
    share = drawn("random:0.5", *range(400), size=8).mean(0)
    assert abs(share - 0.5).max() < 0.15  # six standard deviations


def test_pattern_is_smooth_and_favours_no_place():
    hole = drawn("pattern", *range(400), size=64)[..., 0]
    assert np.diff(hole, axis=1).mean() < 0.06  # of independent pixels, 0.375 differ
    assert abs(hole.mean(0) - 0.25).max() < 0.15
