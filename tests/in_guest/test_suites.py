# SPDX-License-Identifier: GPL-2.0-or-later
"""The suites that a kernel has, and those it lacks: on stock kernels those of SM4."""

from __future__ import annotations

import errno
import socket
import time

import pytest

from nst_scapy.header import Role
from nst_scapy.kernel import NST_TX_SUITE, SOL_NST
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, StreamSender
from nst_scapy.suite import SuiteId
from tests.in_guest.counters import Counted
from tests.in_guest.sockets import (
    INET,
    available_suites,
    fails_with,
    nst_pair,
    nst_socket,
    plain_socket,
    readable,
    recv_exactly,
    tcp_to_nst,
)

AVAILABLE = available_suites()
MISSING = [suite for suite in SuiteId if suite not in AVAILABLE]


def test_the_list_is_what_the_guest_was_made_with(pytestconfig: pytest.Config) -> None:
    left_out = pytestconfig.getoption("--without-suites")
    assert [suite.name for suite in MISSING] == (left_out.split(",") if left_out else [])


@pytest.mark.parametrize("suite", AVAILABLE)
def test_what_is_there_carries_data(suite: SuiteId) -> None:
    with nst_pair() as pair:
        for sock in (pair.initiator, pair.acceptor):
            sock.setsockopt(SOL_NST, NST_TX_SUITE, suite)
            assert sock.getsockopt(SOL_NST, NST_TX_SUITE) == suite
        pair.initiator.sendall(b"question")
        assert recv_exactly(pair.acceptor, 8) == b"question"
        pair.acceptor.sendall(b"answer")
        assert recv_exactly(pair.initiator, 6) == b"answer"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("suite", MISSING)
def test_what_is_not_cannot_be_chosen(suite: SuiteId, kind: socket.SocketKind) -> None:
    with nst_socket(kind) as sock:
        before = sock.getsockopt(SOL_NST, NST_TX_SUITE)
        with fails_with(errno.EOPNOTSUPP):
            sock.setsockopt(SOL_NST, NST_TX_SUITE, suite)
        assert sock.getsockopt(SOL_NST, NST_TX_SUITE) == before


@pytest.mark.parametrize("suite", MISSING)
def test_a_datagram_in_it_is_cipher(suite: SuiteId, box: KeyBox, counted: Counted) -> None:
    """A sender that has the suite means no harm; the verdict is CIPHER all the same."""
    sealed = DgramSender(box, suite).seal(b"not for this kernel", now=time.time_ns())
    with nst_socket(socket.SOCK_DGRAM) as sock, plain_socket(socket.SOCK_DGRAM) as peer:
        sock.bind((INET.loopback, 0))
        peer.sendto(sealed, sock.getsockname())
        assert not readable(sock, 0.2)
    counted.expect(dgram_local_in={"CIPHER": 1})


@pytest.mark.parametrize("suite", MISSING)
def test_a_stream_in_it_is_cipher(suite: SuiteId, box: KeyBox, counted: Counted) -> None:
    sealed = StreamSender(Role.INITIATOR, box, suite).seal(b"too", now=time.time_ns())
    with tcp_to_nst() as pair:
        pair.initiator.sendall(sealed)
        with fails_with(errno.EBADMSG):
            pair.acceptor.recv(1)
    counted.expect(stream={"CIPHER": 1})
