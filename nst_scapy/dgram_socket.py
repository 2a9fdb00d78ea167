# SPDX-License-Identifier: GPL-2.0-or-later
"""NST datagrams over ordinary UDP, in user space: :class:`NSTDgramSocket`."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import time
from ipaddress import ip_address
from typing import Any

from .carried_socket import CarriedSocket
from .header import HEADER_LEN, Transport
from .host import Host, host_of, readable
from .keybox import KeyBox
from .receiver import DgramReceiver
from .sender import DgramSender, Pins
from .suite import SUITES, SuiteId
from .verdict import Verdict

_MAX_UDP = {socket.AF_INET: 65535 - 20 - 8, socket.AF_INET6: 65535 - 8}
"""Bytes of UDP payload."""
_IPV4_MULTICAST_OR_MORE = 224
_IP_PKTINFO = 8  # Linux; the socket module has it from Python 3.14 on
_FLAGS = socket.MSG_PEEK | socket.MSG_DONTWAIT
_ANCILLARY = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(20)
"""Room for struct in_pktinfo and in6_pktinfo: IPv4 at an IPv6 socket has both."""


class NSTDgramSocket(CarriedSocket):
    """A datagram socket: use it as you would use a UDP socket."""

    def __init__(
        self,
        keys: KeyBox | Host,
        family: socket.AddressFamily = socket.AF_INET,
        *,
        suite: SuiteId = SuiteId.AES_GCM,
        pins: Pins | None = None,
    ) -> None:
        """Make a socket; arguments as of :class:`~nst_scapy.stream_socket.NSTStreamSocket`.

        Raises:
            OSError: as :func:`socket.socket`.
        """
        super().__init__(socket.socket(family, socket.SOCK_DGRAM), host_of(keys))
        if family == socket.AF_INET6:
            self._carrier.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            self._carrier.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        self._carrier.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._sender = DgramSender(self.host.keybox, suite, pins)
        self._receiver = DgramReceiver(self.host.receiver)
        self._send_lock = threading.Lock()
        self._peeked: tuple[bytes, Any] | None = None

    def __repr__(self) -> str:
        return f"<NSTDgramSocket {self._sender.suite.name} fd={self.fileno()}>"

    def connect(self, address: Any) -> None:
        """As :meth:`socket.socket.connect`.

        Raises:
            OSError: EOPNOTSUPP for a multicast or broadcast address.
        """
        _refuse_multicast(address)
        self._carrier.connect(address)

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:
        """Send one datagram to the connected peer; raises as :meth:`sendto`."""
        self._carrier.send(self._seal(data), flags)
        return len(data)

    def sendto(self, data: bytes | bytearray | memoryview, address: Any) -> int:
        """Send one datagram.

        Raises:
            OSError: EMSGSIZE for more than one record holds (65459 bytes over IPv4 and
                65479 over IPv6 with GCM, 65455 and 65471 with CBC); EOPNOTSUPP for a
                multicast or broadcast address; else as :meth:`socket.socket.sendto`.
        """
        _refuse_multicast(address)
        self._carrier.sendto(self._seal(data), address)
        return len(data)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """The next authentic datagram, cut off after *size* bytes.

        Raises:
            OSError: as :meth:`socket.socket.recv`.
        """
        return self.recvfrom(size, flags)[0]

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        """The next authentic datagram and where it says that it comes from.

        Whatever fails is counted and dropped (see ``host.verdicts``), and waiting goes on.

        Args:
            size: bytes; the rest of the datagram is lost.
            flags: of ``MSG_PEEK`` and ``MSG_DONTWAIT``.

        Raises:
            OSError: as :meth:`socket.socket.recvfrom`.
        """
        if flags & ~_FLAGS:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        found, self._peeked = self._peeked, None
        # Dropped datagrams must not make the wait longer than the socket's timeout.
        timeout = self.gettimeout()
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while found is None:
                found = self._receive(flags & socket.MSG_DONTWAIT)
                if found is None and deadline is not None and timeout:
                    self._carrier.settimeout(max(1e-6, deadline - time.monotonic()))
        finally:
            if timeout and self.fileno() >= 0:
                self._carrier.settimeout(timeout)
        if flags & socket.MSG_PEEK:
            self._peeked = found
        return found[0][:size], found[1]

    def pending(self) -> int:
        """How many datagrams :meth:`recv` gives at once, whatever ``select`` says: 0 or 1."""
        return int(self._peeked is not None)

    def ready(self) -> bool:
        """Whether :meth:`recv` would not wait: takes in what UDP has."""
        try:
            self.recvfrom(0, _FLAGS)
        except BlockingIOError:
            return False
        return True

    def _seal(self, data: bytes | bytearray | memoryview) -> bytes:
        payload = bytes(data)
        sender = self._sender
        size = HEADER_LEN + SUITES[sender.suite].body_len(len(payload))
        if size > _MAX_UDP[self._carrier.family]:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        with self._send_lock:
            self._refresh(sender)
            now = time.time_ns()
            record = sender.seal(payload, now=now)
            epoch = sender.epoch
        assert epoch is not None
        with self.host.lock:
            self._receiver.sent(epoch.session_id, now)
        return record

    def _receive(self, flags: int) -> tuple[bytes, Any] | None:
        """Judge one datagram; ``None`` if it is dropped."""
        # Python waits for a socket with a timeout whatever the flags say.
        if flags & socket.MSG_DONTWAIT and not readable(self._carrier):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        data, ancillary, _, address = self._carrier.recvmsg(65535, _ANCILLARY, flags)
        host = self.host
        with host.lock:
            if _came_to_many(ancillary):
                host.multicast += 1
                return None
            outcome = self._receiver.receive(data, now=time.time_ns(), age=host.age())
            assert outcome.verdict is not None
            host.verdicts[Transport.DGRAM][outcome.verdict] += 1
        if outcome.verdict is not Verdict.OK:
            return None
        return outcome.plaintext or b"", address


def _refuse_multicast(address: Any) -> None:
    """Fail as the kernel does, which alone knows the broadcast addresses of subnets.

    (UDP refuses those with EACCES, as SO_BROADCAST is never set.)
    """
    try:
        to = ip_address(address[0].partition("%")[0] or "0.0.0.0")
    except ValueError:
        return  # a name: the resolver's business
    if to.is_multicast or to == ip_address("255.255.255.255"):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def _came_to_many(ancillary: list[tuple[int, int, bytes]]) -> bool:
    """Whether a datagram was sent to a multicast or broadcast address."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _, local, to = struct.unpack_from("=I4s4s", data)
            # The local address is the one it came to, unless it came to several hosts.
            if to[0] >= _IPV4_MULTICAST_OR_MORE or local != to:
                return True
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) and data[0] == 0xFF:
            return True
    return False
