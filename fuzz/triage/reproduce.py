# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a finding happen again: alone, or after what ran before it; and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fuzz.finding import Finding
from fuzz.store import StoredCase
from fuzz.triage.bench import Bench

_GROWTH = 4
"""Factor by which more of the history is sent each time."""

Say = Callable[[str], None]


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

    What shows once is tried `tries` times in all, for a rate.

    Raises:
        GuestError: a guest does not come up.
    """
    others: Counter[str] = Counter()
    length = 0
    while True:
        before = list(history[len(history) - length :]) if length else []
        say(f"sending case {case.id}" + (f" after {length} others" if length else " alone"))
        hits, made = _try(bench, case, before, wanted, tries, others)
        if hits or length >= len(history):
            return Reproduction(case, before, hits, made, others)
        length = min(len(history), max(_GROWTH, length * _GROWTH))


def _try(
    bench: Bench,
    case: StoredCase,
    before: list[StoredCase],
    wanted: Finding,
    tries: int,
    others: Counter[str],
) -> tuple[int, int]:
    """Hits and tries; without a hit in the first two, no more are made."""
    hits = 0
    for made in range(1, tries + 1):
        outcome = bench.trial(case, before)
        if outcome.same(wanted):
            hits += 1
        elif outcome.finding is not None:
            others[outcome.finding.title] += 1
        if not hits and made >= min(2, tries):
            return 0, made
    return hits, tries
