# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `dgram-record`: one datagram, and a few of one session."""

from __future__ import annotations

from collections.abc import Collection

from boofuzz import Simple

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.record import SealedRecord
from fuzz.campaigns.steps import CaseRequest, Datagram, Reflection
from fuzz.tables import TableSizes
from nst_scapy.header import HEADER_LEN, MAGIC, Flags
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_TABLE = 256
"""Small enough that a thousand cases fill it and evict."""
_MAGIC_BYTES = MAGIC.to_bytes(4)
_RAW = (
    *(_MAGIC_BYTES[:length] for length in range(5)),
    *(_MAGIC_BYTES + b"\1" + bytes(length - 5) for length in range(5, HEADER_LEN + 2)),
    bytes(HEADER_LEN),
    b"\xff" * HEADER_LEN,
    b"\xff" * 1400,
)


def _record(keybox: KeyBox, suite: SuiteId, name: str, counter: str) -> SealedRecord:
    return SealedRecord(
        name, keybox=keybox, suite=suite, epoch="e", flags=Flags.DGRAM, counter=counter
    )


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    requests = [CaseRequest("reflect", children=[Reflection("module")])]
    raw = Simple("bytes", default_value=b"", fuzz_values=list(_RAW))
    requests.append(CaseRequest("raw", children=[Datagram("datagram", [raw])]))
    for suite in SuiteId:
        first = _record(keybox, suite, "record", "e.counter")
        requests.append(CaseRequest(f"one-{suite.name}", children=[Datagram("datagram", [first])]))
        if suite not in provided:
            continue
        pair = [
            Datagram("first", [_record(keybox, suite, "record", "e.counter")]),
            Datagram("second", [_record(keybox, suite, "record", "e.counter+1")]),
            Datagram("third", [_record(keybox, suite, "record", "e.counter+2")]),
        ]
        requests.append(CaseRequest(f"session-{suite.name}", children=pair))
    return requests


DGRAM_RECORD = Campaign(
    "dgram-record",
    "datagrams: every header field and payload sealed as mutated, damage after sealing,"
    " sessions and replays, reflection",
    tuple(v for v in Verdict if v is not Verdict.TRUNCATED),
    _requests,
    tables=TableSizes(dgram=_TABLE),
)
