# SPDX-License-Identifier: GPL-2.0-or-later
"""Taking cases apart and sealing them anew."""

from __future__ import annotations

import itertools
import random

import pytest

from fuzz.campaigns.catalogue import CAMPAIGNS
from fuzz.campaigns.runner import run_keybox
from fuzz.script import unpack
from fuzz.triage.course import Course
from fuzz.triage.pieces import Raw, Sealed
from fuzz.triage.records import (
    Connection,
    Datagram,
    exchanges_of,
    pieces_in,
    records,
    renewed,
    script_of,
)
from nst_scapy.header import MAGIC
from tests.triage.cases import scripts

BOX = run_keybox("records")
CASES = 400
PLAIN = ("stream-record", "dgram-record", "replay")
"""Campaigns that send nothing but datagrams and streams in order."""


@pytest.mark.parametrize("name", list(CAMPAIGNS))
def test_cases_come_back_as_they_were(name: str) -> None:
    sealed = plain = 0
    for script in itertools.islice(scripts(CAMPAIGNS[name], BOX), CASES):
        exchanges = exchanges_of(unpack(script), BOX)
        assert script_of(exchanges, BOX) == script
        plain += not any(isinstance(one, Course) for one in exchanges)
        pieces = [piece for one in exchanges for piece in pieces_in(one)]
        sealed += any(isinstance(piece, Sealed) for piece in pieces)
    assert sealed >= CASES * 0.4  # most cases are sealed as mutated
    assert (plain == CASES) == (name in PLAIN)


def test_a_smaller_record_verifies_too() -> None:
    for script in itertools.islice(scripts(CAMPAIGNS["dgram-record"], BOX), CASES):
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
    for script in itertools.islice(scripts(CAMPAIGNS["stream-record"], BOX), CASES):
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
