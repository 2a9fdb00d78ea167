# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens to a stream's first bytes when they arrive, before anybody reads.

The first record of a direction is opened (section 8); the LOCAL_IN check drops what is
plainly not NST and resets the connection (section 10).
"""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Callable

import pytest

from nst_scapy.header import Role
from nst_scapy.keybox import KeyBox
from tests.in_guest import counters
from tests.in_guest.counters import Counted
from tests.in_guest.semantics import cmsgs
from tests.in_guest.semantics.wire import Wire
from tests.in_guest.sockets import (
    INET,
    INET6,
    TIMEOUT_S,
    Over,
    disconnect,
    fails_with,
    listening,
    nst_pair,
    nst_socket,
    nst_to_tcp,
    plain_socket,
    readable,
    recv_exactly,
    stream_sender,
    tcp_to_nst,
)

JUNK = b"GET / HTTP/1.1\r\n\r\n"


def wait_for_reset(sock: socket.socket) -> None:
    """Wait until the peer has reset the connection; nothing is read."""
    poller = select.poll()
    poller.register(sock, 0)
    assert poller.poll(TIMEOUT_S * 1000)


def test_an_acceptor_opens_it(box: KeyBox, counted: Counted) -> None:
    sender = stream_sender(box)
    with tcp_to_nst() as pair:
        pair.initiator.sendall(sender.seal(b"first", now=time.time_ns()))
        counted.expect(stream={"OK": 1})
        pair.initiator.sendall(sender.seal(b"second", now=time.time_ns()))
        time.sleep(0.1)
        counted.expect(stream={"OK": 1})
        assert recv_exactly(pair.acceptor, 11) == b"firstsecond"
    counted.expect(stream={"OK": 2})


def test_an_initiator_opens_it(box: KeyBox, counted: Counted) -> None:
    sender = stream_sender(box, Role.ACCEPTOR)
    with nst_to_tcp() as pair:
        pair.acceptor.sendall(sender.seal(b"first", now=time.time_ns()))
        counted.expect(stream={"OK": 1})


def test_it_may_come_byte_by_byte(box: KeyBox, counted: Counted) -> None:
    with tcp_to_nst() as pair:
        for byte in stream_sender(box).seal(b"first", now=time.time_ns()):
            pair.initiator.sendall(bytes([byte]))
        counted.expect(stream={"OK": 1})
        assert pair.acceptor.recv(10) == b"first"


def test_a_record_came_when_its_last_byte_did(box: KeyBox) -> None:
    # Somebody has to want stamps already: the kernel begins to make them in its own time.
    with Wire(), tcp_to_nst() as pair:
        pair.acceptor.setsockopt(socket.SOL_SOCKET, cmsgs.SO_TIMESTAMPNS, 1)
        record = stream_sender(box).seal(b"x", now=time.time_ns())
        for part in (record[:20], record[20:-1]):
            pair.initiator.sendall(part)
            time.sleep(0.02)
        since_s = time.time()
        pair.initiator.sendall(record[-1:])
        assert readable(pair.acceptor, TIMEOUT_S)
        _, ancillary, _, _ = pair.acceptor.recvmsg(1, cmsgs.ROOM)
        assert [in_time for _, in_time in cmsgs.told_between(ancillary, since_s)] == [True]


def test_data_from_before_accept_is_opened_there(box: KeyBox, counted: Counted) -> None:
    with listening(nst_socket) as server, plain_socket(socket.SOCK_STREAM) as client:
        client.connect(server.getsockname())
        client.sendall(stream_sender(box).seal(b"first", now=time.time_ns()))
        time.sleep(0.05)
        counted.expect()
        with server.accept()[0] as accepted:
            counted.expect(stream={"OK": 1})
            assert accepted.recv(10) == b"first"


def test_it_may_wait_longer_than_the_window(
    box: KeyBox, counted: Counted, sysctl: Callable[[str, int], None]
) -> None:
    with tcp_to_nst() as pair:
        pair.initiator.sendall(stream_sender(box).seal(b"first", now=time.time_ns()))
        counted.expect(stream={"OK": 1})
        sysctl("timestamp_window_ms", 1)
        time.sleep(0.05)
        assert pair.acceptor.recv(10) == b"first"


@pytest.mark.parametrize("over", [INET, INET6])
@pytest.mark.parametrize(("junk", "verdict"), [(JUNK, "MAGIC"), (b"\xbe\xef\x13\x37\2", "VERSION")])
def test_junk_on_a_connection(over: Over, junk: bytes, verdict: str, counted: Counted) -> None:
    with listening(nst_socket, over) as server, plain_socket(socket.SOCK_STREAM, over) as client:
        client.connect(server.getsockname())
        with server.accept()[0] as accepted:
            client.sendall(junk)
            wait_for_reset(client)
            counted.expect(stream_local_in={verdict: 1})
            for _ in range(2):
                with fails_with(errno.EBADMSG):
                    accepted.recv(1)
            with fails_with(errno.EPIPE):
                accepted.send(b"x")


@pytest.mark.parametrize("over", [INET, INET6])
def test_junk_before_accept(over: Over, counted: Counted) -> None:
    with listening(nst_socket, over) as server, plain_socket(socket.SOCK_STREAM, over) as client:
        client.connect(server.getsockname())
        client.sendall(JUNK)
        wait_for_reset(client)
        with server.accept()[0] as accepted:
            with fails_with(errno.EPIPE):
                accepted.send(b"x")
            for _ in range(2):
                with fails_with(errno.EBADMSG):
                    accepted.recv(1)
    counted.expect(stream_local_in={"MAGIC": 1})


def test_junk_wakes_those_who_wait(counted: Counted) -> None:
    with tcp_to_nst() as pair:
        poller = select.poll()
        poller.register(pair.acceptor, select.POLLIN)
        assert not poller.poll(0)
        pair.initiator.sendall(JUNK)
        ((_, events),) = poller.poll(TIMEOUT_S * 1000)
        assert events & select.POLLERR
        with fails_with(errno.EBADMSG):
            pair.acceptor.recv(1)
    counted.expect(stream_local_in={"MAGIC": 1})


def test_fewer_than_five_bytes_pass(counted: Counted) -> None:
    with tcp_to_nst() as pair:
        pair.initiator.sendall(JUNK[:4])
        time.sleep(0.05)
        pair.initiator.sendall(JUNK[4:])
        wait_for_reset(pair.initiator)
    counted.expect(stream={"MAGIC": 1})


def test_without_the_check_the_receive_path_counts(
    counted: Counted, sysctl: Callable[[str, int], None]
) -> None:
    sysctl("local_in_check", 0)
    with tcp_to_nst() as pair:
        pair.initiator.sendall(JUNK)
        wait_for_reset(pair.initiator)
    counted.expect(stream={"MAGIC": 1})


def test_other_connections_are_left_alone() -> None:
    before = counters.read()
    with nst_pair(), listening(plain_socket) as server, plain_socket(socket.SOCK_STREAM) as client:
        client.connect(server.getsockname())
        client.sendall(JUNK)
        time.sleep(0.02)
        with server.accept()[0] as accepted:
            assert recv_exactly(accepted, len(JUNK)) == JUNK
            accepted.sendall(JUNK)
            assert recv_exactly(client, len(JUNK)) == JUNK
    assert counters.read()["stream_local_in.MAGIC"] == before["stream_local_in.MAGIC"]


def test_a_socket_refused_once_can_connect_again(counted: Counted) -> None:
    with listening(plain_socket) as server, nst_socket(socket.SOCK_STREAM) as client:
        client.connect(server.getsockname())
        with server.accept()[0] as accepted:
            accepted.sendall(JUNK)
            with fails_with(errno.EBADMSG):
                client.recv(1)
        counted.expect(stream_local_in={"MAGIC": 1})
        disconnect(client)
        with listening(nst_socket) as better:
            client.connect(better.getsockname())
            client.sendall(b"x")
            with better.accept()[0] as accepted:
                assert accepted.recv(1) == b"x"
