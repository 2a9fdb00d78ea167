# SPDX-License-Identifier: GPL-2.0-or-later
"""Streams that go wrong: verdicts, and what the application sees (sections 8 and 11)."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable

import pytest

from nst_scapy.header import Flags, Header, Role
from nst_scapy.keybox import KeyBox
from nst_scapy.receiver import Receiver
from nst_scapy.sender import StreamSender
from nst_scapy.stream import StreamReceiver
from nst_scapy.verdict import Verdict
from tests.in_guest.counters import Counted
from tests.in_guest.sockets import (
    Pair,
    fails_with,
    info,
    nst_to_tcp,
    readable,
    recv_all,
    recv_exactly,
    tcp_to_nst,
)

AGE_NS = 10**15


def sealed(box: KeyBox, *pieces: bytes, close: bool = True) -> list[bytes]:
    """The records of an initiator that sends the pieces."""
    sender = StreamSender(Role.INITIATOR, box)
    records = [sender.seal(piece, now=time.time_ns()) for piece in pieces]
    if close:
        records.append(sender.close(now=time.time_ns()))
    return records


def expect_failure(pair: Pair, number: int) -> None:
    """The acceptor's recv fails for good, its send with EPIPE; the peer sees a reset."""
    for _ in range(2):
        with fails_with(number):
            pair.acceptor.recv(1)
    with pytest.raises(BrokenPipeError):
        pair.acceptor.send(b"x")
    with pytest.raises(ConnectionResetError):
        while pair.initiator.recv(1000):
            pass


def flip(record: bytes, offset: int, mask: int = 1) -> bytes:
    damaged = bytearray(record)
    damaged[offset] ^= mask
    return bytes(damaged)


def test_split_at_every_byte(box: KeyBox, counted: Counted) -> None:
    with tcp_to_nst() as pair:
        for byte in b"".join(sealed(box, b"abc")):
            pair.initiator.send(bytes([byte]))
        assert recv_all(pair.acceptor) == b"abc"
    counted.expect(stream={"OK": 2})


@pytest.mark.parametrize(
    ("junk", "verdict"),
    [
        (b"GET / HTTP/1.1\r\n", "MAGIC"),
        (bytes.fromhex("beef133702"), "VERSION"),
        (bytes.fromhex("beef1338") + bytes(1), "MAGIC"),
    ],
)
def test_junk_is_told_from_five_bytes(junk: bytes, verdict: str, counted: Counted) -> None:
    with tcp_to_nst() as pair:
        pair.initiator.sendall(junk)
        expect_failure(pair, errno.EBADMSG)
        assert info(pair.acceptor).last_verdict == Verdict[verdict].number
    counted.expect(stream_local_in={verdict: 1})


def test_four_bytes_tell_nothing(counted: Counted) -> None:
    with tcp_to_nst() as pair:
        pair.initiator.sendall(b"junk")
        assert not readable(pair.acceptor, 0.2)
        pair.initiator.shutdown(socket.SHUT_WR)
        expect_failure(pair, errno.ECONNABORTED)
    counted.expect(stream={"TRUNCATED": 1})


def test_header_is_judged_before_the_body_comes(box: KeyBox, counted: Counted) -> None:
    record = sealed(box, b"x" * 1000)[0]
    header = Header.unpack(record)
    with tcp_to_nst() as pair:
        pair.initiator.sendall(header._replace(kid=65535).pack())
        expect_failure(pair, errno.EBADMSG)
    counted.expect(stream={"KID": 1})


@pytest.mark.parametrize("cut", [0, 3, 47, 48, 60])
def test_truncated(cut: int, box: KeyBox, counted: Counted) -> None:
    with tcp_to_nst() as pair:
        record = sealed(box, b"x" * 100, close=False)[0]
        pair.initiator.sendall(record[:cut])
        pair.initiator.shutdown(socket.SHUT_WR)
        expect_failure(pair, errno.ECONNABORTED)
    counted.expect(stream={"TRUNCATED": 1})


def test_what_was_authentic_is_read_before_the_error(box: KeyBox, counted: Counted) -> None:
    with tcp_to_nst() as pair:
        first, second, _ = sealed(box, b"good", b"bad")
        pair.initiator.sendall(first + flip(second, -1))
        time.sleep(0.1)
        assert readable(pair.acceptor, 5)
        assert pair.acceptor.recv(2) == b"go"
        assert readable(pair.acceptor)
        assert pair.acceptor.recv(10) == b"od"
        expect_failure(pair, errno.EBADMSG)
    counted.expect(stream={"OK": 1, "AUTH": 1})


def test_poll_tells_of_a_failure(box: KeyBox, counted: Counted) -> None:
    with tcp_to_nst() as pair:
        pair.initiator.sendall(flip(sealed(box, b"x")[0], 30))
        poller = select.poll()
        poller.register(pair.acceptor, select.POLLIN)
        ((_, events),) = poller.poll(5000)
        assert events & select.POLLIN
        assert events & select.POLLERR
        expect_failure(pair, errno.EBADMSG)
    counted.expect(stream={"AUTH": 1})


def test_bytes_after_close(box: KeyBox, counted: Counted) -> None:
    with tcp_to_nst() as pair:
        pair.initiator.sendall(b"".join(sealed(box, b"data")) + b"more")
        assert recv_all(pair.acceptor) == b"data"
        pair.initiator.sendall(b"and more")
        time.sleep(0.1)
        assert pair.acceptor.recv(1) == b""
        pair.acceptor.sendall(b"the other direction lives")
        assert len(pair.initiator.recv(1000)) == 48 + 25
    counted.expect(stream={"OK": 2, "SEQUENCE": 1})


def test_records_taken_out_swapped_or_repeated(box: KeyBox, counted: Counted) -> None:
    orders: list[Callable[[list[bytes]], list[bytes]]] = [
        lambda r: [r[0], r[2]],
        lambda r: [r[1], r[0]],
        lambda r: [r[0], r[0]],
    ]
    for order in orders:
        with tcp_to_nst() as pair:
            pair.initiator.sendall(b"".join(order(sealed(box, b"1", b"2", b"3"))))
            with fails_with(errno.EBADMSG):
                recv_all(pair.acceptor)
    counted.expect(stream={"OK": 2, "SEQUENCE": 3})


def test_replayed_connection(box: KeyBox, counted: Counted) -> None:
    records = b"".join(sealed(box, b"once"))
    with tcp_to_nst() as pair:
        pair.initiator.sendall(records)
        assert recv_all(pair.acceptor) == b"once"
    with tcp_to_nst() as pair:
        pair.initiator.sendall(records)
        expect_failure(pair, errno.EBADMSG)
    counted.expect(stream={"OK": 2, "REPLAY": 1})


def test_epochs_are_chained(box: KeyBox, counted: Counted) -> None:
    sender = StreamSender(Role.INITIATOR, box)
    records = []
    for word in (b"a", b"b", b"c"):
        sender.new_epoch()
        records.append(sender.seal(word, now=time.time_ns()))
    records.append(sender.close(now=time.time_ns()))
    with tcp_to_nst() as pair:
        pair.initiator.sendall(b"".join(records))
        assert recv_all(pair.acceptor) == b"abc"
    counted.expect(stream={"OK": 4})

    sender = StreamSender(Role.INITIATOR, box)
    records = []
    for word in (b"a", b"b", b"c"):
        sender.new_epoch()
        records.append(sender.seal(word, now=time.time_ns()))
    counted = Counted()
    with tcp_to_nst() as pair:
        pair.initiator.sendall(records[0] + records[2])
        with fails_with(errno.EBADMSG):
            recv_all(pair.acceptor)
    counted.expect(stream={"OK": 1, "AUTH": 1})


def test_old_timestamps_matter_on_the_first_record_only(box: KeyBox, counted: Counted) -> None:
    long_ago = time.time_ns() - 60 * 10**9
    sender = StreamSender(Role.INITIATOR, box)
    records = [sender.seal(b"1", now=time.time_ns()), sender.seal(b"2", now=long_ago)]
    with tcp_to_nst() as pair:
        pair.initiator.sendall(b"".join(records))
        assert recv_exactly(pair.acceptor, 2) == b"12"
    with tcp_to_nst() as pair:
        pair.initiator.sendall(StreamSender(Role.INITIATOR, box).seal(b"3", now=long_ago))
        expect_failure(pair, errno.EBADMSG)
    counted.expect(stream={"OK": 2, "TIMESTAMP": 1})


def test_bound_replies(box: KeyBox) -> None:
    """The module binds its reply to the initiator's first record, and checks the same."""
    with tcp_to_nst() as pair:
        sender = StreamSender(Role.INITIATOR, box)
        pair.initiator.sendall(sender.seal(b"question", now=time.time_ns()))
        assert recv_exactly(pair.acceptor, 8) == b"question"
        pair.acceptor.sendall(b"answer")
        record = recv_exactly(pair.initiator, 48 + 6)
        assert Header.unpack(record).flags == Flags.REPLY | Flags.BOUND
        receiver = StreamReceiver(Receiver(box), Role.INITIATOR)
        assert sender.first_token is not None
        receiver.sent_first(sender.first_token)
        (outcome,) = receiver.receive(record, now=time.time_ns(), age=AGE_NS)
        assert (outcome.verdict, outcome.plaintext) == (Verdict.OK, b"answer")


def test_a_server_that_speaks_first_is_not_bound(box: KeyBox) -> None:
    with tcp_to_nst() as pair:
        pair.acceptor.sendall(b"220 hello")
        assert Header.unpack(recv_exactly(pair.initiator, 48 + 9)).flags == Flags.REPLY


@pytest.mark.parametrize(
    ("token", "sends", "verdict"),
    [("true", True, "OK"), ("false", True, "AUTH"), ("true", False, "SEQUENCE")],
)
def test_the_initiator_checks_bound(
    token: str, sends: bool, verdict: str, box: KeyBox, counted: Counted
) -> None:
    with nst_to_tcp() as pair:
        sender = StreamSender(Role.ACCEPTOR, box)
        first = os.urandom(16)
        if sends:
            pair.initiator.sendall(b"question")
            record = recv_exactly(pair.acceptor, 48 + 8)
            if token == "true":
                first = Header.unpack(record).token
        sender.bind(first)
        pair.acceptor.sendall(sender.seal(b"answer", now=time.time_ns()))
        if verdict == "OK":
            assert recv_exactly(pair.initiator, 6) == b"answer"
        else:
            with fails_with(errno.EBADMSG):
                pair.initiator.recv(10)
    counted.expect(stream={verdict: 1})


def test_reset_is_no_verdict(box: KeyBox, counted: Counted) -> None:
    with tcp_to_nst() as pair:
        pair.initiator.sendall(sealed(box, b"x" * 100)[0][:60])
        pair.initiator.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        pair.initiator.close()
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                pair.acceptor.recv(1)
    counted.expect()
