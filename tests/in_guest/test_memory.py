# SPDX-License-Identifier: GPL-2.0-or-later
"""What a socket keeps is charged to it, and no peer can make it keep much."""

from __future__ import annotations

import itertools
import os
import re
import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from nst_scapy.header import Role
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, StreamSender
from tests.in_guest import counters
from tests.in_guest.semantics.world import wait_until
from tests.in_guest.sockets import (
    Pair,
    nst_pair,
    nst_socket,
    plain_socket,
    readable,
    recv_exactly,
    tcp_to_nst,
)

SO_MEMINFO = 55
PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20
UNTOLD = 2 * (os.cpu_count() or 1) * MIB
"""By how much a difference of two readings of TCP's account may be wrong, bytes: in each, every CPU
may keep SK_MEMORY_PCPU_RESERVE to itself, of what was taken or of what was given back."""


def receive_memory(sock: socket.socket) -> int:
    """SK_MEMINFO_RMEM_ALLOC: bytes charged to the receive buffer."""
    (used,) = struct.unpack_from("I", sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 64))
    return int(used)


def tcp_memory() -> int:
    """Bytes charged to all TCP sockets, in whole pages."""
    found = re.search(r"^TCP:.* mem (\d+)", Path("/proc/net/sockstat").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * PAGE


def kernel_memory() -> int:
    """Bytes that the kernel has for itself in small and in large pieces."""
    fields = dict(
        re.findall(r"^(\w+): +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    )
    return 1024 * sum(int(fields[name]) for name in ("Slab", "VmallocUsed", "Percpu"))


def test_an_opened_datagram_is_charged() -> None:
    with nst_socket(socket.SOCK_DGRAM) as server, nst_socket(socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        client.sendto(bytes(30_000), server.getsockname())
        assert wait_until(lambda: receive_memory(server))
        sealed = receive_memory(server)
        assert readable(server)
        assert receive_memory(server) >= sealed + 30_000
        server.recv(40_000)
        assert not receive_memory(server)


def test_opened_records_are_charged() -> None:
    before = tcp_memory()
    with ExitStack() as stack:
        pairs = [stack.enter_context(nst_pair()) for _ in range(200)]
        for pair in pairs:
            pair.initiator.sendall(bytes(60_000))
            pair.acceptor.recv(60_000, socket.MSG_PEEK | socket.MSG_WAITALL)
        assert tcp_memory() - before >= 200 * 60_000 - UNTOLD
        for pair in pairs:
            recv_exactly(pair.acceptor, 60_000)
        assert wait_until(lambda: tcp_memory() - before <= UNTOLD)


def test_a_peeking_reader_keeps_what_its_buffer_may_hold() -> None:
    before = tcp_memory()
    with nst_pair() as pair:
        pair.acceptor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000)
        limit = pair.acceptor.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        pair.initiator.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 50_000)
        pair.initiator.setblocking(False)
        sent = 0
        for _ in range(600):  # as much as would show above what CPUs may keep
            try:
                sent += pair.initiator.send(bytes(16_384))
            except BlockingIOError:
                time.sleep(0.001)
            peeked = pair.acceptor.recv(10 * MIB, socket.MSG_PEEK)
        assert len(peeked) <= limit + 16_384
        # Both ends' buffers, twice over for what the kernel rounds up.
        assert tcp_memory() - before <= 8 * limit + UNTOLD
        assert recv_exactly(pair.acceptor, sent) == bytes(sent)


def drip(pair: Pair, record: bytes) -> None:
    """Send a header whole and then a few bytes, one at a time."""
    pair.initiator.sendall(record[:48])
    for byte in record[48:60]:
        pair.initiator.sendall(bytes([byte]))


def test_slow_drips_cost_a_record_each(box: KeyBox) -> None:
    before = tcp_memory()
    with ExitStack() as stack:
        for _ in range(40):
            pair = stack.enter_context(tcp_to_nst())
            sender = StreamSender(Role.INITIATOR, box)
            drip(pair, sender.seal(bytes(16_384), now=time.time_ns()))
            assert not readable(pair.acceptor)
        assert tcp_memory() - before <= 40 * (16_384 + 16 * 1024)


@pytest.mark.usefixtures("fresh_namespace")
def test_junk_costs_nothing(box: KeyBox) -> None:
    """Not what fails the first checks, nor what looks well and fails AUTH."""
    sender = DgramSender(box)
    forged = bytearray(sender.seal(bytes(100), now=time.time_ns()))
    forged[-1] ^= 1
    with nst_socket(socket.SOCK_DGRAM) as server, plain_socket(socket.SOCK_DGRAM) as udp:
        server.bind(("127.0.0.1", 0))
        udp.connect(server.getsockname())
        before = kernel_memory()
        for number in range(4000):
            forged[18:22] = struct.pack(">I", number)  # another session each time
            udp.send(forged if number % 2 else os.urandom(60))
            if number % 50 == 0:
                assert not readable(server)
        assert not readable(server)
        assert kernel_memory() - before < 4 * MIB
        assert counters.read()["dgram_sessions"] == 0
        assert not receive_memory(server)


@pytest.mark.usefixtures("fresh_namespace")
def test_many_sessions_cost_a_table(box: KeyBox, sysctl: Callable[[str, int], None]) -> None:
    sysctl("dgram_sessions_max", 64)
    with nst_socket(socket.SOCK_DGRAM) as server, plain_socket(socket.SOCK_DGRAM) as udp:
        server.bind(("127.0.0.1", 0))
        udp.connect(server.getsockname())
        for number in itertools.count():
            if number == 100:
                before = kernel_memory()
            if number == 1500:
                break
            udp.send(DgramSender(box).seal(b"x", now=time.time_ns()))
            assert server.recv(10) == b"x"
        assert counters.read()["dgram_sessions"] <= 64
        assert kernel_memory() - before < 4 * MIB
