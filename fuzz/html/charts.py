# SPDX-License-Identifier: GPL-2.0-or-later
"""Charts of what grew over time, laid out for SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 560, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 12, 28
_TICKS = 5
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


@dataclass(frozen=True)
class Series:
    """One line: points of time (seconds from the start) and value, in order."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """A series laid out: the path to draw, where it ends, and its last value."""

    name: str
    path: str
    end: tuple[float, float]
    last: str


@dataclass(frozen=True)
class Chart:
    """A chart laid out in a box of `WIDTH` by `HEIGHT`."""

    title: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM


def chart(title: str, series: Sequence[Series], *, steps: bool = False) -> Chart:
    """Lay a chart out. `steps` draws whole numbers that stay until the next."""
    end = max((point[0] for one in series for point in one.points), default=0.0) or 1.0
    most = max((point[1] for one in series for point in one.points), default=0.0)
    step = _nice(most or 1.0)
    if steps:
        step = max(1.0, step)  # what is counted one by one
    ceiling = step * math.ceil(max(most, step) / step)

    def x(seconds: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * seconds / end

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / ceiling

    lines = []
    for one in series:
        points = [(x(seconds), y(value)) for seconds, value in one.points]
        if not points:
            continue
        if steps:
            points.append((x(end), points[-1][1]))
        path = f"M{points[0][0]:.1f},{points[0][1]:.1f}" + "".join(
            f"H{a:.1f}V{b:.1f}" if steps else f"L{a:.1f},{b:.1f}" for a, b in points[1:]
        )
        lines.append(Line(one.name, path, points[-1], f"{one.points[-1][1]:,.0f}"))
    size, name = next((size, name) for size, name in _UNITS if end >= 2 * size or size == 1)
    span = _nice(end / size)
    times = [span * number for number in range(int(end / size / span) + 1)]
    values = [step * number for number in range(round(ceiling / step) + 1)]
    return Chart(
        title,
        lines,
        [Tick(x(time * size), f"{time:g} {name}") for time in times],
        [Tick(y(value), f"{value:,.0f}") for value in values],
    )


def _nice(most: float) -> float:
    """The distance of the marks on an axis: 1, 2 or 5 times a power of ten."""
    rough = most / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
