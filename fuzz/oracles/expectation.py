# SPDX-License-Identifier: GPL-2.0-or-later
"""What the model makes of a case."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from fuzz.oracles.served import Beginning, Sent
from fuzz.target.wire import Item
from nst_scapy.header import Transport
from nst_scapy.verdict import Verdict

Verdicts = Counter[tuple[Transport, Verdict]]


@dataclass
class Expectation:
    """What the model makes of a case.

    Attributes:
        verdicts: how often each.
        items: what the application receives, in the order in which the target collects.
        states: number of entries and floor of the STREAM table, and of the DGRAM table.
        sent: what the guest seals on each connection, or a beginning of it; `None` where that is
            not known.
        each: the verdicts of every case, if several were judged together.
        multicast: datagrams counted as such, and not judged.
        unchecked: whether datagrams came that the LOCAL_IN check was to let pass.
    """

    verdicts: Verdicts = field(default_factory=Counter)
    items: list[Item] = field(default_factory=list)
    states: tuple[int, int, int, int] = (0, 0, 0, 0)
    sent: list[Sent | Beginning | None] = field(default_factory=list)
    each: list[Verdicts] = field(default_factory=list)
    multicast: int = 0
    unchecked: bool = False
