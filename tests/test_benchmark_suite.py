"""Time is shared so that what matters is done, and what is reported is what was timed."""

import itertools
import json
import time
import weakref
import xml.etree.ElementTree as xml

import jax
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e .[benchmark]")

from benchmarks import __main__ as command
from benchmarks import figures, ours, page, plots, searching, suite
from benchmarks.setting import Setting
from benchmarks.timing import spread
from benchmarks.work import Planned, Side, Skipped, Timed, Work


def work(name="a step", setting="batch 64, width 64, 64 px", *, seconds=0.0, **changes):
    side = Side(call=lambda: time.sleep(seconds))
    return Work(
        **{"name": name, "setting": setting, "images": 64, "sides": {"JAX": side}} | changes
    )


def run(works, *, minutes=1.0, repetitions=2):
    told = []
    bench = suite.Bench(suite.Budget(minutes), repetitions=repetitions, say=told.append)
    return list(map(bench.time, works)), told


def test_each_side_is_timed_as_often_as_is_asked_and_for_the_whole_of_its_work():
    sides = {
        "JAX": Side(call=lambda: time.sleep(0.002)),
        "PyTorch": Side(call=lambda: time.sleep(0.002), part=0.1),
    }
    (timed,), told = run([work(sides=sides, steps=2)], repetitions=3)
    assert told == ["a step, batch 64, width 64, 64 px"]
    assert all(len(spread.samples) == 3 for spread in timed.spreads.values())
    assert timed.spreads["JAX"].minimum >= 0.001
    assert timed.spreads["PyTorch"].minimum >= 0.01


def test_what_would_take_too_long_says_how_much_time_it_needs():
    (skipped,), _ = run([work(seconds=0.05)], minutes=0.001)
    assert isinstance(skipped, Skipped)
    assert skipped.reason.endswith("give --minutes 1")


def test_what_is_larger_than_what_took_long_is_not_even_built():
    def unasked():
        raise AssertionError("it was built")

    small = Planned(name="a step", setting="1", cost=1.0, build=lambda: work(seconds=0.01))
    large = Planned(name="a step", setting="1000", cost=1e6, build=unasked)
    (timed, skipped), _ = run([small, large])
    assert isinstance(timed, Timed)
    assert isinstance(skipped, Skipped) and "take too long" in skipped.reason


def test_when_the_time_is_over_nothing_more_is_begun():
    (skipped,), told = run([work()], minutes=0.0)
    assert isinstance(skipped, Skipped) and not told
    assert skipped.reason == "the 0 minutes are over; give more --minutes"


def test_what_cannot_be_built_is_told_and_the_others_go_on():
    def fails():
        raise MemoryError("too large")

    broken = Planned(name="a step", setting="1", cost=1.0, build=fails)
    absent = Skipped(name="a loader", setting="", reason="grain is not installed")
    results, _ = run([broken, absent, work("another")])
    assert [getattr(result, "reason", "done") for result in results] == [
        *("MemoryError: too large", "grain is not installed", "done")
    ]


def test_what_a_work_needed_is_gone_before_the_next_one_is_built():
    class Networks:
        def call(self):
            return None

    alive = []

    def build():
        assert not any(networks() for networks in alive)
        alive.append(weakref.ref(networks := Networks()))
        return work(sides={"JAX": Side(call=networks.call)})

    planned = Planned(name="a step", setting="", cost=1.0, build=build)
    results, _ = run(itertools.chain((build() for _ in range(2)), [planned]))
    assert all(isinstance(result, Timed) for result in results) and len(alive) == 3
    assert not any(networks() for networks in alive)


def test_every_kind_of_work_comes_before_larger_batches_and_sizes():
    absent = Skipped(name="a loader", setting="", reason="")
    works = list(suite.plans(Setting(), [256, 64], [absent]))
    names = [planned.name for planned in works]
    smallest = [planned for planned in works[: names.index("a loader")]]
    assert len({planned.name for planned in smallest}) == len(smallest)
    assert all("batch 64" in planned.setting for planned in smallest)
    assert set(names) == {planned.name for planned in smallest} | {"a loader", suite.BY_SIZE}
    sizes = [planned.cost for planned in works if planned.name == suite.BY_SIZE]
    assert sizes == sorted(sizes) and len(sizes) == 13


def timed(name, setting, seconds, *, flops=1e9, images=64, **changes):
    """As if sides had taken so many seconds in each turn."""
    found = work(
        name,
        setting,
        flops=flops,
        images=images,
        sides={s: Side(call=int) for s in seconds},
        **changes,
    )
    return Timed(found, {side: spread(samples) for side, samples in seconds.items()})


@pytest.fixture
def report():
    results = [
        timed("matrix product", "2 x 2", {"JAX": [0.5, 0.5], "PyTorch": [1.0, 1.0]}, images=0),
        timed("a step", "batch 64", {"JAX": [1.0, 2.0], "PyTorch": [2.0, 6.0]}),
        timed(
            "half a step",
            "batch 64",
            {"JAX": [4.0], "JAX bf16": [1.0], "PyTorch bf16 compiled": [2.0]},
        ),
        timed("a search", "30 or 1,500", {"JAX": [1.0], "SciPy": [9.0]}, alike=False),
        *(
            timed(
                suite.BY_SIZE, f"batch {batch}, width 64, 64 px", {"JAX": [0.1], "PyTorch": [0.2]}
            )
            for batch in (1, 64)
        ),
        Skipped(name="a loader", setting="of JPEGs", reason="grain is not installed"),
    ]
    return figures.report(results, machine=figures.machine(), setting={"minutes": 9.0})


def test_ratios_are_those_of_each_turn_and_of_the_same_precision(report):
    _, step, half, *_ = report["works"]
    assert step["sides"]["PyTorch"]["times_ours"]["samples"] == (2.0, 3.0)
    assert step["sides"]["JAX"]["images_per_second"] == 64 / 1.5
    assert step["sides"]["JAX"]["share_of_ceiling"] == pytest.approx(0.5 / 1.5)
    ratio = half["sides"]["PyTorch bf16 compiled"]["times_ours"]
    assert (ratio["ours"], ratio["median"]) == ("JAX bf16", 2.0)
    assert half["sides"]["JAX bf16"]["share_of_ceiling"] is None  # no such product was measured
    json.dumps(report)


def test_without_a_side_of_ours_of_its_precision_there_is_no_ratio():
    sides = {"ce_jax": [1.0], "SciPy": [3.0], "PyTorch bf16": [2.0]}
    (found,) = figures.report([timed("a blend", "", sides)], machine={}, setting={})["works"]
    assert [name for name, side in found["sides"].items() if "times_ours" in side] == ["SciPy"]


def test_the_page_and_the_plots_show_every_work_once(report):
    text = page.markdown(report)
    for found in report["works"]:
        assert text.count(f"**{found['name']}**, {found['setting']} |") == 1
    assert "- a loader (of JPEGs): grain is not installed" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {len(page.HEADER) + 1}
    ratios, costs = (xml.fromstring(plot(report)) for plot in (plots.ratios, plots.costs))
    lines = [element.text for element in ratios.iter() if element.text]
    assert lines.count("PyTorch") == 2 and "SciPy" not in lines
    assert lines.count("PyTorch bf16 compiled") == 1
    assert sum(element.tag.endswith("polyline") for element in costs.iter()) == 6


def test_a_run_that_timed_nothing_has_a_page_and_plots_too():
    empty = figures.report([], machine={}, setting={})
    assert "not measured" in page.markdown(empty)
    assert all(xml.fromstring(plot(empty)) is not None for plot in (plots.ratios, plots.costs))


def test_what_was_measured_is_on_the_disk_before_the_next_work_begins(tmp_path, monkeypatch):
    def plans(*_):
        yield work(figures.CEILING, flops=1e9)
        raise KeyboardInterrupt  # the machine is taken away

    monkeypatch.setattr(suite, "plans", plans)
    with pytest.raises(KeyboardInterrupt):
        command.main(["--out", str(tmp_path), "--repetitions", "2"])
    report = json.loads((tmp_path / "benchmark.json").read_text())
    assert [one["name"] for one in report["works"]] == [figures.CEILING]
    assert figures.CEILING in (tmp_path / "benchmark.md").read_text()


def test_the_operations_of_a_search_are_those_of_its_layers_there_and_back():
    """Of which judging, in a call of four steps, is done four times and once more; within 2 %."""
    setting = Setting(size=32, width=64, batch_size=2, steps=4)
    networks = jax.eval_shape(lambda: ours.dcgan_networks(setting, setting.size))
    # Alike in both networks; of s rows, 2 s - 2 meet a row of a kernel of 4 at stride 2.
    convolutions = [(32, 3, 64), (16, 64, 128), (8, 128, 256)]
    products = 2 * sum((2 * s - 2) ** 2 * inner * outer for s, inner, outer in convolutions)
    products += 16 * 256 * (setting.model.latent + 1)
    for judged in (True, False):
        found = searching._flops(setting, networks, judged=judged) / (2 * 2 * products)
        assert found == pytest.approx(2 + judged / 4, rel=0.02)
