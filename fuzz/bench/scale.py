# SPDX-License-Identifier: GPL-2.0-or-later
"""How cost grows: with connections, keys, sessions, a record's size, and packets lost."""

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
_LOSSY_BYTES = 16 << 20
_SET_UPS = 50


@dataclass(frozen=True)
class Curve:
    """Points to measure at.

    Attributes:
        name: what grows, as the axis says it.
        subject: whose cost.
        unit: what the instructions are divided by.
        points: where, ascending.
        command: what is measured at a point; ``{}`` is the point, if it is part of it.
        amount: how many units of it that is.
        should: how the cost is to grow.
        prepare: commands to give before a point.
    """

    name: str
    subject: str
    unit: str
    points: tuple[int, ...]
    command: str
    amount: Callable[[int], int]
    should: str = "O(1)"
    prepare: Callable[[int], Iterable[str]] = lambda _: ()

    @property
    def flat(self) -> bool:
        """Whether it is held to not growing at all: ours is, what a peer's does is told."""
        return self.should == "O(1)" and self.subject == NST


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
        f"bulk {subject} {{}} {_SIZE_BYTES}", lambda size: _SIZE_BYTES // size,
        "O(bytes) over a constant",
    )  # fmt: skip


def _lossy(subject: str) -> Curve:
    return Curve(
        "packets lost of 1,000", subject, "byte", (0, 1, 10, 50),
        f"lossy {subject} {{}} {_LOSSY_BYTES}", lambda _: _LOSSY_BYTES,
        "O(1/(1 - loss))",
    )  # fmt: skip


def _stream_sessions(subject: str, should: str) -> Curve:
    """New connections after others, whose directions, two each, fill the replay table."""
    return Curve(
        "stream sessions", subject, "connection", (16, 256, 4096, 65_536),
        f"setup {subject} 1 {_SET_UPS}", lambda _: _SET_UPS, should,
        lambda sessions: (
            f"sysctl stream_sessions_max {sessions}",
            f"setup {subject} 1 {sessions // 2} 1",
        ),
    )  # fmt: skip


CURVES = (
    _sizes("tcp"),
    _sizes(KTLS),
    _sizes(NST),
    Curve(
        "datagram sessions", "nst-dgram-aes-gcm", "record", (1, 16, 256, 4096),
        f"sessions nst-dgram-aes-gcm {{}} {_RECORDS}", _records, "O(log n)",
        lambda sessions: (f"sysctl dgram_sessions_max {sessions}",),
    ),
    _connections("tcp"),
    _connections(KTLS),
    _connections(NST),
    _lossy("tcp"),
    _lossy(KTLS),
    _lossy(NST),
    _stream_sessions("tcp", "O(1)"),
    _stream_sessions(NST, "O(log n)"),
    # Last: what is left of it is a key box of 65536 keys.
    Curve(
        "keys in the box", NST, "record", (1, 16, 256, 4096, 65_536),
        f"many {NST} 1 {_RECORDS}", _records, prepare=lambda keys: (f"keys {keys}",),
    ),
)  # fmt: skip
"""A session costs a step down two balanced trees: their depth is what grows. A table drops
nothing before it is full, so each point is made the limit of its own; the last is the default."""


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


@dataclass(frozen=True)
class Growth:
    """The cost at a curve's last point to that at its first, and how it should grow."""

    name: str
    subject: str
    first: int
    last: int
    value: float
    should: str


def steps() -> int:
    """How many points there are."""
    return sum(len(curve.points) for curve in CURVES)


def run(guest: LoadGuest, done: Callable[[], object]) -> Iterator[tuple[Figure, float]]:
    """Measure all the curves: a figure for each point; *done* is called after each."""
    for curve in CURVES:
        for point in curve.points:
            yield measure(guest, curve, point)
            done()


def measure(guest: LoadGuest, curve: Curve, point: int) -> tuple[Figure, float]:
    """Measure at one point: a figure, and the seconds here that it took."""
    for command in curve.prepare(point):
        guest.run(command)
    answer = guest.run(f"{curve.command.format(point)} {_REPETITIONS}")
    name = f"{curve.name}: {point}"
    cost = figure(name, curve.subject, curve.unit, answer, curve.amount(point))
    return cost, answer.seconds


def curve_of(curve: Curve, figures: Iterable[Figure]) -> list[tuple[int, float]]:
    """The points of a curve that were measured, and their cost."""
    values = {(item.name, item.subject): item.value for item in figures}
    found = (
        (point, values.get((f"{curve.name}: {point}", curve.subject))) for point in curve.points
    )
    return [(point, value) for point, value in found if value is not None]


def growth(curve: Curve, figures: Iterable[Figure]) -> Growth | None:
    """How a curve grows, if it was measured."""
    points = curve_of(curve, figures)
    if not points:
        return None
    (first, least), (last, most) = points[0], points[-1]
    return Growth(curve.name, curve.subject, first, last, most / least, curve.should)


def flatness(figures: Iterable[Figure]) -> list[Flatness]:
    """How flat those curves are that should be, of what was measured."""
    figures = list(figures)
    flat = []
    for curve in CURVES:
        costs = [cost for _, cost in curve_of(curve, figures)]
        if curve.flat and costs:
            flat.append(Flatness(curve.name, curve.subject, max(costs) / min(costs)))
    return flat
