# SPDX-License-Identifier: GPL-2.0-or-later
"""What the model says of the calls of API steps, as recvmsg(2), sendmsg(2) and their like do."""

from __future__ import annotations

import errno
import random
import socket
import zlib
from collections.abc import Sequence

import pytest

from fuzz.api import Api, Call, option, outgoing, sized
from fuzz.net.tcp import TcpFlag
from fuzz.oracles.calls import SO_PEEK_OFF, SO_RCVLOWAT
from fuzz.oracles.clock import Interval
from fuzz.oracles.expectation import Expectation
from fuzz.oracles.served import Beginning, Sent
from fuzz.oracles.shadow import Moment, Shadow
from fuzz.script import Action, Loose, ScriptError, Step, api_of, api_step, described, unpack
from fuzz.target.wire import Item, Kind
from nst_scapy.header import MAX_STREAM_PAYLOAD, Role, Transport
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, StreamSender
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
MOMENT = Moment(Interval(NOW, NOW), Interval(NOW - 60 * SECOND, NOW - 60 * SECOND))
BOX = KeyBox({1: bytes(32)})
CONNECT, ACCEPT = Step(Action.CONNECT, 4), Step(Action.ACCEPT, 4)
PEEK, TRUNC, OOB = int(socket.MSG_PEEK), int(socket.MSG_TRUNC), int(socket.MSG_OOB)
FIRST, SECOND_RECORD = b"one record", b"and another"
RECORDS = (FIRST, SECOND_RECORD)
GUARD = b"\xa5" * 8


def judge(*steps: Step, told: Sequence[Item] = ()) -> Expectation:
    shadow = Shadow(BOX, SuiteId, window_ns=30 * SECOND, stream_sessions=9, dgram_sessions=9)
    (outcome,) = shadow.judge(steps, MOMENT, told)
    return outcome


def on_stream(*apis: Api, told: Sequence[Item] = ()) -> list[Item]:
    """The outcomes of calls on a connection to which two records came."""
    sender = StreamSender(Role.INITIATOR, BOX, rng=random.Random(1))
    records = [
        Step(Action.SEGMENT, 0, sender.seal(data, now=NOW)) for data in (FIRST, SECOND_RECORD)
    ]
    outcome = judge(CONNECT, *records, ACCEPT, *map(api_step, apis), told=told)
    return [item for item in outcome.items if item.kind in (Kind.API, Kind.MESSAGE)]


def on_datagrams(*apis: Api) -> list[Item]:
    sender = DgramSender(BOX, rng=random.Random(1))
    records = [
        Step(Action.DATAGRAM, 4, sender.seal(data, now=NOW)) for data in (FIRST, SECOND_RECORD)
    ]
    outcome = judge(*records, *(api_step(api._replace(socket=4)) for api in apis))
    return [item for item in outcome.items if item.kind in (Kind.API, Kind.MESSAGE)]


def arena(*buffers: bytes) -> int:
    return zlib.crc32(GUARD + b"".join(buffer + GUARD for buffer in buffers))


def test_buffers_are_filled_in_order() -> None:
    received, message = on_stream(sized(Call.RECVMSG, (3, 0, 30)))
    whole = FIRST + SECOND_RECORD
    filled = arena(whole[:3], b"", whole[3:] + b"\xa5" * (33 - len(whole)))
    assert received == Item(Kind.API, Call.RECVMSG, 0, len(whole), filled)
    assert message == Item(Kind.MESSAGE, Call.RECVMSG, 0, 0, 0)


def test_peeking_takes_nothing_and_discarding_copies_nothing() -> None:
    items = on_stream(
        sized(Call.READV, (4,)), sized(Call.RECVMSG, (6,), PEEK), sized(Call.RECVMSG, (6,), TRUNC),
        sized(Call.READV, (11,)), sized(Call.READV, (1,)),
    )  # fmt: skip
    crcs = [item.crc for item in items if item.kind is Kind.API]
    assert crcs == [
        arena(FIRST[:4]), arena(FIRST[4:]), arena(b"\xa5" * 6), arena(SECOND_RECORD),
        arena(b"\xa5"),
    ]  # fmt: skip
    assert items[-1].error == errno.EAGAIN


def test_peek_offset_counts_plaintext() -> None:
    items = on_stream(
        option(socket.SOL_SOCKET, SO_PEEK_OFF, 4), sized(Call.RECVMSG, (3,), PEEK),
        sized(Call.READV, (5,)), sized(Call.RECVMSG, (3,), PEEK),
    )  # fmt: skip
    whole = FIRST + SECOND_RECORD
    peeks = [item.crc for item in items if (item.kind, item.family) == (Kind.API, Call.RECVMSG)]
    assert peeks == [arena(whole[4:7]), arena(whole[7:10])]


def test_a_kernel_without_peek_offset_is_told() -> None:
    refused = Item(Kind.API, Call.SET_OPTION, errno.EOPNOTSUPP, 0, 0)
    items = on_stream(
        option(socket.SOL_SOCKET, SO_PEEK_OFF, 4), sized(Call.RECVMSG, (3,), PEEK), told=[refused]
    )
    assert items[0] == refused
    assert items[1].crc == arena(FIRST[:3])


def forged_behind(payload: bytes, forged: int, suite: SuiteId = SuiteId.AES_GCM) -> list[Step]:
    """A connection to which a record came, and one that does not verify."""
    sender = StreamSender(Role.INITIATOR, BOX, suite=suite, rng=random.Random(1))
    good, bad = sender.seal(payload, now=NOW), bytearray(sender.seal(bytes(forged), now=NOW))
    bad[-1] ^= 1
    segments = [Step(Action.SEGMENT, 0, data) for data in (good, bytes(bad))]
    return [CONNECT, *segments, ACCEPT]


@pytest.mark.parametrize(
    ("forged", "room", "suite", "flags", "may_clear"),
    [
        (1000, 1010, SuiteId.AES_GCM, 0, True), (513, 600, SuiteId.SM4_GCM, 0, True),
        (1000, 1009, SuiteId.AES_GCM, 0, False), (512, 600, SuiteId.AES_GCM, 0, False),
        (1000, 1010, SuiteId.AES_CBC, 0, False), (1000, 1010, SuiteId.AES_GCM, PEEK, False),
    ],
)  # fmt: skip
def test_only_what_was_opened_in_place_may_have_been_cleared(
    forged: int, room: int, suite: SuiteId, flags: int, may_clear: bool
) -> None:
    untouched = b"\xa5" * (room - len(FIRST) - forged)
    cleared = arena(FIRST + bytes(forged) + untouched)
    wrong = arena(FIRST + bytes(forged - 1) + b"\xa5" + untouched)
    for crc, is_right in ((cleared, may_clear), (wrong, False)):
        told = Item(Kind.API, Call.RECVMSG, 0, len(FIRST), crc)
        step = api_step(sized(Call.RECVMSG, (room,), flags))
        outcome = judge(*forged_behind(FIRST, forged, suite), step, told=[told])
        assert (told in outcome.items) == is_right
        assert outcome.verdicts[Transport.STREAM, Verdict.AUTH] == 1


@pytest.mark.parametrize("at", [0, 1])
def test_of_several_messages_the_last_is_cleared(at: int) -> None:
    """The record that is forged goes behind the one before, or to a message of its own."""
    sizes = ((2000, 9), (len(FIRST), 2000))[at]
    buffers = [FIRST + b"\xa5" * (sizes[0] - len(FIRST)), b"\xa5" * sizes[1]]
    begun = len(FIRST) * (1 - at)
    buffers[at] = buffers[at][:begun] + bytes(1000) + buffers[at][begun + 1000 :]
    told = Item(Kind.API, Call.RECVMMSG, 0, 1, arena(*buffers))
    step = api_step(sized(Call.RECVMMSG, sizes))
    assert told in judge(*forged_behind(FIRST, 1000), step, told=[told]).items


def test_a_buffer_without_memory_ends_what_is_received() -> None:
    """A record that fits before it is received, and of the next one a part is there."""
    whole = FIRST + SECOND_RECORD
    for head, length, error in ((9, 0, errno.EFAULT), (10, 10, 0), (20, 10, 0), (21, 21, 0)):
        call = sized(Call.READV, (head, 50))._replace(gone=2)
        copied = arena(whole[:head], b"\xa5" * 50)
        told = Item(Kind.API, Call.READV, error, length, copied)
        after, message = sized(Call.RECVMSG, (99,)), Kind.MESSAGE
        items = on_stream(call, after, told=[told])
        assert items[0] == told
        rest = whole[length:]
        assert items[1].length == len(rest)
        assert (items[1].error, items[-1].kind) == ((0, message) if rest else (11, Kind.API))
    assert on_stream(call._replace(gone=1), told=[told])[0].error == errno.EFAULT
    assert on_stream(call)[0].crc == arena(whole, b"\xa5" * 50)


def test_a_datagram_that_cannot_be_copied_is_lost() -> None:
    calls = [sized(Call.RECVMSG, (head, 9))._replace(gone=2) for head in (5, len(SECOND_RECORD))]
    failed, received, _ = on_datagrams(*calls)
    assert (failed.error, failed.crc) == (errno.EFAULT, arena(FIRST[:5], b"\xa5" * 9))
    assert received.crc == arena(SECOND_RECORD, b"\xa5" * 9)


def test_what_there_is_no_memory_of_is_not_sent() -> None:
    def sent(*sizes: int) -> tuple[int, int]:
        api = sized(Call.WRITEV, sizes)._replace(gone=2)
        item = judge(CONNECT, ACCEPT, api_step(api)).items[-1]
        return item.error, item.length

    assert sent(MAX_STREAM_PAYLOAD - 1, 9) == (errno.EFAULT, 0)
    assert sent(MAX_STREAM_PAYLOAD + 9, 9) == (0, MAX_STREAM_PAYLOAD)


def test_low_water_is_what_poll_waits_for() -> None:
    items = on_stream(
        option(socket.SOL_SOCKET, SO_RCVLOWAT, 22), Api(Call.POLL), Api(Call.INQ),
        option(socket.SOL_SOCKET, SO_RCVLOWAT, 21), Api(Call.POLL),
    )  # fmt: skip
    assert [item.length for item in items] == [0, 0, 21, 0, 1]


def test_messages_and_threads_share_what_there_is() -> None:
    items = on_stream(sized(Call.RECVMMSG, (8, 8, 0)), sized(Call.READERS, (2, 3)))
    assert [item.length for item in items] == [3, 8, 8, 0, 5]
    tail = (FIRST + SECOND_RECORD)[16:]
    assert items[-1].crc == sum(zlib.crc32(bytes((byte,))) for byte in tail) & 0xFFFFFFFF
    assert items[-1].error == errno.EAGAIN


@pytest.mark.parametrize(
    ("flags", "stream", "dgram"),
    [
        (OOB, errno.EINVAL, 0), (0x2000, errno.EAGAIN, errno.EAGAIN),
        (1 << 31, errno.EINVAL, errno.EINVAL), (1 << 9, 0, 0),
    ],
)  # fmt: skip
def test_flags_that_rule_a_call_out(flags: int, stream: int, dgram: int) -> None:
    call = sized(Call.RECVMSG, (64,), flags)
    assert on_stream(call)[0].error == stream
    assert on_datagrams(call)[0].error == dgram


def test_datagrams_are_cut_and_say_so() -> None:
    items = on_datagrams(
        sized(Call.RECVMSG, (4,), PEEK), sized(Call.RECVMSG, (4,), TRUNC), sized(Call.READV, (64,)),
    )  # fmt: skip
    peeked, peek_message, cut, cut_message, whole = items
    assert (peeked.length, peeked.crc) == (4, arena(FIRST[:4]))
    assert (cut.length, cut.crc) == (len(FIRST), arena(FIRST[:4]))
    assert peek_message.length == cut_message.length == TRUNC
    assert whole.length == len(SECOND_RECORD)


def test_what_is_sent_is_what_the_call_says() -> None:
    call = sized(Call.SENDMSG, (1, 2, 3), value=249)
    assert outgoing(call, 6) == bytes((249, 250, 0, 1, 2, 3))
    outcome = judge(CONNECT, ACCEPT, api_step(call))
    assert outcome.items[-1] == Item(Kind.API, Call.SENDMSG, 0, 6, 0)
    assert outcome.sent == [Sent(6, zlib.crc32(outgoing(call, 6)), bound=False, closed=True)]


@pytest.mark.parametrize(
    ("comes", "lost"),
    [
        (Loose(0, TcpFlag.RST).step(), True), (Loose(1, TcpFlag.RST).step(), False),
        (Step(Action.SEGMENT, 0, b"new"), True), (Step(Action.FIN), False),
    ],
)  # fmt: skip
def test_a_reset_after_close_takes_what_waits_to_be_sent(comes: Step, lost: bool) -> None:
    """New bytes, which nobody will read, are answered with one."""
    call = api_step(sized(Call.SENDMSG, (6,)))
    (sent,) = judge(CONNECT, ACCEPT, call, Step(Action.CLOSE), comes).sent
    data = bytes(range(6))
    if not lost:
        assert sent == Sent(6, zlib.crc32(data), bound=False, closed=True)
        return
    assert sent == Beginning(data, bound=False)
    assert isinstance(sent, Beginning)
    for came, begins in ((data, True), (data[:3], True), (b"", True), (data[1:], False)):
        assert sent.begins(Sent(len(came), zlib.crc32(came), False, closed=False)) == begins
    assert sent.begins(Sent(0, 0, None, closed=False))
    assert not sent.begins(Sent(7, zlib.crc32(data + b"\6"), False, closed=False))
    assert not sent.begins(Sent(3, zlib.crc32(data[:3]), True, closed=False))


@pytest.mark.parametrize(
    ("said", "held_to"),
    [
        ((0, 32768), (0, 32768)), ((0, 100_000), (0, 100_000)),
        ((0, 32767), (0, 100_000)), ((errno.EAGAIN, 0), (0, 100_000)),
        ((errno.ENOMEM, 0), (0, 100_000)),
    ],
)  # fmt: skip
def test_a_stream_takes_whole_records(said: tuple[int, int], held_to: tuple[int, int]) -> None:
    told = Item(Kind.API, Call.SENDMSG, *said, 0)
    outcome = judge(CONNECT, ACCEPT, api_step(sized(Call.SENDMSG, (100_000,))), told=[told])
    assert (outcome.items[-1].error, outcome.items[-1].length) == held_to


def test_a_full_buffer_is_believed_only_behind_something() -> None:
    sends = [api_step(sized(Call.SENDMSG, (10,))) for _ in range(2)]
    full = Item(Kind.API, Call.SENDMSG, errno.EAGAIN, 0, 0)
    took = Item(Kind.API, Call.SENDMSG, 0, 10, 0)
    outcome = judge(CONNECT, ACCEPT, *sends, told=[took, full])
    assert [item.error for item in outcome.items[-2:]] == [0, errno.EAGAIN]
    outcome = judge(CONNECT, ACCEPT, *sends, told=[full, full])
    assert [item.error for item in outcome.items[-2:]] == [0, errno.EAGAIN]
    assert outcome.sent[0] == Sent(10, zlib.crc32(bytes(range(10))), bound=False, closed=True)


def test_refused_flags_send_nothing() -> None:
    calls = [sized(Call.SENDMSG, (9,), flags) for flags in (OOB, 0x4000000, 0x20000000, 0x10)]
    outcome = judge(CONNECT, ACCEPT, *map(api_step, calls))
    assert {item.error for item in outcome.items[1:]} == {errno.EOPNOTSUPP}
    assert outcome.sent == [Sent(0, 0, bound=False, closed=True)]


def test_datagrams_have_a_size_and_a_destination() -> None:
    def error(api: Api, family: int) -> int:
        return judge(api_step(api._replace(socket=family))).items[0].error

    largest = {4: 65507 - 48, 6: 65527 - 48}
    for family, size in largest.items():
        assert error(sized(Call.SENDMSG, (size,)), family) == 0
        assert error(sized(Call.SENDMSG, (size + 1,)), family) == errno.EMSGSIZE
    assert error(sized(Call.WRITEV, (5,)), 4) == errno.EDESTADDRREQ


def test_calls_survive_being_stored() -> None:
    for api in (
        sized(Call.RECVMMSG, (1, 2), 5, wait=7), option(6, 3, 1), Api(Call.INQ, socket=6),
        sized(Call.WRITERS, (9,), value=250), sized(Call.READV, (1, 2))._replace(gone=2),
    ):  # fmt: skip
        (step,) = unpack(api_step(api).pack())
        assert api_of(step) == api
        assert described(step).startswith(api.call.name.lower())


@pytest.mark.parametrize("data", [b"", bytes(16), bytes((99, *bytes(15))), bytes((1, *bytes(16)))])
def test_what_is_no_call_is_refused(data: bytes) -> None:
    with pytest.raises(ScriptError, match="an API step"):
        api_of(Step(Action.API, 0, data))
