# SPDX-License-Identifier: GPL-2.0-or-later
"""NST streams over ordinary TCP, in user space: :class:`NSTStreamSocket`.

It talks to AF_NST sockets and to its like, on machines without the kernel module. What
an application sees is what the kernel would show it (specification, section 11).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import threading
import time
from typing import Any

from .carried_socket import CarriedSocket
from .header import MAX_STREAM_PAYLOAD, Role, Transport
from .host import Host, host_of, readable
from .keybox import KeyBox
from .receiver import Outcome
from .sender import Pins, StreamSender
from .stream import StreamReceiver
from .suite import SuiteId
from .verdict import Verdict

_CHUNK = 1 << 16
_FLAGS = socket.MSG_PEEK | socket.MSG_DONTWAIT | socket.MSG_WAITALL
_libc = ctypes.CDLL(None, use_errno=True)


class NSTStreamSocket(CarriedSocket):
    """A stream socket: use it as you would use a TCP socket.

    Plaintext that was received but not read is not seen by ``select`` on
    :meth:`fileno`: look at :meth:`pending` too, as with :class:`ssl.SSLSocket`.

    Attributes:
        role: its side; ``None`` until connected.
        verdict: the verdict at which receiving failed, else ``None``.
    """

    def __init__(
        self,
        keys: KeyBox | Host,
        family: socket.AddressFamily = socket.AF_INET,
        *,
        suite: SuiteId = SuiteId.AES_GCM,
        pins: Pins | None = None,
        sock: socket.socket | None = None,
        role: Role | None = None,
    ) -> None:
        """Make a socket that is not connected, or take over a TCP connection.

        Args:
            keys: a key box, or the host whose key box and replay tables it uses.
            family: ``AF_INET`` or ``AF_INET6``.
            suite: what it seals with.
            pins: what is not drawn at random at each epoch.
            sock: a TCP socket to take over; with *role* it is connected already.
            role: the side that *sock* is.

        Raises:
            ValueError: a *role* without a *sock*.
            OSError: as :func:`socket.socket`.
        """
        if role is not None and sock is None:
            raise ValueError("a role needs a connected socket")
        tcp = socket.socket(family, socket.SOCK_STREAM) if sock is None else sock
        super().__init__(tcp, host_of(keys))
        self.role: Role | None = None
        self.verdict: Verdict | None = None
        self._suite, self._pins = suite, pins
        self._send_lock, self._recv_lock = threading.Lock(), threading.Lock()
        self._sender: StreamSender | None = None
        self._receiver: StreamReceiver | None = None
        self._unsent = bytearray()
        self._plain = bytearray()
        self._error: int | None = None
        self._ended = False
        self._shut = False
        if role is not None:
            self._connected(role)

    def __repr__(self) -> str:
        role = "" if self.role is None else f" {self.role.value}"
        return f"<NSTStreamSocket{role} {self._suite.name} fd={self.fileno()}>"

    def _connected(self, role: Role) -> None:
        self.role = role
        self._sender = StreamSender(role, self.host.keybox, self._suite, self._pins)
        self._receiver = StreamReceiver(self.host.receiver, role)
        # A record is sent in one piece, and nothing is gained by waiting for the next one.
        self._carrier.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # What TCP does alone.

    def listen(self, backlog: int = 128) -> None:
        """As :meth:`socket.socket.listen`."""
        self._carrier.listen(backlog)

    def connect(self, address: Any) -> None:
        """As :meth:`socket.socket.connect`; nothing of NST is sent yet."""
        self._carrier.connect(address)
        self._connected(Role.INITIATOR)

    def accept(self) -> tuple[NSTStreamSocket, Any]:
        """As :meth:`socket.socket.accept`: the connection shares this socket's host."""
        tcp, address = self._carrier.accept()
        made = NSTStreamSocket(
            self.host, suite=self._suite, pins=self._pins, sock=tcp, role=Role.ACCEPTOR
        )
        return made, address

    # Sending.

    def unsent(self) -> int:
        """Bytes sealed that TCP has not taken yet (sockets with a timeout only)."""
        return len(self._unsent)

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:
        """Seal one record and send it; returns how many bytes of *data* it holds (<= 16384).

        A record that TCP did not take whole in the socket's time is sent with the next
        call, and counts as sent.

        Raises:
            BlockingIOError, TimeoutError: nothing of *data* was taken.
            BrokenPipeError: the stream failed, or its end was sent.
            OSError: as :meth:`socket.socket.send`; ENOTCONN before it is connected.
        """
        with self._send_lock:
            self._flush()
            piece = bytes(memoryview(data)[:MAX_STREAM_PAYLOAD])
            self._seal(piece)
            self._flush_later()
        return len(piece)

    def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0) -> None:
        """Send all of *data*, whole records.

        Raises:
            OSError: as :meth:`send`; how much was sent is not known then.
        """
        view = memoryview(data)
        for start in range(0, len(view), MAX_STREAM_PAYLOAD):
            with self._send_lock:
                self._flush()
                self._seal(bytes(view[start : start + MAX_STREAM_PAYLOAD]))
                self._flush()

    def flush(self) -> None:
        """Send what :meth:`unsent` counts.

        Raises:
            OSError: as :meth:`socket.socket.send`.
        """
        with self._send_lock:
            self._flush()

    def shutdown(self, how: int) -> None:
        """As :meth:`socket.socket.shutdown`; the end of sending is told authentically."""
        if how in (socket.SHUT_WR, socket.SHUT_RDWR):
            with self._send_lock:
                self._end()
        if self._error is None:
            self._carrier.shutdown(how)

    def close(self) -> None:
        """Send ``CLOSE`` if it was not sent, and close; what fails then fails silently."""
        if self.fileno() < 0:
            return
        try:
            if self.role is not None:
                with self._send_lock:
                    self._end()
                    self._carrier.shutdown(socket.SHUT_WR)
                # Closed with bytes unread, TCP would reset the connection, CLOSE and all.
                while readable(self._carrier) and self._carrier.recv(_CHUNK):
                    pass
        except OSError:
            pass  # the peer is gone, or too slow: it will see the truth, a truncated stream
        finally:
            self._carrier.close()

    def _end(self) -> None:
        sender = self._connection()[0]
        if not self._shut and self._error is None:
            self._bind_reply()
            self._shut = True
            self._unsent += sender.close(now=time.time_ns())
        if self._error is None:
            self._flush()

    def _seal(self, piece: bytes) -> None:
        sender = self._connection()[0]
        if self._error is not None or self._shut:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        if not piece:
            return
        self._bind_reply()
        self._refresh(sender)
        self._unsent += sender.seal(piece, now=time.time_ns())

    def _bind_reply(self) -> None:
        """See whether the initiator's first record is there, before the first reply."""
        sender, _ = self._connection()
        if self.role is Role.ACCEPTOR and sender.first_token is None:
            with self._recv_lock:
                self._receive(dontwait=True)

    def _flush(self) -> None:
        while self._unsent:
            del self._unsent[: self._carrier.send(self._unsent, socket.MSG_NOSIGNAL)]

    def _flush_later(self) -> None:
        with contextlib.suppress(BlockingIOError, TimeoutError):  # the next call goes on
            self._flush()

    # Receiving.

    def pending(self) -> int:
        """Bytes of plaintext that :meth:`recv` gives at once."""
        return len(self._plain)

    def ready(self) -> bool:
        """Whether :meth:`recv` would not wait: takes in what TCP has."""
        with self._recv_lock:
            if not self._plain:
                self._receive(dontwait=True)
            return bool(self._plain) or self._ended or self._error is not None

    def recv(self, size: int, flags: int = 0) -> bytes:
        """At most *size* bytes; none is the end, told authentically by the peer.

        Args:
            size: bytes.
            flags: of ``MSG_PEEK``, ``MSG_DONTWAIT`` and ``MSG_WAITALL``.

        Raises:
            OSError: EBADMSG when a record failed (see :attr:`verdict`), after what came
                before it was read; ECONNABORTED when the stream was cut off; otherwise
                as :meth:`socket.socket.recv`.
        """
        if flags & ~_FLAGS:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        self._connection()
        wanted = size if flags & socket.MSG_WAITALL else min(size, 1)
        with self._recv_lock:
            while len(self._plain) < wanted and not self._ended and self._error is None:
                if not self._receive(dontwait=bool(flags & socket.MSG_DONTWAIT)):
                    if self._plain:
                        break
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            data = bytes(self._plain[:size])
            if not flags & socket.MSG_PEEK:
                del self._plain[:size]
            if not data and size and self._error is not None:
                raise OSError(self._error, os.strerror(self._error))
        return data

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0, flags: int = 0) -> int:
        """As :meth:`socket.socket.recv_into`; raises as :meth:`recv`."""
        data = self.recv(nbytes or len(buffer), flags)
        buffer[: len(data)] = data
        return len(data)

    def _receive(self, *, dontwait: bool) -> bool:
        """Take one piece from TCP and judge it; false if there is none (*dontwait*)."""
        sender, receiver = self._connection()
        if self._ended or self._error is not None:
            return False
        # Python waits for a socket with a timeout whatever the flags say.
        if dontwait and not readable(self._carrier):
            return False
        data = self._carrier.recv(_CHUNK)
        if sender.first_token is not None:
            receiver.sent_first(sender.first_token)
        host = self.host
        with host.lock:
            outcomes = (
                receiver.receive(data, now=time.time_ns(), age=host.age())
                if data
                else receiver.end()
            )
            for outcome in outcomes:
                if outcome.verdict is not None:
                    host.verdicts[Transport.STREAM][outcome.verdict] += 1
        for outcome in outcomes:
            self._take(outcome, closed=receiver.closed)
        self._ended = self._ended or receiver.closed
        return True

    def _take(self, outcome: Outcome, *, closed: bool) -> None:
        if outcome.verdict is Verdict.OK:
            assert outcome.header is not None
            if self.role is Role.ACCEPTOR:
                assert self._sender is not None
                self._sender.bind(outcome.header.token)  # only the first one counts
            self._plain += outcome.plaintext or b""
            return
        self.verdict = outcome.verdict
        if not closed:
            cut = outcome.verdict is Verdict.TRUNCATED
            self._error = errno.ECONNABORTED if cut else errno.EBADMSG
            self._reset()

    def _reset(self) -> None:
        """Send RST and keep the file descriptor, so that who polls it sees the end."""
        unspec = bytes(16)  # struct sockaddr of AF_UNSPEC: connect(2) takes it to disconnect
        _libc.connect(self._carrier.fileno(), unspec, len(unspec))

    def _connection(self) -> tuple[StreamSender, StreamReceiver]:
        if self._sender is None or self._receiver is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._sender, self._receiver


def connect_stream(
    address: tuple[str, int],
    keys: KeyBox | Host,
    *,
    timeout: float | None = None,
    suite: SuiteId = SuiteId.AES_GCM,
    pins: Pins | None = None,
) -> NSTStreamSocket:
    """Connect to a host name or address and a port, over IPv4 or IPv6.

    Args:
        address: host and port.
        keys: a key box or host.
        timeout: of the connection and of the socket, seconds.
        suite, pins: as for :class:`NSTStreamSocket`.

    Raises:
        OSError: as :func:`socket.create_connection`.
    """
    tcp = socket.create_connection(address, timeout)
    return NSTStreamSocket(keys, suite=suite, pins=pins, sock=tcp, role=Role.INITIATOR)


def listen_stream(
    address: tuple[str, int],
    keys: KeyBox | Host,
    *,
    suite: SuiteId = SuiteId.AES_GCM,
    pins: Pins | None = None,
) -> NSTStreamSocket:
    """Listen on a local address ("" or "::" for all) and a port.

    Raises:
        OSError: as :func:`socket.create_server`.
    """
    host, port = address
    everywhere = host in ("", "::") and socket.has_dualstack_ipv6()
    if everywhere:
        tcp = socket.create_server(
            ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128
        )
    else:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)
        family, _, _, _, where = found[0]
        tcp = socket.create_server(where[:2], family=family, backlog=128)
    return NSTStreamSocket(keys, suite=suite, pins=pins, sock=tcp)
