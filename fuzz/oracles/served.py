# SPDX-License-Identifier: GPL-2.0-or-later
"""One connection of the guest's, as its application uses it.

Before each call the application asks whether there is something to read, as an event
loop would: so the module has opened the first record by then (specification, section
8), and what the call meets does not depend on a work queue's timing.
"""

from __future__ import annotations

import errno
import zlib
from typing import NamedTuple

from fuzz.net.tcp import TcpFlag
from fuzz.oracles.incoming import Incoming, Note
from nst_scapy.header import ZERO_TOKEN, Role
from nst_scapy.receiver import Receiver


class Sent(NamedTuple):
    """What the guest sealed on a connection.

    Attributes:
        length: bytes of plaintext.
        crc: their CRC-32.
        bound: the first record has BOUND; `None` if there is none.
        closed: CLOSE came.
    """

    length: int
    crc: int
    bound: bool | None
    closed: bool


class Beginning(NamedTuple):
    """What the guest sealed on a connection that was cut off: any part of it, from the beginning.

    Attributes:
        data: the plaintext.
        bound: as in `Sent`.
    """

    data: bytes
    bound: bool | None

    def begins(self, sent: Sent) -> bool:
        """Whether that is a part of it."""
        if sent.bound not in (None, self.bound) or sent.length > len(self.data):
            return False
        return zlib.crc32(self.data[: sent.length]) == sent.crc


class Served:
    """A connection from SYN to its end, at the guest.

    Attributes:
        family: IP version.
        incoming: what arrives on it.
        gone: the application has closed it.
        dry: receiving has stopped for want of memory.
    """

    def __init__(
        self,
        receiver: Receiver,
        family: int,
        now: int,
        age: int,
        note: Note,
        token: bytes | None = None,
    ) -> None:
        """`note` is told of each verdict; times are in ns.

        `token` is that of the first record that the guest sends, if the guest opened the
        connection; empty if it was not heard.
        """
        role = Role.ACCEPTOR if token is None else Role.INITIATOR
        self.family = family
        self.incoming = Incoming(receiver, role, now, age, note)
        self._token = token
        self.gone = False
        self.dry = False
        self._following = 0
        self._shut_reading = False
        self._lowat = 1
        self._peek_off = -1
        self._sent = bytearray()
        self._bound: bool | None = None
        self._closed = False
        self._abandoned = False

    @property
    def sent(self) -> Sent:
        """What the guest sealed."""
        return Sent(len(self._sent), zlib.crc32(self._sent), self._bound, self._closed)

    @property
    def begun(self) -> Beginning:
        """The same, if not all of it need have left."""
        return Beginning(bytes(self._sent), self._bound)

    def follow(self, payload: bytes, *, fin: bool = False) -> None:
        """The next bytes arrive in order, or the end of the direction."""
        self.segment(self._following, TcpFlag.ACK | (TcpFlag.FIN if fin else 0), payload)
        self._following += len(payload) + fin

    def segment(self, offset: int, flags: int, payload: bytes) -> None:
        """A segment whose checksum is right; `offset` counts from the stream's first byte."""
        shut = self._shut_reading and self._closed
        self.incoming.segment(offset, flags, payload, gone=self.gone, shut=shut)

    def look(self) -> None:
        """What poll does: open records until there is as much to read as SO_RCVLOWAT asks for."""
        while len(self.incoming.plain) < self._lowat and self.incoming.fill(asked=False):
            pass

    def receive(self) -> tuple[int, bytes]:
        """All there is to read, and the error that ends it: 0 for the end of file."""
        self.look()
        while self.incoming.fill(asked=True):
            pass
        plaintext = self._taken(len(self.incoming.plain))
        return self.no_more, plaintext

    def take(self, size: int, *, peek: bool = False, in_place: bool = False) -> tuple[int, bytes]:
        """What one call that asks for `size` bytes gets, and the error if that is none.

        The calls themselves look before. With `in_place` plaintext may go to their buffers at
        once.
        """
        incoming = self.incoming
        incoming.cleared = 0
        start = max(self._peek_off, 0) if peek else 0
        while (lacks := start + max(size, 1) - len(incoming.plain)) > 0 and incoming.fill(
            asked=True, room=min(lacks, size) if in_place else 0
        ):
            pass
        if start >= len(incoming.plain):
            return self.no_more, b""
        if not peek:
            return 0, self._taken(size)
        data = bytes(incoming.plain[start : start + size])
        if self._peek_off >= 0:
            self._peek_off += len(data)
        return 0, data

    def take_opened(self, size: int) -> bytes:
        """So many bytes, of no more records than it takes; fewer if there are not so many."""
        while len(self.incoming.plain) < size and self.incoming.fill(asked=True):
            pass
        return self._taken(size)

    def opened(self, room: int = 0) -> bytes:
        """The plaintext that a call copies next, of which the first record is opened by then.

        `room` is as much of its buffers as it may go to at once.
        """
        self.incoming.cleared = 0
        if not self.incoming.plain:
            self.incoming.fill(asked=True, room=room)
        return bytes(self.incoming.plain)

    def run_dry(self) -> None:
        """There was no memory for a record that was half opened: it cannot be tried again."""
        self.incoming.fail(errno.ENOMEM)
        self.dry = True

    def _taken(self, size: int) -> bytes:
        """Take plaintext off; SO_PEEK_OFF goes back by as much."""
        data = bytes(self.incoming.plain[:size])
        del self.incoming.plain[:size]
        if self._peek_off >= 0:
            self._peek_off = max(self._peek_off - len(data), 0)
        return data

    @property
    def no_more(self) -> int:
        """The error of a call that finds nothing to read; 0 for the end of file."""
        if self.incoming.error:
            return self.incoming.error
        return 0 if self.incoming.closed or self._shut_reading else errno.EAGAIN

    def waiting(self) -> int:
        """What FIONREAD tells: bytes that can be read without an error."""
        while self.incoming.fill(asked=False):
            pass
        return len(self.incoming.plain)

    def readable(self) -> bool:
        """Whether poll tells of something to read."""
        self.look()
        return (
            len(self.incoming.plain) >= self._lowat
            or self.no_more != errno.EAGAIN
            or self.incoming.reset
        )

    def set_lowat(self, value: int) -> None:
        """SO_RCVLOWAT, in bytes; a negative one stands for as many as possible."""
        self._lowat = (value if value >= 0 else 1 << 31) or 1

    def set_peek_off(self, value: int) -> None:
        """SO_PEEK_OFF, in bytes; a negative one turns it off."""
        self._peek_off = value

    def send(self, data: bytes) -> int:
        """Send; the error, or 0."""
        self.look()
        if self.cannot_send:
            return errno.EPIPE
        self._seal()
        self._sent += data
        return 0

    @property
    def cannot_send(self) -> bool:
        """Whether all that is sent fails."""
        return self.incoming.failed or self._closed or self.incoming.reset

    @property
    def sent_bytes(self) -> int:
        """How many bytes of plaintext were sent."""
        return len(self._sent)

    @property
    def cut_off(self) -> bool:
        """Whether the connection was reset, so that not all that was sent need have left."""
        return self.incoming.failed or self.incoming.reset or self._abandoned

    def shutdown(self, how: int) -> int:
        """Shut down reading (0), writing (1) or both (2); the error, or 0."""
        self.look()
        if self.incoming.failed or self.incoming.reset:
            return errno.ENOTCONN
        if how:
            self.seal_close()
        self._shut_reading = self._shut_reading or how != 1
        return 0

    def close(self) -> None:
        """Close: what was sent arrives, or the peer learns better."""
        if self.gone:
            return
        self.look()
        alive = not (self.incoming.failed or self.incoming.reset)
        self._abandoned = bool(self.incoming.plain) or self.incoming.partial
        if alive and not self._abandoned:
            self.seal_close()
        self._shut_reading = True
        self.gone = True

    def disconnect(self) -> None:
        """Give the connection up: TCP resets it, and nothing says that it was to end."""
        self._abandoned = self._shut_reading = self.gone = True

    def reconnected(self, fresh: Served) -> Served:
        """Another connection of the same socket, whose options stay."""
        fresh.set_lowat(self._lowat)
        fresh.set_peek_off(self._peek_off)
        fresh.incoming.policy = self.incoming.policy
        return fresh

    def seal_close(self) -> None:
        """Seal CLOSE, if that is not done; nothing can be sent after it."""
        if not self._closed:
            self._seal()
            self._closed = True

    def _seal(self) -> None:
        if self._bound is None:
            self._bound = self.incoming.accepted_any and self._token is None
        if self._token is not None:
            self.incoming.sent_first(self._token or ZERO_TOKEN)
