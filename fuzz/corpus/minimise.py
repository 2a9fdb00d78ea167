# SPDX-License-Identifier: GPL-2.0-or-later
"""The least of a corpus that takes all of its edges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fuzz.campaigns.values import CaseValues
from fuzz.corpus.lifted import Case
from fuzz.corpus.mutants import rendered
from fuzz.coverage.guest import Edges
from fuzz.lab import Lab
from fuzz.rig import Lost


@dataclass(frozen=True)
class Measured:
    """A case of a corpus as it ran.

    Attributes:
        edges: that it took; none if it did not run to its end.
        size: its bytes.
        own: edges that no other case takes.
        chosen: it belongs to the least.
    """

    edges: Edges
    size: int
    own: int = 0
    chosen: bool = False


def measure(
    lab: Lab, cases: Mapping[str, Case], progress: Callable[[int], None]
) -> dict[str, Measured]:
    """Send each case once and choose the least; `progress` is told how many are done.

    Raises:
        GuestError: the guest does not come up again after a case.
    """
    ran: dict[str, Measured] = {}
    kids = sorted(lab.keybox)
    for number, (digest, case) in enumerate(cases.items(), start=1):
        values = CaseValues(f"corpus|{digest}", kids, lab.now(), lab.creation)
        script = rendered(case, values, lab.keybox)
        try:
            lab.rig.probe.edges()
            lab.execute(script)
            taken = lab.rig.probe.edges(anyway=True).edges or frozenset()
        except Lost:
            taken = frozenset()
            lab.restart()
        ran[digest] = Measured(taken, len(script))
        progress(number)
    return chosen(ran)


def chosen(ran: Mapping[str, Measured]) -> dict[str, Measured]:
    """Choose, again and again, the case that takes most of what is left; of equals the smallest."""
    left = frozenset[int]().union(*(one.edges for one in ran.values()))
    counts: dict[int, int] = {}
    for one in ran.values():
        for edge in one.edges:
            counts[edge] = counts.get(edge, 0) + 1
    best: set[str] = set()
    while left:
        digest = min(ran, key=lambda name: (-len(ran[name].edges & left), ran[name].size, name))
        best.add(digest)
        left -= ran[digest].edges
    return {
        digest: Measured(
            one.edges, one.size, sum(counts[edge] == 1 for edge in one.edges), digest in best
        )
        for digest, one in ran.items()
    }
