# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `stream-lifecycle`: what both ends may do to a connection, in any order."""

from __future__ import annotations

from collections.abc import Collection

from fuzz.campaigns import acts
from fuzz.campaigns.acts import Act, Play, Scene, then
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.steps import CaseRequest
from fuzz.campaigns.stream import stream
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_ALL = (*acts.CALLS, *acts.ENDS)
_OTHERS = (acts.NOTHING, *_ALL, *(then(one, two) for one in _ALL for two in _ALL))
_MUTATED = ("flags", "damage", "transport_len")


def _scene(keybox: KeyBox, suite: SuiteId, plays: list[Act]) -> Scene:
    """Two records and CLOSE, with an act before, between and after them."""
    records = stream(keybox, suite, [("a", 0), ("a", 1), ("b", 0)], only=_MUTATED)
    first, *rest = (Play(f"act{at}", act, _OTHERS) for at, act in enumerate(plays))
    between = [part for pair in zip(records, rest, strict=False) for part in pair]
    return Scene("tcp", [first, *between, *rest[len(records) :]])


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    accept, receive, send = acts.ACCEPT, acts.RECEIVE, acts.SEND
    scripts = {
        "reads": [accept, receive, receive, acts.FIN, receive, acts.CLOSE],
        "replies": [accept, then(receive, send), send, acts.FIN, receive, acts.SHUT_WRITING],
        "speaks-first": [then(accept, send), send, receive, acts.FIN, acts.CLOSE],
        "half-closes": [accept, acts.SHUT_WRITING, receive, acts.FIN, receive, acts.CLOSE],
        "late": [acts.NOTHING, acts.NOTHING, accept, acts.FIN, receive, acts.CLOSE],
        "unread": [accept, acts.NOTHING, acts.NOTHING, acts.CLOSE],
        "never-accepted": [acts.NOTHING, acts.NOTHING, acts.NOTHING, acts.FIN],
    }
    suites = sorted(provided)
    return [
        CaseRequest(name, children=[_scene(keybox, suites[at % len(suites)], plays)])
        for at, (name, plays) in enumerate(scripts.items())
    ]


STREAM_LIFECYCLE = Campaign(
    "stream-lifecycle",
    "one connection, and all that its ends may do: accept, receive, send, shut down, close,"
    " half close, FIN and RST between any records; CLOSE where it belongs and where not",
    (
        Verdict.OK, Verdict.MAGIC, Verdict.FLAGS, Verdict.LENGTH, Verdict.SEQUENCE, Verdict.AUTH,
        Verdict.TRUNCATED,
    ),
    _requests,
)  # fmt: skip
