# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases that are more than datagrams and streams in order, made smaller."""

from __future__ import annotations

import itertools

import pytest

from fuzz.campaigns.runner import run_keybox
from fuzz.net import udp
from fuzz.net.arrival import Arrival
from fuzz.net.ip import ipv4_packet, ipv6_packet, parse_ipv4, parse_ipv6
from fuzz.net.tcp import TcpFlag
from fuzz.script import Action, Loose, Step
from fuzz.stations import GUEST, HOST
from fuzz.triage.course import Act, Course, Span, course_of
from fuzz.triage.pieces import Raw, Sealed
from fuzz.triage.records import exchanges_of
from nst_scapy.epoch import Epoch
from nst_scapy.header import HEADER_LEN, Flags, KeyParams

BOX = run_keybox("course")
NOW = 1_800_000_000_000_000_000
PARAMS = KeyParams(1, 0, 0, 3)
DATA = TcpFlag.ACK | TcpFlag.PSH
UDP_HEADER = 8


def record(text: bytes, counter: int = 0, *, flags: int = 0) -> bytes:
    return Epoch(BOX[0], PARAMS, 7).seal(text, NOW, counter, flags)


FIRST, SECOND = record(b"first"), record(b"second", 1)


def in_packet(payload: bytes, family: int) -> Step:
    source, destination = HOST.ip(family), GUEST.ip(family)
    segment = udp.segment(source, destination, 4000, 48879, payload)
    make = ipv4_packet if family == 4 else ipv6_packet
    return Step(Action.PACKET, family, make(source, destination, 17, segment))


def test_segments_that_overlap_are_parts_of_one_stream() -> None:
    stream = FIRST + SECOND
    steps = [
        Step(Action.CONNECT, 4),
        Loose(0, DATA, payload=stream[:30]).step(),
        Loose(20, DATA, payload=bytes(10) + stream[30:]).step(),
        Loose(0, DATA, payload=b"damaged", intact=False).step(),
    ]
    course = course_of(steps, BOX)
    ((one, two),) = course.flows
    assert isinstance(one, Sealed)
    assert isinstance(two, Sealed)
    assert (one.plaintext, two.plaintext) == (b"first", b"second")
    assert course.acts[2].parts == (bytes(10), Span(0, 30, len(stream)))
    assert course.acts[3].parts == (b"damaged",)
    assert course.steps(BOX) == steps


def test_what_is_sent_follows_a_record_that_is_left_out() -> None:
    stream = FIRST + SECOND
    ends = [0, 10, len(FIRST) + 10, len(stream)]
    steps = [Step(Action.CONNECT, 4)]
    steps += [Loose(a, DATA, payload=stream[a:b]).step() for a, b in itertools.pairwise(ends)]
    steps.append(Loose(len(stream), TcpFlag.FIN | TcpFlag.ACK).step())
    smaller = course_of(steps, BOX).with_piece(0, None)
    sent = [Loose.of(step) for step in smaller.steps(BOX)[1:]]
    assert [one.offset for one in sent] == [0, 10, len(SECOND)]
    assert b"".join(one.payload for one in sent) == SECOND


@pytest.mark.parametrize("family", [4, 6])
def test_a_packet_of_a_shorter_record_is_right_in_itself(family: int) -> None:
    step = in_packet(record(b"a datagram", flags=Flags.DGRAM), family)
    course = course_of([step], BOX)
    (piece,) = course.pieces
    assert isinstance(piece, Sealed)
    header = piece.header._replace(transport_len=1)
    shorter = course.with_piece(0, Sealed(header, b"x", piece.params)).steps(BOX)[0]
    packet = (parse_ipv4 if family == 4 else parse_ipv6)(shorter.data)
    assert packet is not None
    assert len(packet.payload) == UDP_HEADER + HEADER_LEN + 1
    # A host takes it: lengths and checksums are right.
    (arrived,) = Arrival().packet(family, shorter.data)
    assert Epoch(BOX[0], PARAMS, 7).open(arrived.payload) == b"x"


def test_fragments_carry_one_record() -> None:
    source, destination = HOST.ip(4), GUEST.ip(4)
    segment = udp.segment(source, destination, 4000, 48879, record(b"d" * 40, flags=Flags.DGRAM))
    steps = [
        Step(Action.PACKET, 4, ipv4_packet(source, destination, 17, segment[a : a + 24], ident=9,
             fragment=(a + 24 < len(segment)) << 13 | a // 8))
        for a in range(0, len(segment), 24)
    ]  # fmt: skip
    course = course_of(steps[::-1], BOX)
    (piece,) = course.pieces
    assert isinstance(piece, Sealed)
    assert course.steps(BOX) == steps[::-1]
    plain = [one for one in course.simpler() if len(one.acts) == 1]
    assert plain[0].steps(BOX) == [Step(Action.DATAGRAM, 4, segment[UDP_HEADER:])]


def test_calls_in_between_stay_in_their_place() -> None:
    steps = [
        Step(Action.CONNECT, 6), Step(Action.SEGMENT, 0, FIRST), Step(Action.ACCEPT, 6),
        Step(Action.RECEIVE), Step(Action.SEGMENT, 0, SECOND), Step(Action.SHUTDOWN, 1),
    ]  # fmt: skip
    (course,) = exchanges_of(steps, BOX)
    assert isinstance(course, Course)
    assert [piece.plaintext for piece in course.pieces if isinstance(piece, Sealed)] == [
        b"first", b"second",
    ]  # fmt: skip
    without = course.without_acts(1, 2)
    assert without.steps(BOX) == [*steps[:1], *steps[2:]]
    (again,) = exchanges_of(without.steps(BOX), BOX)
    assert isinstance(again, Course)
    assert again.pieces == course.pieces[1:]


def test_nothing_carries_what_is_not_there() -> None:
    course = Course(((Raw(b"abcd"),),), (Act(Step(Action.SEGMENT), (Span(0, 0, 4),)),))
    assert course.with_piece(0, None).acts == ()
    with pytest.raises(IndexError):
        course.with_piece(1, None)
