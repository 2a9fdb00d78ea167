# SPDX-License-Identifier: GPL-2.0-or-later
"""One connection to the guest: the model of its TCP, its records and its application.

Before each call the application asks whether there is something to read, as an event
loop would: so the module has opened the first record by then (specification, section
8), and what the call meets does not depend on a work queue's timing.
"""

from __future__ import annotations

import errno
import zlib
from collections.abc import Callable
from typing import NamedTuple

from fuzz.net.inflow import WINDOW, Inflow
from fuzz.net.tcp import TcpFlag
from nst_scapy.checks import Policy, check_prefix
from nst_scapy.header import (
    HEADER_LEN,
    MAGIC_VERSION_LEN,
    TOKEN_LEN,
    TOKEN_OFFSET,
    Header,
    Role,
    Transport,
)
from nst_scapy.receiver import Outcome, Receiver
from nst_scapy.stream import StreamReceiver
from nst_scapy.suite import SUITES, record_len
from nst_scapy.verdict import Verdict

Note = Callable[[Transport, Verdict], None]
_COPIED = 512
"""Bytes: what is no longer is opened elsewhere and copied (`NST_SMALL_MAX`)."""


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


class Served:
    """A connection from SYN to its end, at the acceptor.

    Attributes:
        family: IP version.
        gone: the application has closed it.
        failed: the receiver has stopped for good (specification, section 11).
        refused: the LOCAL_IN check did that.
        dry: it was for want of memory.
        cleared: bytes behind what the last call took in which a record was opened that did not
            verify; at most so many are cleared, and otherwise nothing is written there.
        unexamined: the LOCAL_IN check has no memory for what it does to a connection, or is not to.
        policy: what its socket lets through; `None` for what all do.
    """

    def __init__(self, receiver: Receiver, family: int, now: int, age: int, note: Note) -> None:
        """`note` is told of each verdict; times are in ns."""
        self.family = family
        self.gone = False
        self.failed = False
        self.refused = False
        self.dry = False
        self.cleared = 0
        self.unexamined = False
        self.policy: Policy | None = None
        self._receiver = receiver
        self._stream = StreamReceiver(receiver, Role.ACCEPTOR)
        self._inflow = Inflow()
        self._time = (now, age)
        self._note = note
        self._queue = bytearray()
        self._begin = bytearray()
        self._head = bytearray()
        self._last: Header | None = None
        self._plain = bytearray()
        self._error = 0
        self._following = 0
        self._accepted_any = False
        self._shut_reading = False
        self._lowat = 1
        self._peek_off = -1
        self._sent = bytearray()
        self._bound: bool | None = None
        self._closed = False
        self._abandoned = False

    @property
    def first_token(self) -> bytes:
        """The token of the first record that came; empty if that is not whole."""
        return bytes(self._begin[TOKEN_OFFSET : TOKEN_OFFSET + TOKEN_LEN])

    @property
    def sent(self) -> Sent:
        """What the guest sealed."""
        return Sent(len(self._sent), zlib.crc32(self._sent), self._bound, self._closed)

    # What arrives.

    def follow(self, payload: bytes, *, fin: bool = False) -> None:
        """The next bytes in order, or the end of the direction."""
        self.segment(self._following, TcpFlag.ACK | (TcpFlag.FIN if fin else 0), payload)
        self._following += len(payload) + fin

    def segment(self, offset: int, flags: int, payload: bytes) -> None:
        """A segment whose checksum is right; `offset` counts from the stream's first byte."""
        inflow = self._inflow
        if self.failed or inflow.reset:
            return
        # Nobody reads any more once it is gone, but a reset still takes what waits to be sent.
        if not self.gone and self._refused(offset, flags, payload):
            return
        if self._unwanted(offset, flags, payload):
            inflow.reset = True
            return
        added = inflow.segment(offset, flags, payload)
        self._queue += added
        self._begin += added[: HEADER_LEN - len(self._begin)]

    def _unwanted(self, offset: int, flags: int, payload: bytes) -> bool:
        """New bytes for a socket that is shut down both ways: TCP resets."""
        return (
            self._shut_reading
            and self._closed
            and not self._inflow.ended
            and flags & (TcpFlag.ACK | TcpFlag.RST | TcpFlag.SYN) == TcpFlag.ACK
            and offset <= self._inflow.next + WINDOW
            and self._inflow.next < offset + len(payload)
        )

    def _refused(self, offset: int, flags: int, payload: bytes) -> bool:
        """The LOCAL_IN check (section 10), which looks at the first bytes expected."""
        if (
            self.unexamined
            or self._inflow.next
            or offset
            or self._inflow.ended
            or flags & (TcpFlag.SYN | TcpFlag.RST)
            or len(payload) < MAGIC_VERSION_LEN
        ):
            return False
        verdict = check_prefix(payload[:MAGIC_VERSION_LEN])
        if verdict is None:
            return False
        self._note(Transport.STREAM, verdict)
        self._fail(errno.EBADMSG)
        self.refused = True
        return True

    # What the module does with it.

    def _fail(self, error: int) -> None:
        self._error = error
        self.failed = True
        self._queue.clear()

    def _fill(self, *, asked: bool, room: int = 0) -> bool:
        """Judge one record more, if it is there; whether it was accepted.

        TCP's own error is for an application that asks for bytes. `room` is what is left of its
        buffers, if plaintext may go there at once.
        """
        if self._error:
            return False
        while self._queue:
            if outcomes := self._received(self._next_bytes()):
                return self._judged(outcomes, room)
        if self._stream.closed:
            return False
        if self._inflow.ended:
            self._judged(self._stream.end())
        elif self._inflow.reset and asked:
            self._error = errno.ECONNRESET
        return False

    def _received(self, data: bytes) -> list[Outcome]:
        """What the receiver makes of bytes, by the socket's own policy."""
        shared = self._receiver
        usual, shared.policy = shared.policy, self.policy or shared.policy
        try:
            return self._stream.receive(data, now=self._now, age=self._age)
        finally:
            shared.policy = usual

    @property
    def _now(self) -> int:
        return self._time[0]

    @property
    def _age(self) -> int:
        return self._time[1]

    def _next_bytes(self) -> bytes:
        """As many bytes as the module asks TCP for."""
        pending = self._stream.pending
        if self._stream.closed:
            count = len(self._queue)
        elif pending < MAGIC_VERSION_LEN:
            count = MAGIC_VERSION_LEN - pending
        elif pending < HEADER_LEN:
            count = HEADER_LEN - pending
        else:
            header = Header.unpack(self._head)
            count = HEADER_LEN - pending
            count += SUITES[header.cipher_id].body_len(header.transport_len)
        taken = bytes(self._queue[:count])
        del self._queue[:count]
        if not pending:
            self._head.clear()
        self._head += taken[: HEADER_LEN - len(self._head)]
        return taken

    def _judged(self, outcomes: list[Outcome], room: int = 0) -> bool:
        accepted = False
        for outcome in outcomes:
            assert outcome.verdict is not None, "a receiver with keys always has a verdict"
            self._note(Transport.STREAM, outcome.verdict)
            accepted = outcome.verdict is Verdict.OK
            if accepted:
                self._accepted_any = True
                self._last = outcome.header
                self._plain += outcome.plaintext or b""
            elif not self._stream.closed:
                if outcome.verdict is Verdict.AUTH and outcome.header is not None:
                    self.cleared = self._in_place(outcome.header, room)
                truncated = outcome.verdict is Verdict.TRUNCATED
                self._fail(errno.ECONNABORTED if truncated else errno.EBADMSG)
        return accepted

    def _in_place(self, header: Header, room: int) -> int:
        """How much of the room a record goes to before it has verified: all of it, or nothing."""
        size = header.transport_len
        continues = self._last is not None and self._last.same_session(header)
        aead = SUITES[header.cipher_id].aead
        return size if continues and aead and _COPIED < size <= room else 0

    def look(self) -> None:
        """What poll does: open records until there is as much to read as SO_RCVLOWAT asks for."""
        while len(self._plain) < self._lowat and self._fill(asked=False):
            pass

    # What the application does.

    def receive(self) -> tuple[int, bytes]:
        """All there is to read, and the error that ends it: 0 for the end of file."""
        self.look()
        while self._fill(asked=True):
            pass
        plaintext = self._taken(len(self._plain))
        return self.no_more, plaintext

    def take(self, size: int, *, peek: bool = False, in_place: bool = False) -> tuple[int, bytes]:
        """What one call that asks for `size` bytes gets, and the error if that is none.

        The calls themselves look before. With `in_place` plaintext may go to their buffers at
        once.
        """
        self.cleared = 0
        start = max(self._peek_off, 0) if peek else 0
        while (lacks := start + max(size, 1) - len(self._plain)) > 0 and self._fill(
            asked=True, room=min(lacks, size) if in_place else 0
        ):
            pass
        if start >= len(self._plain):
            return self.no_more, b""
        if not peek:
            return 0, self._taken(size)
        data = bytes(self._plain[start : start + size])
        if self._peek_off >= 0:
            self._peek_off += len(data)
        return 0, data

    def take_opened(self, size: int) -> bytes:
        """So many bytes, of no more records than it takes; fewer if there are not so many."""
        while len(self._plain) < size and self._fill(asked=True):
            pass
        return self._taken(size)

    def would_clear(self, room: int) -> int:
        """What `cleared` were if the next record went to so much room, and did not verify."""
        if self._plain or self._error or len(self._queue) < HEADER_LEN or self._stream.pending:
            return 0
        header = Header.unpack(self._queue)
        if self._stream.check(header, self._now, self._age) is not None:
            return 0
        size = self._in_place(header, room)
        return size if len(self._queue) >= HEADER_LEN + size else 0

    def opened(self, room: int = 0) -> bytes:
        """The plaintext that a call copies next, of which the first record is opened by then.

        `room` is as much of its buffers as it may go to at once.
        """
        self.cleared = 0
        if not self._plain:
            self._fill(asked=True, room=room)
        return bytes(self._plain)

    @property
    def opens_first(self) -> bool:
        """Whether a whole record waits that is opened without anybody asking (section 8)."""
        waiting = bytes(self._queue)
        whole = 0 < record_len(waiting) <= len(waiting)
        return whole and not (self._accepted_any or self.failed or self._stream.pending)

    def run_dry(self) -> None:
        """There was no memory for a record that was half opened: it cannot be tried again."""
        self._fail(errno.ENOMEM)
        self.dry = True

    def _taken(self, size: int) -> bytes:
        """Take plaintext off; SO_PEEK_OFF goes back by as much."""
        data = bytes(self._plain[:size])
        del self._plain[:size]
        if self._peek_off >= 0:
            self._peek_off = max(self._peek_off - len(data), 0)
        return data

    @property
    def no_more(self) -> int:
        """The error of a call that finds nothing to read; 0 for the end of file."""
        if self._error:
            return self._error
        return 0 if self._stream.closed or self._shut_reading else errno.EAGAIN

    def waiting(self) -> int:
        """What FIONREAD tells: bytes that can be read without an error."""
        while self._fill(asked=False):
            pass
        return len(self._plain)

    def readable(self) -> bool:
        """Whether poll tells of something to read."""
        self.look()
        return (
            len(self._plain) >= self._lowat or self.no_more != errno.EAGAIN or (self._inflow.reset)
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
        return self.failed or self._closed or self._inflow.reset

    @property
    def sent_bytes(self) -> int:
        """How many bytes of plaintext were sent."""
        return len(self._sent)

    @property
    def cut_off(self) -> bool:
        """Whether the connection was reset, so that not all that was sent need have left."""
        return self.failed or self._inflow.reset or self._abandoned

    def shutdown(self, how: int) -> int:
        """Shut down reading (0), writing (1) or both (2); the error, or 0."""
        self.look()
        if self.failed or self._inflow.reset:
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
        alive = not (self.failed or self._inflow.reset)
        self._abandoned = bool(self._plain) or self._partial
        if alive and not self._abandoned:
            self.seal_close()
        self._shut_reading = True
        self.gone = True

    @property
    def _partial(self) -> bool:
        return not self._stream.closed and bool(self._stream.pending)

    def seal_close(self) -> None:
        """Seal CLOSE, if that is not done; nothing can be sent after it."""
        if not self._closed:
            self._seal()
            self._closed = True

    def _seal(self) -> None:
        if self._bound is None:
            self._bound = self._accepted_any
