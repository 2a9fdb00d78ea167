# SPDX-License-Identifier: GPL-2.0-or-later
"""What the model makes of a connection's life, call by call."""

from __future__ import annotations

import errno
import random
from collections import Counter

import pytest

from fuzz.net.tcp import TcpFlag
from fuzz.oracles.clock import Interval
from fuzz.oracles.expectation import Expectation
from fuzz.oracles.outflow import sealed
from fuzz.oracles.served import Sent
from fuzz.oracles.shadow import Moment, Shadow, token_of
from fuzz.script import Action, Loose, Step, keys_step, unpack
from fuzz.target.wire import Op
from nst_scapy.header import Role, Transport
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, Pins, StreamSender
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
BOX = KeyBox({kid: bytes([kid]) * 32 for kid in (1, 2)})
MOMENT = Moment(Interval(NOW, NOW), Interval(NOW - 60 * SECOND, NOW - 60 * SECOND))
CONNECT, ACCEPT = Step(Action.CONNECT, 4), Step(Action.ACCEPT, 4)
RECEIVE, SEND, FIN = Step(Action.RECEIVE), Step(Action.SEND, 0, b"hi"), Step(Action.FIN)
SHUT_READING, SHUT_WRITING = Step(Action.SHUTDOWN, 0), Step(Action.SHUTDOWN, 1)
CLOSE, LOOK = Step(Action.CLOSE), Step(Action.LOOK)


class Initiator:
    """A stream's records as steps."""

    def __init__(self) -> None:
        self.sender = StreamSender(Role.INITIATOR, BOX, rng=random.Random(1))
        self.offset = 0

    def data(self) -> Step:
        return self._step(self.sender.seal(b"abc", now=NOW))

    def close(self) -> Step:
        return self._step(self.sender.close(now=NOW))

    def bad(self) -> Step:
        record = self.sender.seal(b"abc", now=NOW)
        return self._step(record[:-1] + bytes((record[-1] ^ 1,)))

    def rst(self) -> Step:
        return Loose(self.offset, TcpFlag.RST).step()

    def _step(self, record: bytes) -> Step:
        self.offset += len(record)
        return Step(Action.SEGMENT, 0, record)


def judge(*steps: Step) -> Expectation:
    model = Shadow(BOX, SuiteId, window_ns=30 * SECOND, stream_sessions=9, dgram_sessions=9)
    (outcome,) = model.judge(steps, MOMENT)
    return outcome


def calls(outcome: Expectation) -> list[tuple[str, int, int]]:
    return [(Op(item.family).name, item.error, item.length) for item in outcome.items]


def counted(*verdicts: Verdict) -> Counter[tuple[Transport, Verdict]]:
    return Counter((Transport.STREAM, verdict) for verdict in verdicts)


def test_an_orderly_life() -> None:
    one = Initiator()
    outcome = judge(
        CONNECT, one.data(), ACCEPT, RECEIVE, SEND, one.close(), FIN, RECEIVE, SHUT_WRITING, SEND,
        CLOSE,
    )  # fmt: skip
    assert calls(outcome) == [
        ("ACCEPT", 0, 0), ("RECEIVE", errno.EAGAIN, 3), ("TRANSMIT", 0, 0), ("RECEIVE", 0, 0),
        ("SHUTDOWN", 0, 0), ("TRANSMIT", errno.EPIPE, 0), ("CLOSE", 0, 0),
    ]  # fmt: skip
    assert outcome.verdicts == counted(Verdict.OK, Verdict.OK)
    (sent,) = outcome.sent
    assert sent is not None
    assert (sent.length, sent.bound, sent.closed) == (2, True, True)


def test_who_speaks_first_is_not_bound() -> None:
    (sent,) = judge(CONNECT, ACCEPT, SEND, CLOSE).sent
    assert sent is not None
    assert (sent.bound, sent.closed) == (False, True)


@pytest.mark.parametrize("unread", [True, False])
def test_close_with_something_unread_is_a_reset(unread: bool) -> None:
    reads = [] if unread else [RECEIVE]
    (sent,) = judge(CONNECT, Initiator().data(), ACCEPT, *reads, CLOSE).sent
    assert sent is not None
    assert sent.closed != unread


def test_after_a_refused_record_nothing_goes() -> None:
    one = Initiator()
    outcome = judge(
        CONNECT, one.data(), one.bad(), one.data(), ACCEPT, RECEIVE, RECEIVE, SEND, SHUT_WRITING
    )
    assert calls(outcome)[1:] == [
        ("RECEIVE", errno.EBADMSG, 3), ("RECEIVE", errno.EBADMSG, 0),
        ("TRANSMIT", errno.EPIPE, 0), ("SHUTDOWN", errno.ENOTCONN, 0),
    ]  # fmt: skip
    assert outcome.verdicts == counted(Verdict.OK, Verdict.AUTH)
    assert outcome.sent == [Sent(0, 0, None, closed=False)]


def test_a_reset_keeps_its_error_and_what_came_before() -> None:
    one = Initiator()
    outcome = judge(CONNECT, one.data(), one.data(), one.rst(), ACCEPT, RECEIVE, SEND)
    assert calls(outcome) == [
        ("ACCEPT", 0, 0), ("RECEIVE", errno.ECONNRESET, 6), ("TRANSMIT", errno.EPIPE, 0),
    ]  # fmt: skip
    # Unread, its first record is judged all the same.
    one = Initiator()
    outcome = judge(CONNECT, one.data(), one.data(), one.rst(), ACCEPT, CLOSE)
    assert outcome.verdicts == counted(Verdict.OK)


def test_reading_that_was_shut_down_ends() -> None:
    outcome = judge(CONNECT, Initiator().data(), ACCEPT, SHUT_READING, RECEIVE, RECEIVE)
    assert calls(outcome)[2:] == [("RECEIVE", 0, 3), ("RECEIVE", 0, 0)]


def test_calls_without_a_connection() -> None:
    outcome = judge(RECEIVE, ACCEPT, CONNECT, ACCEPT, ACCEPT, CLOSE, CLOSE, LOOK)
    assert [error for _, error, _ in calls(outcome)] == [
        errno.EBADF, errno.EAGAIN, 0, errno.EBUSY, 0, errno.EBADF, errno.EBADF,
    ]  # fmt: skip


def test_key_boxes_last_for_a_case() -> None:
    sender = DgramSender(BOX, rng=random.Random(1), pins=Pins(kids=[1]))
    records = [Step(Action.DATAGRAM, 4, sender.seal(b"x", now=NOW)) for _ in range(4)]
    model = Shadow(BOX, SuiteId, window_ns=30 * SECOND, stream_sessions=9, dgram_sessions=9)
    steps = [records[0], keys_step({2: 2}), records[1], keys_step({1: 2, 2: 2}), records[2]]
    (outcome,) = model.judge(steps, MOMENT)
    assert Counter({name.value: n for (_, name), n in outcome.verdicts.items()}) == Counter(
        ["OK", "KID", "AUTH"]
    )
    (after,) = model.judge([records[3]], MOMENT)
    assert after.verdicts == {(Transport.DGRAM, Verdict.OK): 1}


def test_the_guests_records_are_read_as_its_initiator_does() -> None:
    one = Initiator()
    first = one.data()
    token = token_of([CONNECT, first])
    acceptor = StreamSender(Role.ACCEPTOR, BOX, rng=random.Random(2))
    acceptor.bind(token)
    stream = acceptor.seal(b"hello", now=NOW) + acceptor.close(now=NOW)

    def read(data: bytes, *, ended: bool = True, first_token: bytes = token) -> Sent | Verdict:
        return sealed(
            data, ended=ended, role=Role.INITIATOR, first_token=first_token, boxes=[BOX], now=NOW
        )

    found = read(stream)
    assert isinstance(found, Sent)
    assert (found.length, found.bound, found.closed) == (5, True, True)
    assert read(stream[:-64]) is Verdict.TRUNCATED
    assert read(b"in clear") is Verdict.MAGIC
    assert read(stream, first_token=bytes(16)) is Verdict.AUTH


def test_loose_segments_survive_being_stored() -> None:
    loose = Loose(-5, 0x3F, 0, 7, intact=False, payload=b"abc")
    (step,) = unpack(loose.step().pack())
    assert Loose.of(step) == loose
