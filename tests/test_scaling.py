"""The model of many chips is its formula, and what it counts is there."""

from dataclasses import replace

import jax
import pytest
import tiny

from benchmarks import scaling

CHIP = scaling.Chip(peak=1e12, memory=1e9, link=1e6, axes=2)
WORK = scaling.Counted(images=4, flops=2e12, bytes_moved=1e6, bytes_sent=1e5, collectives=3)
ASSUMED = {"efficiency": 0.5, "latency": 1e-3}


def test_one_chip_computes_or_waits_for_its_memory_and_sends_nothing():
    assert scaling.seconds(WORK, CHIP, chips=1, **ASSUMED) == pytest.approx(4)
    busy = replace(WORK, bytes_moved=5e9)
    assert scaling.seconds(busy, CHIP, chips=1, **ASSUMED) == pytest.approx(5)


def test_many_chips_pass_sums_around_every_axis_of_a_torus():
    expected = 4 + 2 * 15 / 16 * 0.1 + 3 * (2 * 2 * 3) * 1e-3  # 4x4 chips
    assert scaling.seconds(WORK, CHIP, chips=16, **ASSUMED) == pytest.approx(expected)


def test_beyond_a_host_the_network_sets_the_pace():
    gpu = scaling.CHIPS["h100"]
    assert [gpu.bandwidth(n) for n in (1, 8, 9)] == [450e9, 450e9, 50e9]
    assert [gpu.hops(n) for n in (1, 2, 8, 16, 24)] == [0, 2, 2, 4, 6]
    for chip in scaling.CHIPS.values():
        times = [scaling.seconds(WORK, chip, chips=n, **ASSUMED) for n in (1, 2, 8, 64, 256)]
        assert times == sorted(times)


@pytest.mark.slow
def test_what_is_counted_is_what_the_step_holds():
    """Gradients, statistics and scalars are sent; twice the images are twice the arithmetic."""
    experiment = replace(tiny.dcgan(), average=0.0)
    work, twice = (scaling.count(replace(experiment, batch_size=n)) for n in (16, 32))
    state = tiny.start(experiment)
    players = (state.generator, state.critic)
    gradients = sum(leaf.nbytes for player in players for leaf in jax.tree.leaves(player.params))
    assert gradients < work.bytes_sent < 1.2 * gradients
    assert work.bytes_sent == twice.bytes_sent
    # Statistics going forward and back: 3 layers of the generator; 2 of the critic, thrice.
    assert work.collectives == twice.collectives == 2 * (3 + 3 * 2) + 2 + 1
    assert 1.9 < twice.flops / work.flops < 2
    assert 1.5 < twice.bytes_moved / work.bytes_moved < 2


@pytest.mark.slow
def test_the_command_prints_a_table_of_every_chip_and_writes_it(tmp_path, capsys):
    page = tmp_path / "scaling.md"
    scaling.main(["configs/smoke.py", "--chips", "1", "64", "--out", str(page)])
    assert capsys.readouterr().out == page.read_text()
    rows = [line for line in page.read_text().splitlines() if line.startswith("| 64 ")]
    assert len(rows) == len(scaling.CHIPS)
    assert all(0 < float(row.split("|")[5].strip(" %")) < 100 for row in rows)
