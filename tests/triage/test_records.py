# SPDX-License-Identifier: GPL-2.0-or-later
"""Taking cases apart and sealing them anew."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.catalogue import CAMPAIGNS
from fuzz.campaigns.plan import Plan, Planned
from fuzz.campaigns.runner import run_keybox
from fuzz.campaigns.session import context_of
from fuzz.campaigns.values import CaseValues
from fuzz.script import unpack
from fuzz.triage.records import (
    Connection,
    Datagram,
    Raw,
    Sealed,
    Verbatim,
    exchanges_of,
    records,
    renewed,
    script_of,
)
from nst_scapy.header import MAGIC
from nst_scapy.suite import SuiteId

NOW = 1_800_000_000_000_000_000
BOX = run_keybox("records")
CASES = 400
WHOLE = ("stream-record", "dgram-record", "replay")
"""Campaigns that send nothing but datagrams and streams in order."""


def scripts(campaign: Campaign) -> Iterator[bytes]:
    """The first cases of a campaign, as they would be stored."""
    requests = campaign.requests(BOX, list(SuiteId))

    def render(planned: Planned) -> bytes:
        values = CaseValues(f"seed|{planned.elements}", sorted(BOX), NOW, NOW - 10**9)
        script: bytes = planned.request.render(context_of(planned, values))
        return script

    plan = iter(Plan(requests, "records", render))
    for _ in range(CASES):
        yield render(next(plan))


@pytest.mark.parametrize("name", list(CAMPAIGNS))
def test_cases_come_back_as_they_were(name: str) -> None:
    sealed = apart = 0
    for script in scripts(CAMPAIGNS[name]):
        exchanges = exchanges_of(unpack(script), BOX)
        assert script_of(exchanges, BOX) == script
        apart += not any(isinstance(one, Verbatim) for one in exchanges)
        for one in exchanges:
            pieces = one.pieces if isinstance(one, Connection) else (getattr(one, "piece", None),)
            sealed += sum(isinstance(piece, Sealed) for piece in pieces)
    assert sealed >= apart / 2  # most cases are sealed as mutated
    assert (apart == CASES) == (name in WHOLE)


def test_a_smaller_record_verifies_too() -> None:
    for script in scripts(CAMPAIGNS["dgram-record"]):
        for one in exchanges_of(unpack(script), BOX):
            if isinstance(one, Datagram) and isinstance(one.piece, Sealed) and one.piece.plaintext:
                header = one.piece.header._replace(transport_len=1)
                small = Sealed(header, one.piece.plaintext[:1], one.piece.params)
                data = small.render(BOX, b"")
                (again,) = exchanges_of(Datagram(4, Raw(data)).steps(BOX), BOX)
                assert isinstance(again, Datagram)
                assert isinstance(again.piece, Sealed)
                assert again.piece.plaintext == small.plaintext


def test_in_sessions_of_their_own_all_else_stays() -> None:
    draw = random.Random(1)
    for script in scripts(CAMPAIGNS["stream-record"]):
        exchanges = exchanges_of(unpack(script), BOX)
        other = renewed(exchanges, draw.randrange(1, 1000))
        assert records(other) == records(exchanges)
        for one, two in zip(exchanges, other, strict=True):
            if not isinstance(one, Connection):
                continue
            assert isinstance(two, Connection)
            for a, b in zip(one.pieces, two.pieces, strict=True):
                assert type(a) is type(b)
                if isinstance(a, Sealed) and isinstance(b, Sealed):
                    assert a.plaintext == b.plaintext
                    new = a.header.session_id and a.header.magic == MAGIC
                    assert (a.header.session_id != b.header.session_id) == bool(new)
            stream = two.stream(BOX)
            assert len(stream) == len(one.stream(BOX))
