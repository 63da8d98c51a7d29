"""Figures as a page for people, beside a file for programs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HEADER = (
    *("work", "side", "a step", "images/s", "times as long as ours"),
    *("of ceiling", "compiles, s", "memory, MB"),
)


def publish(folder: Path, name: str, figures: object, page: str) -> None:
    """Writes the figures as JSON and the page as Markdown, and prints the page."""
    write(folder, name, figures, page)
    print(page, end="")


def write(folder: Path, name: str, figures: object, page: str) -> None:
    """Writes the figures as JSON and the page as Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
    (folder / f"{name}.md").write_text(page)


def markdown(report: Mapping[str, Any]) -> str:
    """A line for each side of each work, what was left out, and what the columns are."""
    lines = [HEADER, ("---", "---", *["---:"] * (len(HEADER) - 2))]
    for work in report["works"]:
        lines.extend(_lines(work))
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    ceilings = ", ".join(
        f"{rate / 1e9:,.0f} GFLOP/s in {name}"
        for name, rate in report["ceilings_flops_per_second"].items()
    )
    parts = [
        "# JAX and PyTorch, side by side",
        table,
        _NOTES.format(ceilings=ceilings or "not measured"),
        "![ratios](ratios.svg)",
        "![cost against size](cost.svg)",
    ]
    if report["skipped"]:
        parts.append("## Not done\n\n" + "\n".join(_skipped(report["skipped"])))
    parts.append(
        f"- Setting: {_listed(report['setting'])}\n- Machine: {_listed(report['machine'])}"
    )
    return "\n\n".join(parts) + "\n"


_NOTES = """\
Times are those of one step: median (quartiles) over calls of several steps, all sides in turns;
how many times as long as ours is the median (quartiles) of the ratios of each turn. Operations are
those of the native convolutions, as XLA counts them before it changes anything. The ceiling is the
matrix product of the faster side: {ceilings}. Memory is what the device holds at once, weights and
inputs included: of JAX by XLA's own account of the program, which has the batches of all steps of a
call among its inputs, of PyTorch as its allocator counts it on a GPU; on a CPU nobody counts it for
PyTorch.

Both are one process and share the memory of its GPU; what JAX has taken of it, it does not give
back before the end (XLA_PYTHON_CLIENT_PREALLOCATE=false). "Compiled" is the default mode of
Inductor and, on a GPU, a whole step replayed as one CUDA graph. Compiling takes, on our side, what
lowering and XLA take; on PyTorch's, the first step less a later one. Neither finds on disk what an
earlier run has compiled."""


def _lines(work: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    title = f"**{work['name']}**, {work['setting']}"
    for name, side in work["sides"].items():
        times, share, memory = (
            side.get(key) for key in ("times_ours", "share_of_ceiling", "peak_bytes")
        )
        yield (
            title,
            name,
            _time(side["seconds"]),
            f"{side['images_per_second']:,.4g}" if work["images"] else "",
            _ratio(times) if times else "",
            f"{share:.0%}" if share else "",
            f"{side['compile_seconds']:.1f}",
            f"{memory / 1e6:,.0f}" if memory is not None else "not counted",
        )
        title = ""
    for name, reason in work["missing"].items():
        yield title, name, reason, *[""] * (len(HEADER) - 3)


def _time(seconds: Mapping[str, Any]) -> str:
    unit, factor = ("s", 1) if seconds["median"] >= 10 else ("ms", 1000)
    lower, upper = (factor * quartile for quartile in seconds["quartiles"])
    return f"{factor * seconds['median']:,.4g} {unit} ({lower:,.4g}–{upper:,.4g})"


def _ratio(ratio: Mapping[str, Any]) -> str:
    lower, upper = ratio["quartiles"]
    return f"**{ratio['median']:.2f}** ({lower:.2f}–{upper:.2f})"


def _skipped(works: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each kind of work and reason."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for work in works:
        kinds.setdefault((work["name"], work["reason"]), []).append(work["setting"])
    for (name, reason), settings in kinds.items():
        where = "; ".join(filter(None, settings))
        yield f"- {name}{where and f' ({where})'}: {reason}"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
