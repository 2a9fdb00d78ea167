# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a campaign leaves something behind: slab objects, sockets, references to the module.

One case's objects drown in what a kernel does by itself. So the guest is asked after every
batch of cases and at the end, when it has nothing to do: what a batch leaves behind, and the
next one again, is a leak. Entries of the replay tables stay by design; how many there are is known.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fuzz.oracles.counters import Counters

WARM_UP = 32
"""Cases before the first reading: what is made once is made by then."""
BATCH = 128
"""Cases between two of the first readings; later there are more, as reading takes a tenth of a
second, in which hundreds of cases could be sent."""
MOST = 2048
"""Cases between two readings at most."""
_REPEATED = 2
"""Batches in a row that have to show it."""
_SHARE = 5
"""One case of so many has to leave something behind."""
_FEWEST = BATCH // _SHARE
"""Less from a reading to the next is never a leak: kernels keep a few objects for later."""
_KILOBYTES = "unreclaimable"
_KILOBYTES_OF_A_CASE = 8
"""For what is counted by size: as much as one record takes."""
_TABLES = {"64": "stream_sessions", "256": "dgram_sessions"}
"""The sizes of the replay tables' entries (`kmod/replay.c`), and their numbers."""
_CHARGED, _PLAIN = "kmalloc-cg-", "kmalloc-"
"""Caches for what is charged to a control group; a kernel without those has only the others."""


@dataclass(frozen=True)
class Leak:
    """Something that grows.

    Attributes:
        name: what; the same for every case of one leak.
        grown: by how much from each reading to the next.
    """

    name: str
    grown: tuple[int, ...]


@dataclass(frozen=True)
class Holdings:
    """One reading: numbers by name, without the replay tables' entries.

    `after` tells how many cases there had been.
    """

    counts: Mapping[str, int]
    after: int = 0

    @classmethod
    def parse(cls, text: str, counters: Counters) -> Holdings:
        """Read what the target program tells, taken together with the module's counters.

        Raises:
            ValueError: a line is no name and number.
        """
        counts: dict[str, int] = {}
        for line in text.splitlines():
            name, _, number = line.rpartition(" ")
            counts[name] = int(number)
        for size, table in _TABLES.items():
            cache = _CHARGED + size if _CHARGED + size in counts else _PLAIN + size
            counts[cache] = counts.get(cache, 0) - counters.value(table)
        return cls(counts)


def leak_in(readings: Sequence[Holdings], *, hoards: bool = False) -> Leak | None:
    """What grew from each of the last readings to the next; the most if there are several.

    What is made once, however late, shows between two of them at most. A kernel that `hoards`
    keeps some of what was freed, to find who uses it: there one more reading has to show it.
    """
    repeated = _REPEATED + hoards
    last = readings[-repeated - 1 :]
    if len(last) <= repeated:
        return None
    # Sizes tell less than objects do.
    return max(
        grown(last), key=lambda leak: (leak.name != _KILOBYTES, min(leak.grown)), default=None
    )


def grown(readings: Sequence[Holdings]) -> list[Leak]:
    """What grew as much as a leak from each reading to the next."""
    found: list[Leak] = []
    fewest = [
        max(_FEWEST, (after.after - before.after) // _SHARE)
        for before, after in itertools.pairwise(readings)
    ]
    for name in readings[-1].counts:
        numbers = [reading.counts.get(name, 0) for reading in readings]
        more = tuple(after - before for before, after in itertools.pairwise(numbers))
        scale = _KILOBYTES_OF_A_CASE if name == _KILOBYTES else 1
        if all(grew >= least * scale for grew, least in zip(more, fewest, strict=True)):
            found.append(Leak(name, more))
    return found
