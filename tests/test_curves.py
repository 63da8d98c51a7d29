"""However long a run is, its curves stay short, and nothing that stands out of them is lost."""

import math

import numpy as np
import pytest

from ce_jax.runs.curves import Curves


def lines(count, *, every=1, **more):
    random = np.random.default_rng(count)
    return [
        {"step": every * i, "images/s": 50.0, "loss/a": float(random.normal()), **more}
        for i in range(1, count + 1)
    ]


def test_a_short_run_is_kept_line_by_line():
    given = lines(7, every=20)
    curves = Curves(given, most=8)
    assert curves.steps() == [20, 40, 60, 80, 100, 120, 140]
    assert curves.names == ["images/s", "loss/a"]
    (mean,) = curves.of("loss/a").values()
    np.testing.assert_allclose(mean, [line["loss/a"] for line in given], rtol=1e-4)


@pytest.mark.parametrize("count", [9, 16, 17, 100, 1000])
def test_a_long_run_is_thinned_to_means_and_extremes_of_equal_stretches(count):
    given = lines(count)
    curves = Curves(given, most=8)
    length = 2 ** math.ceil(math.log2(count / 8))
    values = [line["loss/a"] for line in given]
    stretches = [values[i : i + length] for i in range(0, count, length)]
    of = curves.of("loss/a")
    assert 4 <= len(curves.steps()) <= 8
    for side, reduce in (("mean", np.mean), ("low", min), ("high", max)):
        np.testing.assert_allclose(of[side], list(map(reduce, stretches)), rtol=1e-4, atol=1e-9)
    middles = [np.mean(range(i, min(i + length, count))) + 1 for i in range(0, count, length)]
    np.testing.assert_allclose(curves.steps(), middles, atol=0.5)


def test_what_is_no_number_or_missing_leaves_a_gap():
    curves = Curves(
        [
            {"step": 1, "a": 1.0, "b": "high"},
            {"a": 7.0},
            {"step": 2, "a": math.nan, "b": 2},
            {"step": 3, "a": None, "b": True, "c": 3.0},
        ]
    )
    assert curves.steps() == [1, 2, 3]
    assert curves.of("a") == {"mean": [1.0, None, None]}
    assert curves.of("b") == {"mean": [None, 2.0, None]}
    assert curves.of("c") == {"mean": [None, None, 3.0]}


def test_the_time_at_work_is_that_of_all_lines_without_the_pauses():
    given = [
        {"step": 20, "images/s": 10.0},
        {"step": 40, "images/s": 40.0},
        {"step": 60, "images/s": 0.0},
    ]
    assert Curves(given).seconds(5) == pytest.approx(20 * 5 / 10 + 20 * 5 / 40)
    assert Curves(lines(1000), most=8).seconds(5) == pytest.approx(1000 * 5 / 50)
    assert Curves().pace() is None
    assert Curves(given[:2]).pace() == 25.0
