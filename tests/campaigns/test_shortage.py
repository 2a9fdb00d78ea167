# SPDX-License-Identifier: GPL-2.0-or-later
"""What the model accepts of calls that ran out of memory, and what it does not."""

from __future__ import annotations

import errno
import random
import zlib
from collections.abc import Sequence

import pytest
from click.testing import CliRunner

from fuzz.api import Api, Call, file_write, sized
from fuzz.campaigns.catalogue import CAMPAIGNS, fitting
from fuzz.cli.run import command
from fuzz.guest import kernel as kernels
from fuzz.guest.errors import SetupError
from fuzz.oracles.clock import Interval
from fuzz.oracles.control import KEYBOX_FILE
from fuzz.oracles.expectation import Expectation
from fuzz.oracles.shadow import Moment, Shadow
from fuzz.script import Action, Step, api_step
from fuzz.target.wire import Item, Kind, Op
from nst_scapy.header import MAX_STREAM_PAYLOAD, Role, Transport
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, StreamSender
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
MOMENT = Moment(Interval(NOW, NOW), Interval(NOW - 60 * SECOND, NOW - 60 * SECOND))
BOX = KeyBox({1: bytes(32)})
CONNECT, ACCEPT, SHORT = Step(Action.CONNECT, 4), Step(Action.ACCEPT, 4), Step(Action.SHORTAGE, 1)
LOOK = Step(Action.LOOK)
RECEIVE, SEND, CLOSE = Step(Action.RECEIVE), Step(Action.SEND, 0, b"a reply"), Step(Action.CLOSE)
ACCEPTED = Item(Kind.CALL, Op.ACCEPT, 0, 0, 0)
FORGED = Item(Kind.CALL, Op.RECEIVE, errno.EBADMSG, 0, 0)
FIRST, LATER = b"one record", b"and another"
LONG = bytes(range(1, 251)) * 4
VECTOR = (30, 2010)
GUARD = b"\xa5" * 8


def met(op: Op, *, fired: bool = True) -> Item:
    return Item(Kind.SHORTAGE, op, 0, int(fired), 0)


def call(op: Op, error: int, data: bytes = b"") -> Item:
    return Item(Kind.CALL, op, error, len(data), zlib.crc32(data))


def records(*payloads: bytes) -> list[Step]:
    sender = StreamSender(Role.INITIATOR, BOX, rng=random.Random(1))
    return [Step(Action.SEGMENT, 0, sender.seal(data, now=NOW)) for data in payloads]


def ways(*steps: Step, told: Sequence[Item]) -> list[Expectation]:
    """The right outcomes of a case of which the module tells this."""
    shadow = Shadow(BOX, SuiteId, window_ns=30 * SECOND, stream_sessions=9, dgram_sessions=9)
    return shadow.judge(steps, MOMENT, told)


def right(found: Sequence[Expectation], *items: Item) -> list[Expectation]:
    """Those of the outcomes with just these items at their end."""
    return [one for one in found if one.items[len(one.items) - len(items) :] == list(items)]


def two_reads(error: int, data: bytes, *then: Item) -> list[Expectation]:
    """Reading twice on a connection with two records, the first time without memory."""
    first, second = records(FIRST, LATER)
    told = [ACCEPTED, met(Op.RECEIVE), call(Op.RECEIVE, error, data), *then]
    return ways(CONNECT, first, ACCEPT, second, SHORT, RECEIVE, RECEIVE, told=told)


def test_what_was_not_read_is_read_later() -> None:
    rest = call(Op.RECEIVE, errno.EAGAIN, LATER)
    (one,) = right(
        two_reads(errno.ENOMEM, FIRST, rest), call(Op.RECEIVE, errno.ENOMEM, FIRST), rest
    )
    assert one.verdicts[Transport.STREAM, Verdict.OK] == 2


def test_a_record_half_opened_breaks_the_connection_and_is_not_counted() -> None:
    dead = call(Op.RECEIVE, errno.ENOMEM)
    (one,) = right(
        two_reads(errno.ENOMEM, FIRST, dead), call(Op.RECEIVE, errno.ENOMEM, FIRST), dead
    )
    assert one.verdicts[Transport.STREAM, Verdict.OK] == 1
    assert one.sent == [None]


@pytest.mark.parametrize(
    ("error", "data"),
    [(errno.ENOMEM, b"wrong data"), (errno.EBADMSG, FIRST), (errno.ENOMEM, FIRST + LATER + b"!")],
)
def test_wrong_plaintext_and_other_errors_are_not_right(error: int, data: bytes) -> None:
    rest = call(Op.RECEIVE, errno.EAGAIN, LATER)
    assert not right(two_reads(error, data, rest), call(Op.RECEIVE, error, data), rest)


def test_plaintext_may_not_be_lost_silently() -> None:
    nothing = call(Op.RECEIVE, errno.EAGAIN)
    found = two_reads(errno.ENOMEM, FIRST, nothing)
    assert not right(found, call(Op.RECEIVE, errno.ENOMEM, FIRST), nothing)


def arena(*buffers: bytes) -> int:
    return zlib.crc32(b"".join((GUARD, *(buffer + GUARD for buffer in buffers))))


def vectored(crc: int, then: Item, *, damaged: bool = False) -> list[Expectation]:
    """A readv into two buffers that gets the first of two records, and one more read."""
    first, record = records(FIRST, LONG)
    if damaged:
        record = record._replace(data=record.data[:-1] + bytes((record.data[-1] ^ 1,)))
    told = Item(Kind.API, Call.READV, 0, len(FIRST), crc)
    found = ways(
        CONNECT, first, ACCEPT, record, SHORT, api_step(sized(Call.READV, VECTOR)), RECEIVE,
        told=[ACCEPTED, met(Op.API), told, then],
    )  # fmt: skip
    return right(found, told, then)


@pytest.mark.parametrize(("error", "forged"), [(errno.EBADMSG, 1), (errno.ENOMEM, 0)])
def test_a_forged_record_opened_in_place_is_cleared_and_perhaps_never_judged(
    error: int, forged: int
) -> None:
    """Opening it elsewhere, which is what judges it, may be what there was no memory for."""
    cleared = arena(FIRST + bytes(20), bytes(980) + b"\xa5" * 1030)
    (one,) = vectored(cleared, call(Op.RECEIVE, error), damaged=True)
    assert one.verdicts[Transport.STREAM, Verdict.AUTH] == forged


@pytest.mark.parametrize(
    ("buffers", "is_right"),
    [
        ((FIRST + LONG[:20], b"\xa5" * 2010), True), ((FIRST + b"\xa5" * 20, b"\xa5" * 2010), True),
        ((FIRST + LONG[:19] + b"\xa5", b"\xa5" * 2010), False),
        ((FIRST + LONG[:20], LONG[20:21] + b"\xa5" * 2009), False),
        ((FIRST + bytes(20), b"\xa5" * 2010), False),
    ],
)  # fmt: skip
def test_what_could_not_be_copied_may_be_there_in_part(
    buffers: Sequence[bytes], is_right: bool
) -> None:
    rest = call(Op.RECEIVE, errno.EAGAIN, LONG)
    assert bool(vectored(arena(*buffers), rest)) == is_right


def test_nothing_but_that_is_in_the_buffers_of_a_call_that_failed() -> None:
    rest = call(Op.RECEIVE, errno.EAGAIN, LONG + LATER)
    untouched = arena(b"\xa5" * VECTOR[0], b"\xa5" * VECTOR[1])
    first, second = records(LONG, LATER)
    for crc, is_right in (
        (untouched, True), (arena(LONG[:30], b"\xa5" * 2010), True),
        (arena(bytes(30), b"\xa5" * 2010), False),
    ):  # fmt: skip
        told = Item(Kind.API, Call.READV, errno.EFAULT, 0, crc)
        found = ways(
            CONNECT, first, ACCEPT, second, SHORT, api_step(sized(Call.READV, VECTOR)), RECEIVE,
            told=[ACCEPTED, met(Op.API), told, rest],
        )  # fmt: skip
        assert bool(right(found, told, rest)) == is_right


def test_what_did_not_fire_has_one_outcome() -> None:
    (first,) = records(FIRST)
    told = [ACCEPTED, met(Op.RECEIVE, fired=False), call(Op.RECEIVE, errno.ENOMEM)]
    (one,) = ways(CONNECT, first, ACCEPT, SHORT, RECEIVE, told=told)
    assert one.items[-1] == call(Op.RECEIVE, errno.EAGAIN, FIRST)


def test_a_connection_that_could_not_be_accepted_waits_or_is_gone() -> None:
    (first,) = records(FIRST)
    failed = call(Op.ACCEPT, errno.ENOMEM)
    found = ways(CONNECT, first, SHORT, ACCEPT, told=[met(Op.ACCEPT), failed])
    waiting = Item(Kind.STREAM, 4, errno.EAGAIN, len(FIRST), zlib.crc32(FIRST))
    assert right(found, failed, waiting)
    assert right(found, failed)
    assert len(right(found, call(Op.ACCEPT, 0))) == 1  # with memory


@pytest.mark.parametrize(
    ("length", "error", "is_right"),
    [(0, errno.ENOMEM, True), (0, errno.EPIPE, False), (MAX_STREAM_PAYLOAD, 0, True),
     (MAX_STREAM_PAYLOAD + 1, 0, False)],
)  # fmt: skip
def test_a_stream_takes_whole_records_or_nothing(length: int, error: int, is_right: bool) -> None:
    api = sized(Call.SENDMSG, (2 * MAX_STREAM_PAYLOAD,))
    answer = Item(Kind.API, Call.SENDMSG, error, length, 0)
    found = ways(CONNECT, ACCEPT, SHORT, api_step(api), told=[met(Op.API), answer])
    assert bool(right(found, answer)) == is_right
    for one in right(found, answer):
        (sent,) = one.sent
        assert sent is not None
        assert sent.length == length


def test_sending_may_have_to_wait_for_what_was_sealed_before() -> None:
    full = call(Op.TRANSMIT, errno.EAGAIN)
    told = [ACCEPTED, met(Op.TRANSMIT), call(Op.TRANSMIT, 0), full]
    assert right(ways(CONNECT, ACCEPT, SHORT, SEND, SEND, told=told), full)
    told = [ACCEPTED, call(Op.TRANSMIT, 0), full]
    assert not right(ways(CONNECT, ACCEPT, SEND, SEND, told=told), full)


@pytest.mark.parametrize(("error", "closes"), [(errno.EAGAIN, True), (errno.ENOMEM, False)])
def test_close_may_be_sealed_although_it_could_not_be_sent_yet(error: int, closes: bool) -> None:
    shut, broken = Step(Action.SHUTDOWN, 1), call(Op.TRANSMIT, errno.EPIPE)
    told = [ACCEPTED, met(Op.SHUTDOWN), call(Op.SHUTDOWN, error), broken]
    found = ways(CONNECT, ACCEPT, SHORT, shut, SEND, told=told)
    assert bool(right(found, call(Op.SHUTDOWN, error), broken)) == closes


def test_what_tcp_had_no_memory_for_is_lost_with_the_connection() -> None:
    forged = records(FIRST)[0]
    forged = forged._replace(data=forged.data[:-1] + b"!")
    sent = call(Op.TRANSMIT, 0)
    told = [ACCEPTED, met(Op.TRANSMIT), sent]
    (one,) = right(ways(CONNECT, ACCEPT, SHORT, SEND, forged, RECEIVE, told=told), sent, FORGED)
    assert one.sent == [None]
    told = [ACCEPTED, sent]
    (one,) = right(ways(CONNECT, ACCEPT, SEND, forged, RECEIVE, told=told), sent, FORGED)
    assert one.sent != [None]


@pytest.mark.parametrize(
    ("whole", "read_before", "may_break"),
    [(True, False, True), (False, False, False), (True, True, False)],
)
def test_only_a_whole_first_record_is_opened_without_a_call(
    *, whole: bool, read_before: bool, may_break: bool
) -> None:
    first, second = records(FIRST, LATER)
    steps = [CONNECT, ACCEPT, first, RECEIVE] if read_before else [CONNECT, ACCEPT]
    comes = second if read_before else first
    comes = comes if whole else comes._replace(data=comes.data[:-1])
    found = ways(*steps, Step(Action.DROUGHT), comes, RECEIVE, told=[])
    data = (LATER if read_before else FIRST) if whole else b""
    assert right(found, call(Op.RECEIVE, errno.EAGAIN, data))
    assert bool(right(found, call(Op.RECEIVE, errno.ENOMEM))) == may_break


def test_what_local_in_has_no_memory_to_refuse_is_judged_when_it_is_read() -> None:
    wrong = records(FIRST)[0]._replace(data=bytes(60))
    found = ways(CONNECT, ACCEPT, Step(Action.DROUGHT), wrong, LOOK, RECEIVE, told=[])
    assert {one.verdicts[Transport.STREAM, Verdict.MAGIC] for one in found} == {1}
    assert len(right(found, FORGED)) == len(found) == 2  # one tells how the connection ended


def test_how_a_connection_ends_that_was_closed_without_memory_is_not_known() -> None:
    told = [ACCEPTED, met(Op.CLOSE), call(Op.CLOSE, 0)]
    found = ways(CONNECT, ACCEPT, SHORT, CLOSE, told=told)
    assert [None] in [one.sent for one in found]


@pytest.mark.parametrize(("error", "kept"), [(errno.ENOMEM, True), (errno.EFAULT, False)])
def test_a_datagram_stays_unless_it_could_not_be_copied(error: int, kept: bool) -> None:
    sender = DgramSender(BOX, rng=random.Random(1))
    datagram = Step(Action.DATAGRAM, 4, sender.seal(FIRST, now=NOW))
    api = sized(Call.RECVMSG, (100,), socket=4)
    failed = Item(Kind.API, Call.RECVMSG, error, 0, 7)
    found = ways(datagram, SHORT, api_step(api), told=[met(Op.API), failed])
    waiting = Item(Kind.DGRAM, 4, 0, len(FIRST), zlib.crc32(FIRST))
    assert right(found, failed, waiting)
    assert bool(right(found, failed)) != kept


def test_a_key_box_is_replaced_whole_or_stays() -> None:
    text = f"7 {bytes(32).hex()}\n".encode()
    change: Api = file_write(KEYBOX_FILE, text)
    for error in (0, errno.ENOMEM, errno.EINVAL):
        answer = Item(Kind.API, Call.WRITE_FILE, error, 0, 0)
        found = ways(SHORT, api_step(change), told=[met(Op.API), answer])
        assert bool(right(found, answer)) == (error != errno.EINVAL)


def test_kernels_without_fault_injection_say_so() -> None:
    stock = kernels.find("debian-6.12")
    fit, unfit = fitting(stock)
    assert [one.name for one in unfit] == ["memory-pressure"]
    assert len(fit) == len(CAMPAIGNS) - 1
    done = CliRunner().invoke(command, ["memory-pressure", "--kernel", stock.name])
    assert isinstance(done.exception, SetupError)
    assert "CONFIG_FAILSLAB" in str(done.exception)
