# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `stream-segments`: records that verify, in segments of every form."""

from __future__ import annotations

from collections.abc import Collection

from fuzz.campaigns import acts
from fuzz.campaigns.acts import Play, Scene
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.segments import Segments
from fuzz.campaigns.steps import CaseRequest
from fuzz.campaigns.strays import Strays
from fuzz.campaigns.stream import stream
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    requests = []
    for suite in sorted(provided):
        for epochs, mutated in (("aaa", ("payload",)), ("abb", ())):
            layout = [(epoch, epochs[:at].count(epoch)) for at, epoch in enumerate(epochs)]
            records = stream(keybox, suite, layout, only=mutated)
            requests.append(
                CaseRequest(f"{epochs}-{suite.name}", children=[Segments("tcp", records)])
            )
    for family in (4, 6):
        requests.append(CaseRequest(f"strays-{family}", children=[Strays("strays", family)]))
    # What comes for a connection whose application is gone, or sends no more.
    (record,) = stream(keybox, min(provided), [("a", 0)], close=False, only=("magic", "damage"))
    closed = Play("end", acts.CLOSE, (acts.SHUT_WRITING, acts.NOTHING))
    scene = Scene("tcp", [Play("accept", acts.ACCEPT, ()), closed, record])
    return [*requests, CaseRequest("closed", children=[scene])]


STREAM_SEGMENTS = Campaign(
    "stream-segments",
    "streams in segments that are cut, merged, overlapping, repeated with other bytes,"
    " reordered, urgent, stray; truncation, RST and FIN at every point; zero windows",
    (Verdict.OK, Verdict.MAGIC, Verdict.TRUNCATED),
    _requests,
)
