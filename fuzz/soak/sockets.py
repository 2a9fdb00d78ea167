# SPDX-License-Identifier: GPL-2.0-or-later
"""AF_NST sockets for the load, and plain ones that talk to them."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from nst_scapy.suite import SuiteId

AF_NST = 18
SOL_NST = 1337
NST_TX_SUITE = 1
NST_INFO = 3
KEYBOX = Path("/proc/net/nst_keybox")
TIMEOUT_SECONDS = 60.0
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_PROTOCOLS = {socket.AF_INET: 0, socket.AF_INET6: socket.AF_INET6.value}


def nst_socket(family: socket.AddressFamily, kind: socket.SocketKind, suite: int) -> socket.socket:
    """Return an AF_NST socket over IPv4 or IPv6 that seals with a suite."""
    made = socket.socket(AF_NST, kind, _PROTOCOLS[family])
    # The addresses are those of the family below, so Python's socket is made of that.
    wrapped = socket.socket(family, kind, fileno=made.detach())
    wrapped.setsockopt(SOL_NST, NST_TX_SUITE, suite)
    wrapped.settimeout(TIMEOUT_SECONDS)
    return wrapped


def listener(family: socket.AddressFamily, suite: int) -> socket.socket:
    """Return a listening AF_NST socket on a free port of loopback."""
    server = nst_socket(family, socket.SOCK_STREAM, suite)
    server.bind((LOOPBACK[family], 0))
    server.listen(64)
    return server


def stream_pair(
    family: socket.AddressFamily, suite: int, other: int
) -> tuple[socket.socket, socket.socket]:
    """Return a connection, the initiator's end and the acceptor's, and a suite for each."""
    with listener(family, other) as server:
        initiator = nst_socket(family, socket.SOCK_STREAM, suite)
        initiator.connect(server.getsockname())
        acceptor = server.accept()[0]
    acceptor.settimeout(TIMEOUT_SECONDS)
    return initiator, acceptor


def reset_on_close(sock: socket.socket) -> None:
    """Have close send RST, whatever is queued."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def suites() -> list[int]:
    """Return the numbers of the suites that this kernel has."""
    return [SuiteId[name] for name in Path("/proc/net/nst_suites").read_text().split()]
