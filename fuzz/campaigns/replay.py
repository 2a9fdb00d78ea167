# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `replay`: sequences of records that all verify, many of them replays."""

from __future__ import annotations

from collections.abc import Collection

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.sequence import Sequenced, datagram_patterns, stream_patterns
from fuzz.campaigns.steps import CaseRequest
from fuzz.tables import TableSizes
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_DGRAM, _STREAM = 16, 8
"""Small enough that one case fills them."""


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    return [
        CaseRequest(
            f"{kind}-{suite.name}",
            children=[
                Sequenced(name, keybox=keybox, suite=suite, patterns=patterns, dgram=dgram)
                for name in ("first", "second")
            ],
        )
        for suite in sorted(provided)
        for kind, patterns, dgram in (
            ("datagrams", datagram_patterns(_DGRAM), True),
            ("streams", stream_patterns(_STREAM), False),
        )
    ]


REPLAY = Campaign(
    "replay",
    "sequences of records: counters around the window's edges and the words of its bitmap,"
    " wraps, epochs and their chain, more sessions than the tables hold, the floor, base and age",
    (Verdict.OK, Verdict.TIMESTAMP, Verdict.SEQUENCE, Verdict.REPLAY),
    _requests,
    tables=TableSizes(dgram=_DGRAM, stream=_STREAM),
    apart=True,
)
