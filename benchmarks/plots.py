"""The figures as pictures: SVG, drawn by hand, so that nothing has to be installed for it."""

import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from benchmarks.suite import BY_SIZE

_COLOURS = ("#1b6ca8", "#d1495b", "#66a182", "#edae49", "#7d5ba6", "#555555")
_STYLE = "font: 12px sans-serif; background: white"
_SIZE = re.compile(r"batch (\d+), width (\d+), (\d+) px")
_AXES = {"images in a batch": 0, "width": 1, "side of the images, px": 2}
_CENTER = (64, 64, 64)

Points = dict[str, list[tuple[float, float]]]


def ratios(report: Mapping[str, Any]) -> str:
    """How many times as long as ours every other side took: medians, quartiles, and the line 1.

    Where the sides do not do the same, as works say, there is none.
    """
    works = {
        f"{work['name']}, {work['setting']}": sides
        for work in report["works"]
        if work["name"] != BY_SIZE
        and work["alike"]
        and (sides := {k: s["times_ours"] for k, s in work["sides"].items() if "times_ours" in s})
    }
    every = [ratio for sides in works.values() for ratio in sides.values()]
    left, right, top, step = 240, 560, 40, 22
    height = top + step * (len(works) + len(every)) + 40
    values = [value for ratio in every for value in (ratio["median"], *ratio["quartiles"])]
    low, high = min([*values, 0.8]) / 1.1, max([*values, 1.5]) * 1.1

    def x(value: float) -> float:
        return left + right * math.log(value / low) / math.log(high / low)

    drawn, names = [], list(dict.fromkeys(name for sides in works.values() for name in sides))
    for tick in _ticks(low, high):
        weight = 2 if tick == 1 else 0.5
        drawn.append(_line(x(tick), top - 8, x(tick), height - 34, "#999", weight))
        drawn.append(_text(x(tick), height - 18, f"{tick:g}", "middle"))
    y = top + 6
    for title, sides in works.items():
        drawn.append(_text(8, y + 4, title, "start"))
        for name, ratio in sides.items():
            y, colour = y + step, _colour(names, name)
            lower, upper = map(x, ratio["quartiles"])
            drawn.append(_text(left - 8, y + 4, name, "end", colour))
            drawn.append(_line(lower, y, upper, y, colour, 3))
            drawn.append(_dot(x(ratio["median"]), y, colour))
        y += step
    head = _text(left + right / 2, 18, "times as long as ours (log scale)", "middle")
    return _svg(left + right + 30, height, [head, *drawn])


def costs(report: Mapping[str, Any]) -> str:
    """Images a second of a search step against batch, width and side: one panel for each."""
    panels = [_sized(report, axis) for axis in _AXES.values()]
    names = list(dict.fromkeys(name for panel in panels for name in panel))
    width, height, gap = 260, 240, 70
    drawn = []
    for i, (title, points) in enumerate(zip(_AXES, panels, strict=True)):
        drawn.append(_panel(title, points, names, (gap + i * (width + gap), 50, width, height)))
    for i, name in enumerate(names):
        drawn.append(_dot(gap + 220 * i, 24, _colour(names, name)))
        drawn.append(_text(gap + 220 * i + 10, 28, name, "start"))
    return _svg(3 * (width + gap) + gap, height + 110, drawn)


def _sized(report: Mapping[str, Any], axis: int) -> Points:
    """The points that differ from the published network along one axis alone, or not at all."""
    points: Points = {}
    for work in report["works"]:
        if work["name"] != BY_SIZE or not (found := _SIZE.match(work["setting"])):
            continue
        place = tuple(map(int, found.groups()))
        if any(a != b for i, (a, b) in enumerate(zip(place, _CENTER, strict=True)) if i != axis):
            continue
        for name, side in work["sides"].items():
            points.setdefault(name, []).append((place[axis], side["images_per_second"]))
    return {name: sorted(line) for name, line in points.items()}


def _panel(title: str, points: Points, names: Sequence[str], box: tuple[int, int, int, int]) -> str:
    left, top, width, height = box
    frame = f'<rect x="{left}" y="{top}" width="{width}" height="{height}" '
    drawn = [f'{frame}fill="none" stroke="#999"/>']
    drawn.append(_text(left + width / 2, top + height + 40, title, "middle"))
    drawn.append(_text(left, top - 8, "images/s, steps of a search", "start"))
    everything = [point for line in points.values() for point in line]
    if not everything:
        return "\n".join([*drawn, _text(left + width / 2, top + height / 2, "not done", "middle")])
    (left_end, right_end), (low, high) = (
        (min(values) / 1.2, max(values) * 1.2) for values in zip(*everything, strict=True)
    )

    def x(value: float) -> float:
        return left + width * math.log(value / left_end) / math.log(right_end / left_end)

    def y(value: float) -> float:
        return top + height - height * math.log(value / low) / math.log(high / low)

    for tick in sorted({at for at, _ in everything}):
        drawn.append(_text(x(tick), top + height + 18, f"{tick:g}", "middle"))
    for tick in _ticks(low, high):
        drawn.append(_line(left, y(tick), left + width, y(tick), "#ddd", 0.5))
        drawn.append(_text(left - 6, y(tick) + 4, f"{tick:,g}", "end"))
    for name, line in points.items():
        colour = _colour(names, name)
        corners = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line)
        drawn.append(f'<polyline points="{corners}" fill="none" stroke="{colour}"/>')
        drawn.extend(_dot(x(a), y(b), colour) for a, b in line)
    return "\n".join(drawn)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten; those alone where there would be many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < 2000 else (1,)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    return [tick for tick in ticks if low <= tick <= high]


def _colour(names: Sequence[str], name: str) -> str:
    return _COLOURS[names.index(name) % len(_COLOURS)]


def _svg(width: float, height: float, drawn: Sequence[str]) -> str:
    body = "\n".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" style="{_STYLE}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#222") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(text)}</text>"


def _line(x: float, y: float, to_x: float, to_y: float, colour: str, weight: float) -> str:
    place = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
    return f'<line {place} stroke="{colour}" stroke-width="{weight:g}"/>'


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
