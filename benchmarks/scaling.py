"""How long a step takes on many chips, from what it computes, reads and sends.

    python -m benchmarks.scaling configs/dcgan_celeba64.py --chips 1 8 64 256

No chip is needed: everything is counted in the step's own program. Every chip has a whole batch of
the config, so that the work of one stays the same. Then a step takes

    max(operations / (peak * efficiency), bytes / memory bandwidth)
    + 2 (n - 1) / n * bytes sent / link bandwidth  +  collectives * hops * latency

where nothing is sent while it computes: an upper bound, because XLA sends the gradients of the last
layers while it computes those of the first.
"""

import argparse
import dataclasses
import itertools
import math
import re
import runpy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from ce_jax import sharding
from ce_jax.config import Training
from ce_jax.runs import arithmetic


@dataclass(frozen=True, kw_only=True)
class Chip:
    """What a manufacturer publishes of a chip; bytes and operations per second.

    Attributes:
        peak: operations on dense bfloat16 matrices.
        memory: bandwidth of its own memory.
        link: what it can send to its neighbours, one way.
        axes: of the torus that they form; 0 where all of a host reach each other at once.
        together: how many such links connect; beyond them it is `network` to each chip.
        network: what it can send to other hosts.
    """

    peak: float
    memory: float
    link: float
    axes: int
    together: float = math.inf
    network: float = math.inf

    def hops(self, chips: int) -> float:
        """How often a sum is handed on, there and back: around every axis of a cubic torus."""
        if self.axes == 0:
            inside = min(chips, self.together)
            return 2 * (inside > 1) + 2 * (math.ceil(chips / self.together) - 1)
        return 2 * self.axes * (chips ** (1 / self.axes) - 1)

    def bandwidth(self, chips: int) -> float:
        """Of the slowest link that a ring through so many chips has to take."""
        return self.link if chips <= self.together else min(self.link, self.network)


CHIPS = {
    # cloud.google.com/tpu/docs/v5e: 197 TFLOPs bf16, 819 GBps, 1,600 Gbps between chips, 2D torus
    "v5e": Chip(peak=197e12, memory=819e9, link=1600e9 / 8, axes=2),
    # cloud.google.com/tpu/docs/v5p: 459 TFLOPs bf16, 2,765 GBps, 4,800 Gbps between chips, 3D torus
    "v5p": Chip(peak=459e12, memory=2765e9, link=4800e9 / 8, axes=3),
    # NVIDIA's data sheet of the H100 SXM: 989 TFLOPS bf16 without sparsity, 3.35 TB/s, NVLink
    # 900 GB/s both ways; of a DGX, eight to a host, each with 400 Gb/s to the others
    "h100": Chip(peak=989e12, memory=3.35e12, link=450e9, axes=0, together=8, network=400e9 / 8),
}


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What one chip does in a step.

    Attributes:
        images: in its batch.
        flops: operations, as `runs.arithmetic` counts them.
        bytes_moved: to and from its memory, if every convolution and matrix product reads its
            factors and writes its result, everything else is part of one of them, and the optimiser
            reads and writes the state once.
        bytes_sent: gradients, statistics and losses that are averaged over the chips.
        collectives: averages that have to wait for each other.
    """

    images: int
    flops: float
    bytes_moved: float
    bytes_sent: float
    collectives: int


def seconds(work: Counted, chip: Chip, *, chips: int, efficiency: float, latency: float) -> float:
    """The time of a step on so many chips, as the docstring of this module has it.

    Args:
        work: of each chip.
        chip: all are alike.
        chips: n.
        efficiency: share of the peak that the arithmetic reaches alone; of what a run on one chip
            measures (`train.py --profile`), not more.
        latency: seconds for each hop of a collective.
    """
    alone = max(work.flops / (chip.peak * efficiency), work.bytes_moved / chip.memory)
    if chips == 1:
        return alone
    sent = 2 * (chips - 1) / chips * work.bytes_sent / chip.bandwidth(chips)
    return alone + sent + work.collectives * chip.hops(chips) * latency


def count(config: Training) -> Counted:
    """What each chip does in a step of a run, by reading its program; nothing is computed."""
    whole = dataclasses.replace(config, microbatches=1)
    step, arguments = arithmetic.abstract_step(whole)
    text = arithmetic.native(jax.jit(step), *arguments).as_text()
    learned = jax.tree.leaves(arguments[0])
    averages = _averages(whole)
    return Counted(
        images=config.batch_size,
        flops=arithmetic.step_flops(whole),
        bytes_moved=_bytes_of_products(text) + 2 * sum(map(_bytes, learned)),
        bytes_sent=sum(averages),
        collectives=len(averages),
    )


def _bytes(array: Any) -> int:
    return array.size * array.dtype.itemsize


def _bytes_of_products(text: str) -> int:
    """What the convolutions and matrix products of a StableHLO program read and write."""
    total = 0
    for line in re.findall(r"stablehlo\.(?:convolution|dot_general)\b.*", text):
        for shape, kind in re.findall(r"tensor<([\dx]*?)x?(bf16|f32)>", line.rpartition(" : ")[2]):
            total += math.prod(map(int, filter(None, shape.split("x")))) * int(kind[-2:]) // 8
    return total


def _averages(config: Training) -> list[int]:
    """Bytes of each average over the chips, in a program that names them.

    What stands side by side, as the gradients of a player, XLA sends together.
    """
    step, arguments = arithmetic.abstract_step(config, axis=sharding.AXIS)
    jaxpr = jax.make_jaxpr(step, axis_env=[(sharding.AXIS, 2)])(*arguments)
    side_by_side = itertools.groupby(
        _equations(jaxpr.jaxpr), lambda equation: equation.primitive.name.startswith("psum")
    )
    return [
        sum(_bytes(variable.aval) for equation in equations for variable in equation.invars)
        for averages, equations in side_by_side
        if averages
    ]


def _equations(jaxpr: Any) -> Iterator[Any]:
    """All equations of a program, those of functions that it calls in their place."""

    def is_program(value: Any) -> bool:
        return hasattr(value, "eqns") or hasattr(value, "jaxpr")

    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=is_program):
            if is_program(value):
                yield from _equations(getattr(value, "jaxpr", value))


def table(work: Counted, chip: Chip, chips: Sequence[int], **assumed: float) -> str:
    """Markdown: one row for each number of chips."""
    alone = work.images / seconds(work, chip, chips=1, **assumed)
    rows = [
        "| chips | images in a step | ms a step | images/s | of one chip's, times chips |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for n in chips:
        time = seconds(work, chip, chips=n, **assumed)
        rate = n * work.images / time
        rows.append(
            f"| {n:,} | {n * work.images:,} | {time * 1e3:.3f} | {rate:,.0f} "
            f"| {rate / (n * alone):.0%} |"
        )
    return "\n".join(rows)


def report(
    work: Counted,
    of: str,
    kinds: Sequence[str],
    chips: Sequence[int],
    *,
    efficiency: float,
    latency: float,
) -> str:
    """A page: what was counted, what is assumed, and a table for each kind of chip."""
    page = [
        f"# {of}: a model of its step, not a measurement",
        f"Counted for each chip: {work.flops / 1e9:,.1f} GFLOP, {work.bytes_moved / 1e6:,.1f} MB "
        f"to and from memory, {work.bytes_sent / 1e6:,.2f} MB sent in {work.collectives} "
        f"collectives.\nAssumed: {efficiency:.0%} of the peak, "
        f"{latency * 1e6:g} µs a hop, nothing sent while it computes.",
    ]
    for kind in kinds:
        chip = CHIPS[kind]
        rows = table(work, chip, chips, efficiency=efficiency, latency=latency)
        page.append(
            f"## {kind}: {chip.peak / 1e12:,.0f} TFLOP/s, {chip.memory / 1e9:,.0f} GB/s, "
            f"{chip.link / 1e9:,.0f} GB/s between chips\n\n{rows}"
        )
    return "\n\n".join(page) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the flags, counts, and prints the table of every kind of chip."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("config", type=Path, help="an experiment of configs/ to train")
    add("--chips", type=int, nargs="+", default=[1, 8, 64, 256], help="how many; 1 8 64 256")
    add("--kinds", nargs="+", choices=CHIPS, default=list(CHIPS), help="all")
    add("--batch-size", type=int, help="images in a step of one chip; that of the config")
    add("--precision", choices=("float32", "bfloat16"), default="bfloat16", help="bfloat16")
    add(
        "--efficiency",
        type=float,
        default=0.4,
        help="share of the peak that arithmetic reaches: 0.4, until --profile says better",
    )
    add("--latency", type=float, default=1e-6, help="seconds a hop of a collective; 1e-6")
    add("--out", type=Path, help="a Markdown file to write as well")
    options = parser.parse_args(arguments)
    config = runpy.run_path(str(options.config))["get_config"]()
    if not isinstance(config, Training):
        parser.error(f"{options.config} is no training")
    work = count(
        dataclasses.replace(
            config,
            batch_size=options.batch_size or config.batch_size,
            microbatches=1,
            precision=options.precision,
        )
    )
    text = report(
        work,
        f"{options.config.stem} in {options.precision}",
        options.kinds,
        options.chips,
        efficiency=options.efficiency,
        latency=options.latency,
    )
    print(text, end="")
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
