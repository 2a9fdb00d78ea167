# SPDX-License-Identifier: GPL-2.0-or-later
"""Rejected records, as the netlink family and the kernel's log report them."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nst_scapy.header import Transport
from nst_scapy.kernel import NSTKernelSocket
from nst_scapy.kernel_control import Control
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender
from nst_scapy.verdict import Verdict
from tests.in_guest.sockets import nst_to_tcp, tcp_to_nst


@pytest.fixture
def dgrams(control: Control) -> Iterator[tuple[NSTKernelSocket, socket.socket]]:
    """An AF_NST datagram socket, and a UDP socket connected to it."""
    with (
        NSTKernelSocket(type=socket.SOCK_DGRAM) as server,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
    ):
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        udp.connect(server.getsockname())
        yield server, udp


def test_rejected_datagrams_are_reported(
    control: Control, dgrams: tuple[NSTKernelSocket, socket.socket], box: KeyBox
) -> None:
    server, udp = dgrams
    with Control() as monitor:
        monitor.watch()
        rejects = monitor.rejects()
        udp.send(b"short")
        found = next(rejects)
        assert (found.verdict, found.transport) == (Verdict.SHORT, Transport.DGRAM)
        assert (found.local_in, found.passed, found.header) == (True, False, b"short")
        assert str(found.src) == "{}:{}".format(*udp.getsockname())
        assert str(found.dst) == "{}:{}".format(*server.getsockname())

        forged = bytearray(DgramSender(box).seal(b"x", now=time.time_ns()))
        forged[-1] ^= 1
        udp.send(forged)
        with pytest.raises(TimeoutError):
            server.recv(1)
        found = next(rejects)
        assert (found.verdict, found.local_in) == (Verdict.AUTH, False)
        assert found.header == bytes(forged[:48])


def test_drop_invalid_off_leaves_it_to_the_receive_path(
    control: Control, dgrams: tuple[NSTKernelSocket, socket.socket]
) -> None:
    server, udp = dgrams
    control.set(drop_invalid=0)
    with Control() as monitor:
        monitor.watch()
        udp.send(b"short")
        with pytest.raises(TimeoutError):
            server.recv(1)
        rejects = monitor.rejects()
        told = [next(rejects), next(rejects)]
    assert [(found.local_in, found.passed) for found in told] == [(True, True), (False, False)]
    verdict = control.stat().verdicts["SHORT"]
    assert (verdict["dgram"], verdict["dgram_local_in"]) == (1, 0)


def test_rejected_streams_are_reported(control: Control) -> None:
    with Control() as monitor:
        monitor.watch()
        rejects = monitor.rejects()
        with tcp_to_nst() as pair:
            pair.initiator.sendall(b"GET / HTTP/1.1\r\n\r\n" * 3)
            with pytest.raises(OSError, match=os.strerror(errno.EBADMSG)):
                pair.acceptor.recv(1)
            found = next(rejects)
            assert (found.verdict, found.transport) == (Verdict.MAGIC, Transport.STREAM)
            assert (found.local_in, found.passed) == (True, False)
            assert found.header.startswith(b"GET /")
            assert str(found.src) == "{}:{}".format(*pair.initiator.getsockname())
        with nst_to_tcp() as pair:
            source = pair.acceptor.getsockname()
            pair.acceptor.close()
            with pytest.raises(OSError, match=os.strerror(errno.ECONNABORTED)):
                pair.initiator.recv(1)
            found = next(rejects)
            assert (found.verdict, found.header) == (Verdict.TRUNCATED, b"")
            assert str(found.src) == "{}:{}".format(*source)


def test_drop_invalid_off_leaves_streams_to_the_receive_path(control: Control) -> None:
    control.set(drop_invalid=0)
    with Control() as monitor, tcp_to_nst() as pair:
        monitor.watch()
        pair.initiator.sendall(b"GET / HTTP/1.1\r\n\r\n" * 3)
        with pytest.raises(OSError, match=os.strerror(errno.EBADMSG)):
            pair.acceptor.recv(1)
        found = next(monitor.rejects())
    assert (found.verdict, found.local_in, found.passed) == (Verdict.MAGIC, False, False)
    verdict = control.stat().verdicts["MAGIC"]
    assert (verdict["stream"], verdict["stream_local_in"]) == (1, 0)


def test_reports_are_bounded(
    control: Control, dgrams: tuple[NSTKernelSocket, socket.socket]
) -> None:
    _, udp = dgrams
    with Control() as monitor:
        monitor.watch()
        began = time.monotonic()
        for _ in range(1000):
            udp.send(b"short")
        took = time.monotonic() - began
        # One in another second tells how many were lost.
        time.sleep(1.1)
        udp.send(b"short")
        reported = lost = 0
        for found in monitor.rejects():
            reported += 1
            lost += found.lost
            if reported + lost >= 1001:
                break
    assert reported + lost == 1001
    assert reported <= 200 * (took + 3)


def test_log_rejects(control: Control, dgrams: tuple[NSTKernelSocket, socket.socket]) -> None:
    _, udp = dgrams
    with Path("/dev/kmsg").open("rb", buffering=0) as log:
        os.set_blocking(log.fileno(), False)
        os.lseek(log.fileno(), 0, os.SEEK_END)
        udp.send(b"short")
        control.set(log_rejects=1)
        udp.send(b"short")
        said = [line.decode() for line in iter(lambda: log.read(8192), None)]
    # The rate limit may have its own word on what came before.
    lines = [line.splitlines()[0] for line in said if "net_ratelimit" not in line]
    assert len(lines) == 1
    assert "nst: datagram from 127.0.0.1:" in lines[0]
    assert lines[0].endswith("rejected in LOCAL_IN: SHORT")
