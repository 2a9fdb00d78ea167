# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a finding happen again: alone, or after what ran before it; and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fuzz.finding import Finding
from fuzz.stored import StoredCase
from fuzz.triage.bench import Bench

_GROWTH = 4
"""Factor by which more of the history is sent each time."""

Say = Callable[[str], None]
_IMPATIENCE = 2
"""Tries without a hit after which more of the history is sent."""
_PATIENCE = 20
"""Tries without a hit after which there is none to be expected: one that comes in one try
of seven has shown by then, with a probability of 95 %."""


@dataclass(frozen=True)
class Reproduction:
    """What came of it.

    Attributes:
        case: the case.
        before: what has to be sent before it, as few cases as were tried.
        hits: of `tries`, how often the finding came again.
        tries: with this case and history.
        others: titles of other findings that came instead, with how often.
    """

    case: StoredCase
    before: list[StoredCase]
    hits: int
    tries: int
    others: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """The share of tries that showed it."""
        return self.hits / self.tries if self.tries else 0.0

    @property
    def reproduced(self) -> bool:
        """Whether it came again at all."""
        return self.hits > 0


def reproduce(
    bench: Bench,
    case: StoredCase,
    history: Sequence[StoredCase],
    wanted: Finding,
    *,
    tries: int,
    say: Say = lambda _: None,
) -> Reproduction:
    """Send a case alone, then after more and more of its history, until it shows again.

    What shows once is tried `tries` times in all, for a rate. What has not shown with all
    of its history may come by chance: that is tried longer.

    Raises:
        GuestError: a guest does not come up.
    """
    others: Counter[str] = Counter()
    length = 0
    while True:
        before = list(history[len(history) - length :]) if length else []
        say(f"sending case {case.id}" + (f" after {length} others" if length else " alone"))
        last = length >= len(history)
        patience = max(tries, _PATIENCE) if last else min(tries, _IMPATIENCE)
        hits, made = _try(bench, case, before, wanted, tries, patience, others)
        if hits or last:
            return Reproduction(case, before, hits, made, others)
        length = min(len(history), max(_GROWTH, length * _GROWTH))


def _try(
    bench: Bench,
    case: StoredCase,
    before: list[StoredCase],
    wanted: Finding,
    tries: int,
    patience: int,
    others: Counter[str],
) -> tuple[int, int]:
    """Hits and tries: `tries` of them, fewer or more if there is no hit in `patience`."""
    hits = made = 0
    while made < patience if not hits else made < tries:
        outcome = bench.trial(case, before)
        made += 1
        if outcome.same(wanted):
            hits += 1
        elif outcome.finding is not None:
            others[outcome.finding.title] += 1
    return hits, made
