# SPDX-License-Identifier: GPL-2.0-or-later
"""Replies to a guest that opened the connection."""

from __future__ import annotations

import errno
import itertools
import random

import pytest

from fuzz.binding import heard, is_bound, token_in
from fuzz.oracles.clock import Interval
from fuzz.oracles.expectation import Expectation
from fuzz.oracles.served import Sent
from fuzz.oracles.shadow import Moment, Shadow
from fuzz.script import Action, Step
from fuzz.target.wire import Op
from nst_scapy.epoch import Epoch, bound
from nst_scapy.header import Flags, Header, KeyParams, Role, Transport
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import StreamSender
from nst_scapy.suite import AuthError, SuiteId
from nst_scapy.verdict import Verdict

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
MOMENT = Moment(Interval(NOW, NOW), Interval(NOW - 60 * SECOND, NOW - 60 * SECOND))
BOX = KeyBox({1: bytes(range(32))})
TOKEN = bytes(range(100, 116))
SEND, RECEIVE = Step(Action.SEND, 0, b"hello"), Step(Action.RECEIVE)


def reply(flags: Flags, suite: SuiteId = SuiteId.AES_GCM, counter: int = 0) -> bytes:
    """A record as a grammar seals it: without a token of anybody's."""
    epoch = Epoch(BOX[1], KeyParams(suite, 1, 2, 3), 7)
    return epoch.seal(b"an answer", timestamp=NOW, counter=counter, flags=flags)


BOUND_REPLY = Flags.REPLY | Flags.BOUND


@pytest.mark.parametrize("suite", SuiteId)
def test_a_record_is_sealed_again_for_what_came_first(suite: SuiteId) -> None:
    record = reply(BOUND_REPLY, suite)
    again = bound(record, TOKEN, BOX)
    epoch = Epoch(BOX[1], KeyParams(suite, 1, 2, 3), 7)
    assert epoch.open(again, TOKEN) == b"an answer"
    with pytest.raises(AuthError):
        epoch.open(again, b"")
    assert Header.unpack(again)._replace(token=b"") == Header.unpack(record)._replace(token=b"")


@pytest.mark.parametrize(
    "record",
    [b"", reply(BOUND_REPLY)[:40], reply(BOUND_REPLY)[:-1] + b"?", b"\0" * 48],
)  # fmt: skip
def test_what_does_not_open_stays_as_it_is(record: bytes) -> None:
    assert bound(record, TOKEN, BOX) == record


def test_only_the_flag_makes_a_record_bound() -> None:
    assert is_bound(reply(BOUND_REPLY))
    assert not is_bound(reply(Flags.REPLY))
    assert not is_bound(reply(BOUND_REPLY)[:47])


def judge(*steps: Step, sends_first: bool) -> Expectation:
    """What the model makes of a connection of the guest's, as the player carries it out."""
    first = StreamSender(Role.INITIATOR, BOX, rng=random.Random(1)).seal(b"hello", now=NOW)
    token = token_in(first) if sends_first else b""
    records = [bound(step.data, token, BOX) for step in steps if step.action is Action.BIND]
    dialled = [Step(Action.DIAL, 4), *steps]
    (done,) = heard([dialled], records, itertools.repeat(first if SEND in steps else b""))
    model = Shadow(BOX, SuiteId, window_ns=30 * SECOND, stream_sessions=9, dgram_sessions=9)
    (outcome,) = model.judge(done, MOMENT)
    return outcome


def verdicts(outcome: Expectation) -> list[Verdict]:
    return [verdict for (transport, verdict) in outcome.verdicts if transport is Transport.STREAM]


def test_a_bound_reply_belongs_to_what_was_sent_first() -> None:
    bind = Step(Action.BIND, 0, reply(BOUND_REPLY))
    outcome = judge(SEND, bind, RECEIVE, sends_first=True)
    assert verdicts(outcome) == [Verdict.OK]
    assert [(Op(item.family).name, item.error, item.length) for item in outcome.items] == [
        ("DIAL", 0, 0), ("TRANSMIT", 0, 0), ("RECEIVE", errno.EAGAIN, 9),
    ]  # fmt: skip
    (sent,) = outcome.sent
    assert sent is not None
    assert (sent.length, sent.bound) == (5, False)


def test_nothing_else_is_bound_to_it() -> None:
    bind, plain = (
        Step(Action.BIND, 0, reply(BOUND_REPLY)),
        Step(Action.SEGMENT, 0, reply(Flags.REPLY)),
    )
    assert verdicts(judge(bind, RECEIVE, sends_first=False)) == [Verdict.SEQUENCE]
    # Sent too early to know the token, opened when it is.
    assert verdicts(judge(SEND, bind, RECEIVE, sends_first=False)) == [Verdict.AUTH]
    assert verdicts(judge(plain, RECEIVE, sends_first=False)) == [Verdict.OK]
    later = Step(Action.BIND, 0, reply(BOUND_REPLY, counter=1))
    outcome = judge(SEND, plain, later, RECEIVE, sends_first=True)
    assert verdicts(outcome) == [Verdict.OK, Verdict.SEQUENCE]
    own = Step(Action.SEGMENT, 0, reply(Flags(0)))
    assert verdicts(judge(own, RECEIVE, sends_first=False)) == [Verdict.FLAGS]


def test_one_connection_is_kept_at_a_time() -> None:
    outcome = judge(Step(Action.DIAL, 4), sends_first=False)
    assert [item.error for item in outcome.items] == [0, errno.EBUSY]


def test_a_socket_that_connects_again_begins_anew() -> None:
    plain, bind = (
        Step(Action.SEGMENT, 0, reply(Flags.REPLY)),
        Step(Action.BIND, 0, reply(BOUND_REPLY)),
    )
    outcome = judge(SEND, Step(Action.REDIAL, 4), plain, RECEIVE, sends_first=True)
    assert verdicts(outcome) == [Verdict.OK]
    assert [item.error for item in outcome.items] == [0, 0, 0, errno.EAGAIN]
    before, after = outcome.sent
    assert isinstance(before, Sent)
    assert isinstance(after, Sent)
    assert (before.length, before.closed) == (5, False)
    assert (after.length, after.closed) == (0, True)
    # What was sent on the connection before is of no account on this one.
    outcome = judge(SEND, Step(Action.REDIAL, 4), bind, RECEIVE, sends_first=True)
    assert verdicts(outcome) == [Verdict.SEQUENCE]
