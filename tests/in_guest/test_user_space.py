# SPDX-License-Identifier: GPL-2.0-or-later
"""User-space NST over plain TCP and UDP against AF_NST sockets."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from typing import Any

import pytest

from nst_scapy.cli.connect import command as connect
from nst_scapy.dgram_socket import NSTDgramSocket
from nst_scapy.header import Role
from nst_scapy.kernel import NST_TX_SUITE, SOL_NST
from nst_scapy.keybox import KeyBox
from nst_scapy.stream_socket import NSTStreamSocket, connect_stream
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict
from tests.in_guest.counters import Counted
from tests.in_guest.sockets import (
    INET,
    INET6,
    TIMEOUT_S,
    Over,
    available_suites,
    fails_with,
    listening,
    nst_socket,
    plain_socket,
    recv_exactly,
)

SUITES = available_suites()


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("over", [INET, INET6], ids=["ipv4", "ipv6"])
def test_we_connect(box: KeyBox, suite: SuiteId, over: Over) -> None:
    data = os.urandom(40_000)
    with listening(nst_socket, over) as server:
        server.setsockopt(SOL_NST, NST_TX_SUITE, suite)
        address = server.getsockname()[:2]
        with connect_stream(address, box, timeout=TIMEOUT_S, suite=suite) as ours:
            with server.accept()[0] as theirs:
                theirs.settimeout(TIMEOUT_S)
                sending = threading.Thread(target=ours.sendall, args=(data,))
                sending.start()
                assert recv_exactly(theirs, len(data)) == data
                sending.join()
                theirs.sendall(b"bound reply")
                assert ours.recv(11, socket.MSG_WAITALL) == b"bound reply"
                ours.shutdown(socket.SHUT_WR)
                assert theirs.recv(1) == b""
                theirs.sendall(b"still open")
            assert ours.recv(100, socket.MSG_WAITALL) == b"still open"
            assert ours.verdict is None


@pytest.mark.parametrize("over", [INET, INET6], ids=["ipv4", "ipv6"])
def test_we_accept(box: KeyBox, over: Over) -> None:
    with listening(plain_socket, over) as server, nst_socket(socket.SOCK_STREAM, over) as theirs:
        theirs.connect(server.getsockname())
        tcp = server.accept()[0]
        tcp.settimeout(TIMEOUT_S)
        with NSTStreamSocket(box, sock=tcp, role=Role.ACCEPTOR) as ours:
            theirs.sendall(b"question")
            assert ours.recv(8, socket.MSG_WAITALL) == b"question"
            ours.sendall(b"answer")
            assert recv_exactly(theirs, 6) == b"answer"
            theirs.shutdown(socket.SHUT_WR)
            assert ours.recv(1) == b""
        assert theirs.recv(1) == b""


def test_a_stream_that_fails_is_reset_both_ways(box: KeyBox, counted: Counted) -> None:
    with (
        listening(nst_socket) as server,
        connect_stream(server.getsockname(), KeyBox.generate(1), timeout=TIMEOUT_S) as ours,
    ):
        with server.accept()[0] as theirs:
            theirs.settimeout(TIMEOUT_S)
            ours.sendall(b"under a key of our own")
            with fails_with(errno.EBADMSG):
                theirs.recv(1)
        with pytest.raises(ConnectionResetError):
            ours.recv(1)
    assert sum(counted.so_far().values()) == 1


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("over", [INET, INET6], ids=["ipv4", "ipv6"])
def test_datagrams(box: KeyBox, suite: SuiteId, over: Over) -> None:
    with (
        nst_socket(socket.SOCK_DGRAM, over) as theirs,
        NSTDgramSocket(box, over.family, suite=suite) as ours,
    ):
        ours.settimeout(TIMEOUT_S)
        theirs.bind((over.loopback, 0))
        ours.connect(theirs.getsockname())
        for size in (0, 1400, 60000):
            payload = os.urandom(size)
            ours.send(payload)
            data, source = theirs.recvfrom(70000)
            assert data == payload
            theirs.sendto(payload, source)
            assert ours.recv(70000) == payload


def test_their_datagram_played_back_is_refused(box: KeyBox) -> None:
    with (
        nst_socket(socket.SOCK_DGRAM) as theirs,
        plain_socket(socket.SOCK_DGRAM) as wire,
        NSTDgramSocket(box) as ours,
    ):
        for sock in (wire, ours):
            sock.bind(("127.0.0.1", 0))
        ours.settimeout(TIMEOUT_S)
        theirs.sendto(b"once", wire.getsockname())
        record = wire.recv(1000)
        for _ in range(2):
            wire.sendto(record, ours.getsockname())
        theirs.sendto(b"last", ours.getsockname())
        assert [ours.recv(100) for _ in range(2)] == [b"once", b"last"]
        (counts,) = [c for c in ours.host.verdicts.values() if c]
        assert counts == {Verdict.OK: 2, Verdict.REPLAY: 1}


def test_nst_connect() -> None:
    """The command; NST_KEYBOX in the environment is the box that is loaded."""
    stdin, to_stdin = os.pipe()
    from_stdout, stdout = os.pipe()
    with listening(nst_socket) as server:
        child = os.fork()
        if child == 0:
            status: Any = 99
            try:
                os.close(to_stdin)
                sys.stdin, sys.stdout = os.fdopen(stdin), os.fdopen(stdout, "w")
                connect.main(["127.0.0.1", str(server.getsockname()[1])], standalone_mode=False)
            except SystemExit as end:
                status = end.code
            finally:
                os._exit(status)
        os.close(stdin)
        os.close(stdout)
        with server.accept()[0] as theirs:
            theirs.settimeout(TIMEOUT_S)
            os.write(to_stdin, b"from a pipe")
            os.close(to_stdin)
            assert recv_exactly(theirs, 20) == b"from a pipe"
            theirs.sendall(b"to a pipe")
            theirs.shutdown(socket.SHUT_WR)
            assert os.read(from_stdout, 100) == b"to a pipe"
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        os.close(from_stdout)
