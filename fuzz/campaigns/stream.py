# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `stream-record`: the initiator's direction of a connection."""

from __future__ import annotations

from collections.abc import Collection

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.record import SealedRecord
from fuzz.campaigns.steps import CaseRequest, Connection, Tail
from nst_scapy.header import HEADER_LEN, MAGIC, Flags
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_MAGIC_BYTES = MAGIC.to_bytes(4)
_TAILS = (
    b"\0",
    _MAGIC_BYTES,
    _MAGIC_BYTES + b"\1",
    bytes(HEADER_LEN),
    _MAGIC_BYTES + b"\1\1" + bytes(HEADER_LEN - 6),
    b"\xff" * 2000,
)
_NONE = Flags(0)


def stream(
    keybox: KeyBox,
    suite: SuiteId,
    layout: list[tuple[str, int]],
    *,
    close: bool = True,
    only: Collection[str] | None = None,
    flags: Flags = _NONE,
    first: Flags = _NONE,
) -> list[SealedRecord]:
    """Records in order; `layout` gives the epoch and counter of each, CLOSE being the last.

    `only` names the elements of them that are mutated, `None` being all. `flags` are those of
    every record, and `first` has the first one besides.
    """
    records: list[SealedRecord] = []
    for index, (epoch, counter) in enumerate(layout):
        closing = close and index == len(layout) - 1
        records.append(
            SealedRecord(
                "close" if closing else f"record{index}",
                keybox=keybox,
                suite=suite,
                epoch=epoch,
                flags=flags | (_NONE if index else first) | (Flags.CLOSE if closing else _NONE),
                counter=counter,
                after=records[-1].name if records else None,
                only=only,
            )
        )
    return records


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    requests: list[CaseRequest] = []

    def add(name: str, *parts: SealedRecord | Tail, copies: int = 1) -> None:
        requests.append(CaseRequest(name, children=[Connection("tcp", parts, copies=copies)]))

    for suite in SuiteId:
        name = suite.name
        if suite not in provided:
            add(f"one-{name}", *stream(keybox, suite, [("a", 0)], close=False))
            continue
        add(f"one-{name}", *stream(keybox, suite, [("a", 0), ("a", 1)]), Tail("tail", _TAILS))
        add(f"several-{name}", *stream(keybox, suite, [("a", 0), ("a", 1), ("a", 2), ("a", 3)]))
        add(f"epochs-{name}", *stream(keybox, suite, [("a", 0), ("a", 1), ("b", 0), ("c", 0)]))
        add(f"cut-{name}", *stream(keybox, suite, [("a", 0), ("a", 1)], close=False))
        add(f"again-{name}", *stream(keybox, suite, [("a", 0), ("a", 1)]), copies=2)
    return requests


STREAM_RECORD = Campaign(
    "stream-record",
    "streams: every header field and payload of every record sealed as mutated, damage after"
    " sealing, epochs, CLOSE and FIN, segment boundaries, replayed connections",
    tuple(v for v in Verdict if v not in (Verdict.SHORT, Verdict.REFLECT)),
    _requests,
)
