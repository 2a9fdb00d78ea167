# SPDX-License-Identifier: GPL-2.0-or-later
"""Which cases may be under way at the same time, and how many of them.

The module tells what it counted since it was asked last, not of which case; so cases are sent
together only if what becomes of each does not depend on when the application calls, on keys or
settings that change, or on what a case before it left behind.
"""

from __future__ import annotations

from collections.abc import Sequence

from fuzz.script import ON_CONNECTION, Action, Step
from fuzz.target.wire import MAX_ITEMS

ALONE = 1.0
"""The share of a case beside which there is room for no other."""
MOST_CASES = 24
_MOST_STEPS = 160
_MOST_BYTES = 1 << 17
_SENT = frozenset({Action.DATAGRAM, Action.CONNECT, *ON_CONNECTION})


def share_of(steps: Sequence[Step]) -> float:
    """The part that a case takes of what may be under way, `ALONE` if no other may be."""
    connected = False
    for step in steps:
        connected |= step.action is Action.CONNECT
        if step.action not in _SENT or (step.action in ON_CONNECTION and not connected):
            return ALONE
    items = sum(step.action in (Action.DATAGRAM, Action.CONNECT) for step in steps)
    return max(
        1 / MOST_CASES,
        items / MAX_ITEMS,
        len(steps) / _MOST_STEPS,
        sum(len(step.data) for step in steps) / _MOST_BYTES,
    )
