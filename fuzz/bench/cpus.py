# SPDX-License-Identifier: GPL-2.0-or-later
"""Several connections at once on one CPU and on more: what a byte takes by the clock.

A guest that counts instructions has one CPU, so here time is the host's, and the CPUs are
emulated unless KVM works: only figures of one run may be compared, and they are noisy.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fuzz.bench import loadguest
from fuzz.bench.figures import Figure
from fuzz.bench.kmod import KTLS, NST, Ratio
from fuzz.guest.kernel import Kernel

NAME = "CPUs"
UNIT = "wall ns a byte"
SUBJECTS = ("tcp", KTLS, NST)
COUNTS = (1, 2, 4)
CONNECTIONS = 4
_BYTES = 4 << 20
_ROUNDS = 7
_NOISE = 0.25
"""Of times by the clock on the wall."""


def run(kernel: Kernel, module: Path) -> Iterator[tuple[Figure, float]]:
    """Measure with as many CPUs as the host has: figures, and the seconds here that each took.

    All transports take turns, so that what else the host does meets all of them; as that only
    ever adds, the least of the rounds counts.
    Raises as `loadguest.booted` does.
    """
    for cpus in COUNTS:
        if cpus > (os.cpu_count() or 1):
            return
        with loadguest.booted(kernel, module, cpus=cpus, counted=False) as guest:
            yield from measure(guest, cpus, _BYTES, _ROUNDS)


def measure(
    guest: loadguest.LoadGuest, cpus: int, size: int, rounds: int
) -> Iterator[tuple[Figure, float]]:
    """Send *size* bytes on each connection, *rounds* times; *cpus* are what *guest* has."""
    taken: dict[str, list[float]] = {subject: [] for subject in SUBJECTS}
    seconds = dict.fromkeys(SUBJECTS, 0.0)
    for _ in range(rounds):
        for subject in SUBJECTS:
            # The first repetition warms up.
            answer = guest.run(f"parallel {subject} {CONNECTIONS} {size} 2")
            taken[subject].append(answer.instructions[-1] / (size * CONNECTIONS))
            seconds[subject] += answer.seconds
    for subject, each in taken.items():
        yield (
            Figure(
                f"{NAME}: {cpus}", subject, UNIT,
                min(each), min(each), max(each), True, _NOISE,
            ),
            seconds[subject],
        )  # fmt: skip


def curve_of(subject: str, figures: Iterable[Figure]) -> list[tuple[int, float]]:
    """What was measured of *subject*: CPUs, and wall nanoseconds a byte."""
    values = {(item.name, item.subject): item.value for item in figures}
    found = ((cpus, values.get((f"{NAME}: {cpus}", subject))) for cpus in COUNTS)
    return [(cpus, value) for cpus, value in found if value is not None]


def ratios(figures: Iterable[Figure]) -> list[Ratio]:
    """Ours to the peers', of what was measured; wall time has no limit."""
    figures = list(figures)
    ours = curve_of(NST, figures)
    return [
        Ratio(f"{NAME}: {cpus}, wall time", NST, peer, value / theirs[cpus], None)
        for peer, theirs in ((peer, dict(curve_of(peer, figures))) for peer in (KTLS, "tcp"))
        for cpus, value in ours
        if cpus in theirs
    ]
