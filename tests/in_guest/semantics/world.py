# SPDX-License-Identifier: GPL-2.0-or-later
"""One kind of socket, AF_INET's or AF_NST's, for properties to be asked of."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.in_guest.sockets import (
    TIMEOUT_S,
    Over,
    Pair,
    listening,
    nst_socket,
    plain_socket,
    readable,
)

MARK = b"CLEARTXT"
"""What all that properties send is made of: found on the wire, it was not sealed."""

UDP_HEADERS = {socket.AF_INET: 20 + 8, socket.AF_INET6: 8}
NST_HEADER_LEN = 48


def text(length: int) -> bytes:
    """Something to send."""
    return (MARK * (length // len(MARK) + 1))[:length]


class World(NamedTuple):
    """A family and the IP below."""

    nst: bool
    over: Over

    def __str__(self) -> str:
        return f"{'nst' if self.nst else 'inet'}-{self.over.loopback}"

    def socket(self, kind: socket.SocketKind) -> socket.socket:
        """A new socket.

        Without a timeout of Python's, which would wait where MSG_DONTWAIT must not.
        """
        made = (nst_socket if self.nst else plain_socket)(kind, self.over)
        made.settimeout(None)
        return made

    @contextmanager
    def listening(self) -> Iterator[socket.socket]:
        """A listening socket on a free port of loopback."""
        with listening(nst_socket if self.nst else plain_socket, self.over) as server:
            server.settimeout(None)
            yield server

    @contextmanager
    def pair(self) -> Iterator[Pair]:
        """Two ends of a connection."""
        with self.listening() as server:
            initiator = self.socket(socket.SOCK_STREAM)
            initiator.connect(server.getsockname())
            acceptor = server.accept()[0]
        with initiator, acceptor:
            yield Pair(initiator, acceptor)

    @contextmanager
    def bound(self) -> Iterator[socket.socket]:
        """A datagram socket on a free port of loopback."""
        with self.socket(socket.SOCK_DGRAM) as sock:
            sock.bind((self.over.loopback, 0))
            yield sock

    @contextmanager
    def connected(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        """A datagram socket that is connected to a bound one: (from, to)."""
        with self.bound() as server, self.socket(socket.SOCK_DGRAM) as client:
            client.connect(server.getsockname())
            yield client, server

    @property
    def max_datagram(self) -> int:
        """The longest payload of a datagram, bytes (section 7)."""
        sealed = NST_HEADER_LEN if self.nst else 0
        return 65535 - UDP_HEADERS[self.over.family] - sealed

    @property
    def ip_level(self) -> int:
        """SOL_IP or SOL_IPV6."""
        return socket.IPPROTO_IP if self.over.family == socket.AF_INET else socket.IPPROTO_IPV6


def attempt(call: Callable[..., Any], *arguments: Any) -> Any:
    """What the call returns, or the name of the errno that it fails with."""
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def ioctl_int(sock: socket.socket, request: int) -> int:
    """An ioctl that fills in an int."""
    value = bytearray(4)
    fcntl.ioctl(sock, request, value)
    (number,) = struct.unpack("i", value)
    return int(number)


def wait_until(condition: Callable[[], object]) -> bool:
    """Whether the condition came true in time."""
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def wait_for_bytes(sock: socket.socket, count: int) -> None:
    """Wait until that many bytes can be read."""
    fionread = 0x541B
    assert wait_until(lambda: ioctl_int(sock, fionread) >= count)


def eof_or_data(sock: socket.socket) -> bytes:
    """What a recv gets once there is something to get."""
    assert readable(sock, TIMEOUT_S)
    return sock.recv(1 << 20)


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Run the action in another thread, a moment after the block began; wait for its end."""

    def later() -> None:
        time.sleep(0.02)
        action()

    thread = threading.Thread(target=later)
    thread.start()
    try:
        yield
    finally:
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()
