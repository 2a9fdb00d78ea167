# SPDX-License-Identifier: GPL-2.0-or-later
"""What the model says of readers that wait, and of sockets with options."""

from __future__ import annotations

import errno
import random
import socket
import struct
import zlib
from collections.abc import Sequence

import pytest

from fuzz.api import Api, Call, Event, file_write, option, sized
from fuzz.campaigns.strays import STRAYS, Addressed
from fuzz.net import udp
from fuzz.net.ip import TCP, UDP, ipv4_packet
from fuzz.net.tcp import TcpFlag
from fuzz.oracles.clock import Interval
from fuzz.oracles.control import RX_KIDS, RX_SUITES, SOL_NST, SYSCTL
from fuzz.oracles.expectation import Expectation
from fuzz.oracles.shadow import Moment, Shadow
from fuzz.script import Action, Loose, Step, api_step, paired
from fuzz.stations import GUEST, HOST
from fuzz.target.wire import Item, Kind
from nst_scapy.header import DEFAULT_PORT, Role, Transport
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, StreamSender
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
MOMENT = Moment(Interval(NOW, NOW), Interval(NOW - 60 * SECOND, NOW - 60 * SECOND))
BOX = KeyBox({1: bytes(32), 2: bytes(range(32))})
CONNECT, ACCEPT, RECEIVE = Step(Action.CONNECT, 4), Step(Action.ACCEPT, 4), Step(Action.RECEIVE)
FIN = Loose(0, TcpFlag.FIN | TcpFlag.ACK).step()
RST = Loose(0, TcpFlag.RST).step()
PEEK = int(socket.MSG_PEEK)
TEXTS = (b"one record", b"and another")


def judge(*steps: Step) -> Expectation:
    shadow = Shadow(BOX, SuiteId, window_ns=30 * SECOND, stream_sessions=9, dgram_sessions=9)
    (outcome,) = shadow.judge(steps, MOMENT)
    return outcome


def records(action: Action = Action.SEGMENT) -> list[Step]:
    if action is Action.SEGMENT:
        sender = StreamSender(Role.INITIATOR, BOX, rng=random.Random(1))
        return [Step(action, 0, sender.seal(text, now=NOW)) for text in TEXTS]
    dgrams = DgramSender(BOX, rng=random.Random(1))
    return [Step(action, 4, dgrams.seal(text, now=NOW)) for text in TEXTS]


def waiter(size: int = 64, flags: int = 0, event: Event = Event.FRAMES, on: int = 0) -> Step:
    return api_step(sized(Call.WAITER, (size,), flags, value=event, wait=50, socket=on))


def waited(*steps: Step) -> list[tuple[int, int, int]]:
    items = judge(*steps).items
    return [item[2:] for item in items if (item.kind, item.family) == (Kind.API, Call.WAITER)]


def got(data: bytes) -> tuple[int, int, int]:
    return (0, len(data), zlib.crc32(data))


def failed(error: int) -> tuple[int, int, int]:
    return (error, 0, 0)


def test_a_reader_gets_what_it_waited_for_and_no_more() -> None:
    one, two = records()
    started = (CONNECT, ACCEPT)
    assert waited(*started, waiter(), one, waiter(), two) == [got(TEXTS[0]), got(TEXTS[1])]
    assert waited(*started, waiter(3), one, waiter(), two) == [got(b"one"), got(TEXTS[0][3:])]
    assert waited(*started, waiter(flags=PEEK), one, waiter()) == [got(TEXTS[0])] * 2
    half = len(one.data) // 2
    first, second = (Step(Action.SEGMENT, 0, part) for part in (one.data[:half], one.data[half:]))
    assert waited(*started, waiter(), first, waiter(), second) == [
        failed(errno.EAGAIN), got(TEXTS[0]),
    ]  # fmt: skip


def test_what_was_there_before_is_all_that_a_reader_gets() -> None:
    one, two = records()
    outcome = judge(CONNECT, ACCEPT, one, waiter(), two, RECEIVE)
    _, read, rest = outcome.items
    assert read[2:] == got(TEXTS[0])
    assert rest.length == len(TEXTS[1])


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((waiter(), FIN), failed(errno.ECONNABORTED)),
        ((waiter(), RST), failed(errno.ECONNRESET)),
        ((waiter(event=Event.SIGNAL),), failed(errno.EINTR)),
        ((waiter(event=Event.SHUT_READING),), got(b"")),
        ((waiter(event=Event.SHUT_BOTH),), got(b"")),
        ((waiter(event=Event.DISABLED),), failed(errno.ESHUTDOWN)),
        ((waiter(),), failed(errno.EAGAIN)),
    ],
)
def test_what_ends_waiting(steps: Sequence[Step], expected: tuple[int, int, int]) -> None:
    assert waited(CONNECT, ACCEPT, *steps) == [expected]
    assert waited(*steps) == [failed(errno.EBADF)], "nothing was accepted"


def test_a_reader_of_datagrams_gets_the_first_that_is_right() -> None:
    one, two = records(Action.DATAGRAM)
    bad = one._replace(data=bytes(len(one.data)))
    assert waited(waiter(on=4), bad, two) == [got(TEXTS[1])]
    assert waited(waiter(on=4), bad) == [failed(errno.EAGAIN)]
    assert waited(waiter(on=6), one) == [failed(errno.EAGAIN)]
    shut = judge(one, two, waiter(3, event=Event.SHUT_READING, on=4))
    assert [(i.kind, i.length) for i in shut.items] == [(Kind.API, 3), (Kind.DGRAM, len(TEXTS[1]))]


def test_a_reader_waits_for_one_step_of_a_stream_and_for_all_datagrams() -> None:
    one, two = records()
    assert [len(awaited) for _, awaited in paired([waiter(), one, two])] == [1, 0]
    dgrams = records(Action.DATAGRAM)
    assert [len(awaited) for _, awaited in paired([waiter(on=4), *dgrams, RECEIVE])] == [2, 0]
    signalled = [waiter(event=Event.SIGNAL), one]
    assert [len(awaited) for _, awaited in paired(signalled)] == [0, 0]


def test_a_buffer_that_is_nowhere_takes_nothing() -> None:
    one = records()[0]
    nowhere = sized(Call.RECVMSG, (64,))._replace(gone=1)
    items = judge(CONNECT, ACCEPT, api_step(nowhere), one, api_step(nowhere), RECEIVE).items[1:]
    assert [item.error for item in items[:2]] == [errno.EAGAIN, errno.EFAULT]
    assert items[2].length == len(TEXTS[0])
    dgram, other = records(Action.DATAGRAM)
    items = judge(dgram, other, api_step(nowhere._replace(socket=4))).items
    assert [(i.kind, i.error, i.length) for i in items] == [
        (Kind.API, errno.EFAULT, 0), (Kind.DGRAM, 0, len(TEXTS[1])),
    ], "the datagram is gone"  # fmt: skip


def _verdicts(*options: Api) -> list[Verdict]:
    outcome = judge(CONNECT, ACCEPT, *map(api_step, options), *records()[:1], RECEIVE)
    return [verdict for _, verdict in outcome.verdicts.elements()]


def test_a_socket_accepts_what_its_options_say() -> None:
    kid = int.from_bytes(records()[0].data[42:44])
    own, other = (struct.pack("<H", one) for one in (kid, 3 - kid))
    suite = records()[0].data[5]
    assert _verdicts() == [Verdict.OK]
    assert _verdicts(option(SOL_NST, RX_KIDS, own)) == [Verdict.OK]
    assert _verdicts(option(SOL_NST, RX_KIDS, other)) == [Verdict.KID]
    assert _verdicts(option(SOL_NST, RX_KIDS, other), option(SOL_NST, RX_KIDS, b"")) == [Verdict.OK]
    assert _verdicts(option(SOL_NST, RX_SUITES, 1 << suite)) == [Verdict.OK]
    assert _verdicts(option(SOL_NST, RX_SUITES, 0)) == [Verdict.CIPHER]


def test_a_length_beyond_memory_is_an_error_of_its_own() -> None:
    def error(length: int) -> int:
        made = option(SOL_NST, RX_KIDS, b"\1\0")._replace(flags=length)
        return judge(CONNECT, ACCEPT, api_step(made)).items[1].error

    assert [error(n) for n in (2, 4, 5, 1 << 17, (1 << 17) + 2)] == [
        0, errno.EFAULT, errno.EINVAL, errno.EFAULT, errno.EINVAL,
    ]  # fmt: skip


def test_without_the_local_in_check_the_receive_path_finds_the_same() -> None:
    (dgram, _), (segment, _) = records(Action.DATAGRAM), records()
    for name in ("drop_invalid", "local_in_check"):
        off = api_step(file_write(SYSCTL + name, b"0"))
        bad = dgram._replace(data=bytes(len(dgram.data)))
        outcome = judge(off, bad)
        assert outcome.unchecked
        assert outcome.verdicts == {(Transport.DGRAM, Verdict.MAGIC): 1}
        wrong = segment._replace(data=bytes(len(segment.data)))
        outcome = judge(off, CONNECT, ACCEPT, wrong, RECEIVE)
        assert outcome.verdicts == {(Transport.STREAM, Verdict.MAGIC): 1}
        assert outcome.items[-1].error == errno.EBADMSG
    assert not judge(dgram).unchecked


def _packet(record: bytes, port: int) -> Step:
    ends = HOST.ip(4), GUEST.ip(4)
    segment = udp.segment(*ends, port, DEFAULT_PORT, record)
    return Step(Action.PACKET, 4, ipv4_packet(*ends, UDP, segment))


def test_a_connected_socket_hears_its_peer_alone() -> None:
    one, two = (record.data for record in records(Action.DATAGRAM))
    connect = api_step(Api(Call.CONNECT, socket=4))
    outcome = judge(connect, _packet(one, DEFAULT_PORT + 1), _packet(two, DEFAULT_PORT))
    assert outcome.verdicts == {(Transport.DGRAM, Verdict.OK): 1}
    assert [item.length for item in outcome.items] == [0, len(TEXTS[1])]
    assert not judge(connect, records(Action.DATAGRAM)[0]).verdicts


@pytest.mark.parametrize("stray", STRAYS, ids=[stray.name for stray in STRAYS])
def test_strays_change_nothing(stray: object) -> None:
    (one,) = (other for other in STRAYS if other is stray)
    ends = HOST.ip(4), GUEST.ip(4)
    segments = one.make(Addressed(*ends, 60001, 7))
    steps = [Step(Action.PACKET, 4, ipv4_packet(*ends, TCP, segment)) for segment in segments]
    outcome = judge(*steps)
    assert not outcome.verdicts
    assert outcome.items == list[Item]()
