# SPDX-License-Identifier: GPL-2.0-or-later
"""What a socket seals with and what it accepts: its sets of kids and of suites."""

from __future__ import annotations

import errno
import socket
import struct
import time

import pytest

from nst_scapy.epoch import seal_under
from nst_scapy.header import Header, Role
from nst_scapy.kernel import (
    NST_PIN_KID,
    NST_RX_KIDS,
    NST_RX_SUITES,
    NST_TX_KIDS,
    SOL_NST,
    NSTKernelSocket,
)
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, Pins, StreamSender
from nst_scapy.suite import SuiteId
from tests.in_guest.counters import Counted
from tests.in_guest.sockets import (
    available_suites,
    fails_with,
    get_kids,
    info,
    listening,
    load_keybox,
    nst_pair,
    nst_socket,
    pin_key,
    plain_socket,
    readable,
    recv_exactly,
    set_kids,
    tcp_to_nst,
)

KEY = b"5a" * 32
ALL_SUITES = sum(1 << suite for suite in available_suites())


def seal_wrongly(box: KeyBox) -> bytes:
    """A datagram that only its token gives away."""
    record = bytearray(DgramSender(box).seal(b"x", now=time.time_ns()))
    record[-1] ^= 1
    return bytes(record)


def test_a_set_is_read_back_sorted_and_without_repetitions() -> None:
    with nst_socket(socket.SOCK_STREAM) as sock:
        for option in (NST_TX_KIDS, NST_RX_KIDS):
            assert get_kids(sock, option) == []
            set_kids(sock, option, [65535, 3, 3, 0])
            assert get_kids(sock, option) == [0, 3, 65535]
            assert sock.getsockopt(SOL_NST, option, 2) == b"\0\0"
        set_kids(sock, NST_TX_KIDS, [])
        assert get_kids(sock, NST_TX_KIDS) == []
        assert get_kids(sock, NST_RX_KIDS) == [0, 3, 65535], "one changed the other"


def test_bad_sets_change_nothing() -> None:
    with nst_socket(socket.SOCK_DGRAM) as sock:
        set_kids(sock, NST_RX_KIDS, [4])
        for value in (b"\0", b"\0" * 3, bytes(2 * 65537)):
            with fails_with(errno.EINVAL):
                sock.setsockopt(SOL_NST, NST_RX_KIDS, value)
        assert get_kids(sock, NST_RX_KIDS) == [4]
        set_kids(sock, NST_RX_KIDS, range(65536))


@pytest.mark.parametrize("suites", [1, 1 << 5, 1 << 31])
def test_bad_suites(suites: int) -> None:
    with nst_socket(socket.SOCK_DGRAM) as sock, fails_with(errno.EINVAL):
        sock.setsockopt(SOL_NST, NST_RX_SUITES, struct.pack("=I", suites))


def test_suites_that_the_kernel_lacks() -> None:
    missing = [suite for suite in SuiteId if suite not in available_suites()]
    if not missing:
        pytest.skip("this kernel has them all")
    with nst_socket(socket.SOCK_DGRAM) as sock:
        assert sock.getsockopt(SOL_NST, NST_RX_SUITES) == ALL_SUITES
        for suite in missing:
            with fails_with(errno.EOPNOTSUPP):
                sock.setsockopt(SOL_NST, NST_RX_SUITES, 1 << suite)


def test_the_sets_in_python() -> None:
    with NSTKernelSocket(type=socket.SOCK_DGRAM) as sock:
        assert (sock.tx_kids, sock.rx_kids) == (frozenset(), frozenset())
        assert sock.rx_suites == set(available_suites())
        sock.tx_kids = {7, 3}
        # More than socket.getsockopt() has room for.
        sock.rx_kids = range(2000, 65536)
        sock.rx_suites = {SuiteId.AES_CBC}
        assert (sock.tx_kids, sock.rx_kids) == ({3, 7}, set(range(2000, 65536)))
        assert sock.rx_suites == {SuiteId.AES_CBC}
        for wrong in (-1, 65536):
            with pytest.raises(OverflowError):
                sock.rx_kids = [wrong]
        sock.rx_kids = ()
        assert (sock.tx_kids, sock.rx_kids) == ({3, 7}, frozenset())
    with fails_with(errno.EBADF):
        sock.tx_kids  # noqa: B018


def test_what_a_socket_counts(box: KeyBox) -> None:
    mine, other = sorted(box)[:2]
    with nst_pair() as pair:
        pin_key(pair.initiator, mine, 0, 0, NST_PIN_KID)
        for length in (1, 40_000):
            pair.initiator.sendall(bytes(length))
        recv_exactly(pair.acceptor, 40_001)
        sent, received = info(pair.initiator), info(pair.acceptor)
        assert (sent.tx_records, sent.rx_records) == (4, 0)
        assert (received.rx_records, received.rx_rejected, received.tx_records) == (4, 0, 0)
        assert (received.rx_kid, received.rx_counter) == (mine, 4)
        set_kids(pair.acceptor, NST_RX_KIDS, [other])
        pair.initiator.sendall(b"x")
        with fails_with(errno.EBADMSG):
            pair.acceptor.recv(1)
        assert info(pair.acceptor)[-2:] == (4, 1)
    with nst_socket(socket.SOCK_DGRAM) as server, nst_socket(socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())
        with plain_socket(socket.SOCK_DGRAM) as udp:
            udp.sendto(seal_wrongly(box), server.getsockname())
        client.send(b"x")
        assert server.recv(1) == b"x"
        assert info(client).tx_records == 1
        assert info(server)[-5:] == (0, 0, 0, 1, 1)


@pytest.mark.usefixtures("restore_keybox")
def test_epochs_draw_from_the_set_and_the_box() -> None:
    load_keybox(b"".join(b"%d %s\n" % (kid, KEY) for kid in (1, 2, 5, 9)))
    with nst_socket(socket.SOCK_DGRAM) as sock:
        drawn = set()
        for _ in range(40):
            set_kids(sock, NST_TX_KIDS, [0, 2, 3, 5, 10])
            sock.sendto(b"", ("127.0.0.1", 9))
            drawn.add(info(sock).tx_kid)
        assert drawn == {2, 5}
        pin_key(sock, 9, 0, 0, NST_PIN_KID)
        sock.sendto(b"", ("127.0.0.1", 9))
        assert info(sock).tx_kid == 9, "a pin comes before the set"
        pin_key(sock, 0, 0, 0, 0)
        set_kids(sock, NST_TX_KIDS, [0, 3])
        with fails_with(errno.ENOKEY):
            sock.sendto(b"", ("127.0.0.1", 9))


def test_datagrams_with_other_kids(box: KeyBox, counted: Counted) -> None:
    mine, other = sorted(box)[:2]
    senders = [DgramSender(box, pins=Pins(kids=[kid])) for kid in (mine, other)]
    with nst_socket(socket.SOCK_DGRAM) as server, plain_socket(socket.SOCK_DGRAM) as udp:
        server.bind(("127.0.0.1", 0))
        set_kids(server, NST_RX_KIDS, [mine])
        for sender in reversed(senders):
            udp.sendto(sender.seal(b"x", now=time.time_ns()), server.getsockname())
        assert server.recv(10) == b"x"
        assert not readable(server)
        set_kids(server, NST_RX_KIDS, [])
        udp.sendto(senders[1].seal(b"y", now=time.time_ns()), server.getsockname())
        assert server.recv(10) == b"y"
    counted.expect(dgram={"OK": 2}, dgram_local_in={"KID": 1})


def test_datagrams_in_other_suites(box: KeyBox, counted: Counted) -> None:
    with nst_socket(socket.SOCK_DGRAM) as server, plain_socket(socket.SOCK_DGRAM) as udp:
        server.bind(("127.0.0.1", 0))
        server.setsockopt(SOL_NST, NST_RX_SUITES, 1 << SuiteId.AES_CBC)
        for suite in (SuiteId.AES_GCM, SuiteId.AES_CBC):
            sender = DgramSender(box, suite)
            udp.sendto(sender.seal(suite.name.encode(), now=time.time_ns()), server.getsockname())
        assert server.recv(10) == b"AES_CBC"
        server.setsockopt(SOL_NST, NST_RX_SUITES, 0)
        udp.sendto(sender.seal(b"none", now=time.time_ns()), server.getsockname())
        assert not readable(server, 0.05)
    counted.expect(dgram={"OK": 1}, dgram_local_in={"CIPHER": 2})


def test_a_connection_starts_with_its_listeners_sets(box: KeyBox, counted: Counted) -> None:
    mine, other = sorted(box)[:2]
    with listening(nst_socket) as server:
        set_kids(server, NST_RX_KIDS, [mine])
        set_kids(server, NST_TX_KIDS, [other])
        server.setsockopt(SOL_NST, NST_RX_SUITES, 1 << SuiteId.AES_GCM)
        with nst_socket(socket.SOCK_STREAM) as client:
            set_kids(client, NST_TX_KIDS, [mine])
            client.connect(server.getsockname())
            accepted = server.accept()[0]
            set_kids(server, NST_RX_KIDS, [])
            with accepted:
                assert get_kids(accepted, NST_RX_KIDS) == [mine]
                assert accepted.getsockopt(SOL_NST, NST_RX_SUITES) == 1 << SuiteId.AES_GCM
                client.sendall(b"x")
                assert accepted.recv(1) == b"x"
                accepted.sendall(b"y")
                assert client.recv(1) == b"y"
                assert info(accepted).tx_kid == other
                # It applies to every record, also within an epoch.
                set_kids(accepted, NST_RX_KIDS, [other])
                client.sendall(b"z")
                with fails_with(errno.EBADMSG):
                    accepted.recv(1)
    counted.expect(stream={"OK": 2, "KID": 1})


def test_streams_in_other_suites(counted: Counted) -> None:
    with nst_pair() as pair:
        pair.acceptor.setsockopt(SOL_NST, NST_RX_SUITES, 1 << SuiteId.AES_CBC)
        pair.initiator.sendall(b"x")
        with fails_with(errno.EBADMSG):
            pair.acceptor.recv(1)
    counted.expect(stream={"CIPHER": 1})


@pytest.mark.usefixtures("restore_keybox")
def test_what_is_not_of_the_epoch_is_judged_by_the_new_box(box: KeyBox, counted: Counted) -> None:
    """An epoch ends with its session_id or any of its key parameters (section 6)."""
    mine, other = sorted(box)[:2]
    with tcp_to_nst() as pair:
        sender = StreamSender(Role.INITIATOR, box, pins=Pins(kids=[mine]))
        for _ in range(2):
            pair.initiator.sendall(sender.seal(b"x", now=time.time_ns()))
            assert recv_exactly(pair.acceptor, 1) == b"x"
            load_keybox(b"7 " + KEY)
        assert sender.epoch is not None
        header = Header.unpack(sender.seal(b"x", now=time.time_ns()))._replace(kid=other)
        pair.initiator.sendall(seal_under(sender.epoch, header.pack(), b"x"))
        with fails_with(errno.EBADMSG):
            pair.acceptor.recv(1)
    counted.expect(stream={"OK": 2, "KID": 1})
