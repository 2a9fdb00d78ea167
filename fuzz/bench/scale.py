# SPDX-License-Identifier: GPL-2.0-or-later
"""How the cost of a record grows: with connections, keys, sessions and its own size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fuzz.bench.figures import Figure
from fuzz.bench.kmod import KTLS, NST, figure
from fuzz.bench.loadguest import LoadGuest

FLAT = 1.05
"""The dearest point of a flat curve, to the cheapest."""
_REPETITIONS = 3
_RECORDS = 10_000
_SIZE_BYTES = 2 << 20


@dataclass(frozen=True)
class Curve:
    """Points to measure at.

    Attributes:
        name: what grows, as the axis says it.
        subject: whose cost.
        points: where, ascending.
        prepare: a command to give before each point, if any; ``{}`` is the point.
        command: what is measured at a point.
        amount: how many units of it that is.
        flat: whether the cost is not to grow at all.
    """

    name: str
    subject: str
    unit: str
    points: tuple[int, ...]
    command: str
    amount: Callable[[int], int]
    prepare: str | None = None
    flat: bool = True


def _records(_point: int) -> int:
    return _RECORDS


def _connections(subject: str) -> Curve:
    return Curve(
        "connections", subject, "record", (1, 10, 100, 1000, 10_000),
        f"many {subject} {{}} {_RECORDS}", _records,
    )  # fmt: skip


def _sizes(subject: str) -> Curve:
    return Curve(
        "record size, bytes", subject, "record", (64, 256, 512, 1024, 4096, 16384),
        f"bulk {subject} {{}} {_SIZE_BYTES}", lambda size: _SIZE_BYTES // size, flat=False,
    )  # fmt: skip


CURVES = (
    _sizes("tcp"),
    _sizes(KTLS),
    _sizes(NST),
    Curve(
        "datagram sessions", "nst-dgram-aes-gcm", "record", (1, 16, 256, 4000),
        f"sessions nst-dgram-aes-gcm {{}} {_RECORDS}", _records, flat=False,
    ),
    _connections("tcp"),
    _connections(NST),
    # Last: what is left of it is a key box of 65536 keys.
    Curve(
        "keys in the box", NST, "record", (1, 16, 256, 4096, 65_536),
        f"many {NST} 1 {_RECORDS}", _records, "keys {}",
    ),
)  # fmt: skip
"""A session costs a step down two balanced trees: their depth is what grows."""


@dataclass(frozen=True)
class Flatness:
    """The dearest point of a curve, to the cheapest."""

    name: str
    subject: str
    value: float

    @property
    def met(self) -> bool:
        """Whether it is flat."""
        return self.value <= FLAT


def steps() -> int:
    """How many points there are."""
    return sum(len(curve.points) for curve in CURVES)


def run(guest: LoadGuest, done: Callable[[], object]) -> Iterator[tuple[Figure, float]]:
    """Measure all the curves: a figure for each point; *done* is called after each."""
    for curve in CURVES:
        for point in curve.points:
            if curve.prepare:
                guest.run(curve.prepare.format(point))
            answer = guest.run(f"{curve.command.format(point)} {_REPETITIONS}")
            done()
            name = f"{curve.name}: {point}"
            yield (
                figure(name, curve.subject, curve.unit, answer, curve.amount(point)),
                answer.seconds,
            )


def curve_of(curve: Curve, figures: Iterable[Figure]) -> list[tuple[int, float]]:
    """The points of a curve that were measured, and their cost."""
    values = {(item.name, item.subject): item.value for item in figures}
    found = (
        (point, values.get((f"{curve.name}: {point}", curve.subject))) for point in curve.points
    )
    return [(point, value) for point, value in found if value is not None]


def flatness(figures: Iterable[Figure]) -> list[Flatness]:
    """How flat those curves are that should be, of what was measured."""
    figures = list(figures)
    flat = []
    for curve in CURVES:
        costs = [cost for _, cost in curve_of(curve, figures)]
        if curve.flat and costs:
            flat.append(Flatness(curve.name, curve.subject, max(costs) / min(costs)))
    return flat
