# SPDX-License-Identifier: GPL-2.0-or-later
"""From sampled instruction pointers to a tree of functions, for a flame graph."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field

from fuzz.bench.loadguest import LoadGuest

PERIOD = 20_000
"""Instructions from sample to sample; one takes some thousand, which are not sampled."""
_SAMPLES = "/tmp/samples"
_KERNEL = 1 << 63
_USER = "user space"


@dataclass
class Frame:
    """A function as it was called by its parent, and the samples in it and below it."""

    name: str
    samples: int = 0
    calls: dict[str, Frame] = field(default_factory=dict)

    def add(self, names: Iterator[str]) -> None:
        """Count a sample, whose functions are told from the outermost on."""
        self.samples += 1
        name = next(names, None)
        if name is not None:
            self.calls.setdefault(name, Frame(name)).add(names)

    def depth(self, least: float = 0) -> int:
        """How many frames of *least* samples lie one in the other, this one included."""
        calls = (call for call in self.calls.values() if call.samples >= least)
        return 1 + max((call.depth(least) for call in calls), default=0)


class Symbols:
    """The kernel's functions and its modules', of /proc/kallsyms."""

    def __init__(self, kallsyms: str) -> None:
        """Parse them."""
        rows = (line.split() for line in kallsyms.splitlines())
        self._known = sorted((int(row[0], 16), row[2]) for row in rows if row[1] in "tTwW")
        self._starts = [start for start, _ in self._known]

    def name(self, address: int) -> str:
        """The function that *address* is in; all of user space has one name."""
        if address < _KERNEL:
            return _USER
        index = bisect.bisect(self._starts, address) - 1
        return self._known[index][1] if index >= 0 else hex(address)


def tree(name: str, samples: str, symbols: Symbols) -> Frame:
    """The samples that load.c wrote, as a tree below a frame called *name*."""
    root = Frame(name)
    for line in samples.splitlines():
        names: list[str] = []
        for address in reversed(line.split()):
            function = symbols.name(int(address, 16))
            if not (function == _USER and names and names[-1] == _USER):
                names.append(function)
        root.add(iter(names))
    return root


def profile(guest: LoadGuest, name: str, command: str) -> Frame:
    """Where the instructions of a command go, both ends of it."""
    guest.run(f"profile {PERIOD} {_SAMPLES} {command}")
    samples = guest.read_file(_SAMPLES)
    return tree(name, samples, Symbols(guest.read_file("/proc/kallsyms")))
