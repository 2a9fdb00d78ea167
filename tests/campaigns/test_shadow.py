# SPDX-License-Identifier: GPL-2.0-or-later
"""The model beside the module: what the clock leaves open, and what it does not."""

from __future__ import annotations

import errno
import random
import zlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.oracles.clock import GuestClock, Interval
from fuzz.oracles.shadow import Moment, Shadow, suites_of
from fuzz.script import Action, Step
from fuzz.target.wire import Item, Kind
from nst_scapy.header import Role, Transport
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, StreamSender
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

SECOND = 1_000_000_000
MS = 1_000_000
WINDOW = 30 * SECOND
NOW = 1_800_000_000 * SECOND
BOX = KeyBox({7: bytes(range(32))})


def shadow(dgram_sessions: int = 100) -> Shadow:
    return Shadow(
        BOX, SuiteId, window_ns=WINDOW, stream_sessions=100, dgram_sessions=dgram_sessions
    )


def moment(early: int = NOW, late: int = NOW + 5 * MS, created: int = NOW - 60 * SECOND) -> Moment:
    return Moment(Interval(early, late), Interval(created, created + 10_000))


def datagram(timestamp: int, payload: bytes = b"x", seed: int = 1) -> Step:
    sender = DgramSender(BOX, rng=random.Random(seed))
    return Step(Action.DATAGRAM, 4, sender.seal(payload, now=timestamp))


def verdicts(*names: Verdict) -> Counter[tuple[Transport, Verdict]]:
    return Counter((Transport.DGRAM, name) for name in names)


@pytest.mark.parametrize(
    ("offset", "outcomes"),
    [
        (0, [Verdict.OK]),
        (-WINDOW + 6 * MS, [Verdict.OK]),
        (-WINDOW + 2 * MS, [Verdict.TIMESTAMP, Verdict.OK]),
        (-WINDOW - 1, [Verdict.TIMESTAMP]),
        (WINDOW, [Verdict.OK]),
        (WINDOW + 2 * MS, [Verdict.OK, Verdict.TIMESTAMP]),
        (WINDOW + 6 * MS, [Verdict.TIMESTAMP]),
    ],
)
def test_two_outcomes_only_at_a_limit(offset: int, outcomes: list[Verdict]) -> None:
    judged = shadow().judge([datagram(NOW + offset)], moment())
    assert [outcome.verdicts for outcome in judged] == [verdicts(name) for name in outcomes]


def test_the_tables_age_is_a_limit() -> None:
    created = NOW - 10 * SECOND
    for offset, outcomes in (
        (-1, [Verdict.REPLAY]),
        (5_000, [Verdict.REPLAY, Verdict.OK]),
        (10_001, [Verdict.OK]),
    ):
        judged = shadow().judge([datagram(created + offset)], moment(created=created))
        assert [outcome.verdicts for outcome in judged] == [verdicts(name) for name in outcomes]


@pytest.mark.parametrize("choice", [0, 1])
def test_the_model_follows_what_the_module_did(choice: int) -> None:
    model = shadow()
    step = datagram(NOW - WINDOW + 2 * MS)
    first = model.judge([step], moment())
    assert len(first) == 2
    model.follow(choice)
    accepted = first[choice].verdicts == verdicts(Verdict.OK)
    assert (first[choice].states[2] == 1) == accepted
    # The session is known only to a model that accepted it.
    again = datagram(NOW, seed=1)
    (second,) = model.judge([again], moment())
    assert second.verdicts == verdicts(Verdict.REPLAY if accepted else Verdict.OK)


def test_eviction_at_the_window_is_a_limit() -> None:
    model = shadow(dgram_sessions=2)
    old = NOW - WINDOW + 10 * MS
    model.judge([datagram(old, seed=1)], moment())
    model.judge([datagram(old + 1, seed=2)], moment())
    late = moment(NOW + 8 * MS, NOW + 12 * MS)
    outcomes = model.judge([datagram(NOW, seed=3)], late)
    # Both entries are too old, or neither is and only the oldest goes.
    assert [outcome.states[2:] for outcome in outcomes] == [(1, old + 1), (2, old)]


def test_some_of_several_entries_may_have_grown_too_old() -> None:
    model = shadow(dgram_sessions=3)
    old = NOW - WINDOW + 10 * MS
    for seed in range(3):
        model.judge([datagram(old + seed * MS, seed=seed)], moment())
    outcomes = model.judge([datagram(NOW, seed=3)], moment(NOW + 8 * MS, NOW + 15 * MS))
    # All three are dropped, the first two, or the oldest alone.
    floors = [(1, old + 2 * MS), (2, old + MS), (3, old)]
    assert [outcome.states[2:] for outcome in outcomes] == floors


def test_streams_end_as_the_specification_says() -> None:
    def step(data: bytes) -> Step:
        return Step(Action.SEGMENT, 0, data)

    def sender(seed: int) -> StreamSender:
        return StreamSender(Role.INITIATOR, BOX, rng=random.Random(seed))

    connect, fin = Step(Action.CONNECT, 6), Step(Action.FIN)
    one, two, three, four, five = (sender(seed) for seed in range(5))
    cases = [
        ([step(one.seal(b"abc", now=NOW)), fin], errno.ECONNABORTED, b"abc"),
        ([step(two.seal(b"abc", now=NOW)), step(two.close(now=NOW)), fin], 0, b"abc"),
        ([step(three.seal(b"abc", now=NOW))], errno.EAGAIN, b"abc"),
        ([step(four.seal(b"abc", now=NOW) + bytes(48)), fin], errno.EBADMSG, b"abc"),
        ([step(five.close(now=NOW) + b"more"), fin], 0, b""),
    ]
    for steps, error, plaintext in cases:
        (outcome,) = shadow().judge([connect, *steps], moment())
        expected = Item(Kind.STREAM, 6, error, len(plaintext), zlib.crc32(plaintext))
        assert outcome.items == [expected]


def test_items_come_in_the_order_of_collection() -> None:
    six = datagram(NOW, b"six", 1)._replace(argument=6)
    steps = [six, datagram(NOW, b"four", 2), Step(Action.CONNECT, 4)]
    (outcome,) = shadow().judge(steps, moment())
    assert [(item.kind, item.family) for item in outcome.items] == [
        (Kind.DGRAM, 4), (Kind.STREAM, 4), (Kind.DGRAM, 6),
    ]  # fmt: skip


def test_reflected_sessions_are_known_for_a_window() -> None:
    model = shadow()
    step = datagram(NOW)
    model.sealed(4, step.data, Interval(NOW, NOW + MS))
    (outcome,) = model.judge([step], moment())
    assert outcome.verdicts == verdicts(Verdict.REFLECT)
    (elsewhere,) = model.judge([step._replace(argument=6)], moment())
    assert elsewhere.verdicts == verdicts(Verdict.OK)


@settings(max_examples=50)
@given(st.lists(st.integers(-31 * SECOND, 31 * SECOND), min_size=1, max_size=12), st.data())
def test_any_time_between_the_bounds_has_one_of_the_outcomes(
    offsets: list[int], data: st.DataObject
) -> None:
    """What a module at any moment would do is among what is allowed."""
    bounds = shadow(dgram_sessions=4)
    truth = shadow(dgram_sessions=4)
    now, created = NOW, NOW - 60 * SECOND
    for seed, offset in enumerate(offsets):
        width = data.draw(st.integers(0, 50 * MS))
        exact = now + data.draw(st.integers(0, width))
        step = datagram(now + offset, seed=seed)
        at = Interval(exact, exact)
        (real,) = truth.judge([step], Moment(at, Interval(created, created)))
        allowed = bounds.judge([step], moment(now, now + width, created))
        assert real in allowed
        bounds.follow(allowed.index(real))
        now += width + SECOND


def test_clock_bounds_hold_whatever_the_delays() -> None:
    draw = random.Random(1)
    clock = GuestClock()
    offset, booted = 1_700_000_000 * SECOND, 12_345
    host = 0
    for _ in range(1000):
        host += draw.randint(0, 20 * MS)
        if clock.creation.earliest > 0:
            assert clock.at_least(host) <= host + offset
        drained = host + offset
        age = drained + draw.randint(0, MS) - booted
        done = age + booted + draw.randint(0, MS)
        host = done - offset + draw.randint(0, 5 * MS)
        clock.observe(drained=drained, done=done, age=age, host=host)
        assert clock.creation.holds(booted)
    assert clock.creation.latest - clock.creation.earliest < 100_000


def test_suites_are_read_by_name() -> None:
    assert suites_of("AES_GCM\nSM4_CBC\n") == {SuiteId.AES_GCM, SuiteId.SM4_CBC}
    with pytest.raises(ValueError, match="ROT13"):
        suites_of("AES_GCM\nROT13\n")


def test_cases_that_come_together_are_received_as_the_target_does() -> None:
    model = shadow(dgram_sessions=1)
    late = datagram(NOW, seed=1)._replace(argument=6)
    early = datagram(NOW - SECOND, seed=2)
    # One place is in the table: alone the older one would be refused, but IPv4 is first.
    (outcome,) = model.judge_all([[late], [early]], moment())
    assert outcome.each == [verdicts(Verdict.OK), verdicts(Verdict.OK)]
    assert [item.family for item in outcome.items] == [4, 6]
    (one_by_one,) = shadow(dgram_sessions=1).judge([late, early], moment())
    assert one_by_one.verdicts == verdicts(Verdict.OK, Verdict.REPLAY)
    assert one_by_one.each == [one_by_one.verdicts]
