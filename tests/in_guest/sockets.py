# SPDX-License-Identifier: GPL-2.0-or-later
"""AF_NST sockets, and plain ones to play the other side in Python."""

from __future__ import annotations

import ctypes
import os
import re
import select
import socket
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from nst_scapy.header import Role
from nst_scapy.kernel import AF_NST, NST_TX_KEY, SOL_NST, Info, NSTKernelSocket
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, StreamSender
from nst_scapy.suite import SuiteId

TIMEOUT_S = 20.0
LIBC = ctypes.CDLL(None, use_errno=True)


def available_suites() -> list[SuiteId]:
    """The suites that this kernel provides."""
    return [SuiteId[name] for name in Path("/proc/net/nst_suites").read_text().split()]


class Over(NamedTuple):
    """The IP below: socket()'s protocol argument, the addresses' family, and loopback."""

    protocol: int
    family: socket.AddressFamily
    loopback: str


INET = Over(0, socket.AF_INET, "127.0.0.1")
INET6 = Over(10, socket.AF_INET6, "::1")


def nst_socket(kind: socket.SocketKind, over: Over = INET) -> socket.socket:
    """An AF_NST socket. Python sees AF_INET or AF_INET6, for the sake of the addresses."""
    made = socket.socket(AF_NST, kind, over.protocol)
    wrapped = socket.socket(over.family, kind, fileno=made.detach())
    wrapped.settimeout(TIMEOUT_S)
    return wrapped


def plain_socket(kind: socket.SocketKind, over: Over = INET) -> socket.socket:
    """A TCP or UDP socket."""
    made = socket.socket(over.family, kind)
    made.settimeout(TIMEOUT_S)
    return made


@contextmanager
def listening(
    make: Callable[[socket.SocketKind, Over], socket.socket], over: Over = INET
) -> Iterator[socket.socket]:
    """A listening stream socket on a free port of loopback."""
    with make(socket.SOCK_STREAM, over) as server:
        server.bind((over.loopback, 0))
        server.listen()
        yield server


@dataclass
class Pair:
    """A stream connection, from both ends."""

    initiator: socket.socket
    acceptor: socket.socket

    def close(self) -> None:
        self.initiator.close()
        self.acceptor.close()


@contextmanager
def nst_pair(over: Over = INET) -> Iterator[Pair]:
    """AF_NST at both ends."""
    with listening(nst_socket, over) as server:
        initiator = nst_socket(socket.SOCK_STREAM, over)
        initiator.connect(server.getsockname())
        acceptor = server.accept()[0]
    acceptor.settimeout(TIMEOUT_S)
    pair = Pair(initiator, acceptor)
    try:
        yield pair
    finally:
        pair.close()


@contextmanager
def tcp_to_nst() -> Iterator[Pair]:
    """A TCP initiator, an AF_NST acceptor."""
    with listening(nst_socket) as server, plain_socket(socket.SOCK_STREAM) as initiator:
        initiator.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        initiator.connect(server.getsockname())
        acceptor = server.accept()[0]
        acceptor.settimeout(TIMEOUT_S)
        with acceptor:
            yield Pair(initiator, acceptor)


@contextmanager
def nst_to_tcp() -> Iterator[Pair]:
    """An AF_NST initiator, a TCP acceptor."""
    with listening(plain_socket) as server, nst_socket(socket.SOCK_STREAM) as initiator:
        initiator.connect(server.getsockname())
        acceptor = server.accept()[0]
        acceptor.settimeout(TIMEOUT_S)
        with acceptor:
            yield Pair(initiator, acceptor)


def disconnect(sock: socket.socket) -> None:
    """Connect to AF_UNSPEC, which socket.connect() cannot say.

    Raises:
        OSError: the kernel refused it.
    """
    if LIBC.connect(sock.fileno(), b"\0" * 16, 16):
        raise OSError(ctypes.get_errno(), "connect")


def recv_exactly(sock: socket.socket, length: int) -> bytes:
    """Read *length* bytes, or all up to the end of file."""
    data = bytearray()
    while len(data) < length and (piece := sock.recv(length - len(data))):
        data += piece
    return bytes(data)


def recv_all(sock: socket.socket) -> bytes:
    """Read up to the end of file."""
    data = bytearray()
    while piece := sock.recv(65536):
        data += piece
    return bytes(data)


def readable(sock: socket.socket, timeout_s: float = 0.0) -> bool:
    """Whether poll(2) tells POLLIN within the time."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return any(events & select.POLLIN for _, events in poller.poll(timeout_s * 1000))


def pin_key(sock: socket.socket, kid: int, kpos: int, kval: int, pin: int) -> None:
    """Set NST_TX_KEY."""
    sock.setsockopt(SOL_NST, NST_TX_KEY, struct.pack("=HBBI", kid, kpos, kval, pin))


def set_kids(sock: socket.socket, option: int, kids: Iterable[int]) -> None:
    """Set NST_TX_KIDS or NST_RX_KIDS."""
    sock.setsockopt(SOL_NST, option, array("H", kids).tobytes())


def get_kids(sock: socket.socket, option: int) -> list[int]:
    """Get NST_TX_KIDS or NST_RX_KIDS."""
    # As much as Python lets one ask for, and as much as tests need.
    return array("H", sock.getsockopt(SOL_NST, option, 1024)).tolist()


def info(sock: socket.socket) -> Info:
    """Get NST_INFO."""
    with NSTKernelSocket(fileno=os.dup(sock.fileno())) as same:
        return same.info()


def stream_sender(box: KeyBox, role: Role = Role.INITIATOR) -> StreamSender:
    """Seals a stream's records in Python."""
    return StreamSender(role, box)


def dgram_sender(box: KeyBox) -> DgramSender:
    """Seals datagrams in Python."""
    return DgramSender(box)


@contextmanager
def fails_with(number: int) -> Iterator[None]:
    """What is inside fails with that errno."""
    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as caught:
        yield
    assert caught.value.errno == number


def load_keybox(text: bytes) -> None:
    """Make *text* the namespace's key box: one write(2).

    Raises:
        OSError: the kernel refused it.
    """
    with Path("/proc/net/nst_keybox").open("wb", buffering=0) as file:
        file.write(text)
