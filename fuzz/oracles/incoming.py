# SPDX-License-Identifier: GPL-2.0-or-later
"""What arrives on a connection of the guest's: the model of its TCP and of its records."""

from __future__ import annotations

import errno
from collections.abc import Callable

from fuzz.net.inflow import WINDOW, Inflow
from fuzz.net.tcp import TcpFlag
from nst_scapy.checks import Policy, check_prefix
from nst_scapy.header import HEADER_LEN, MAGIC_VERSION_LEN, Header, Role, Transport
from nst_scapy.receiver import Outcome, Receiver
from nst_scapy.stream import StreamReceiver
from nst_scapy.suite import SUITES, record_len
from nst_scapy.verdict import Verdict

Note = Callable[[Transport, Verdict], None]
_COPIED = 512
"""Bytes: what is no longer is opened elsewhere and copied (`NST_SMALL_MAX`)."""


class Incoming:
    """From a connection's segments to the plaintext of its records.

    Attributes:
        plain: what was opened and nobody has read.
        accepted_any: a record has been.
        error: what asking for more fails with, or 0.
        failed: the receiver has stopped for good (specification, section 11).
        refused: the LOCAL_IN check did that.
        cleared: bytes behind what the last call took in which a record was opened that did not
            verify; at most so many are cleared, and otherwise nothing is written there.
        unexamined: the LOCAL_IN check has no memory for what it does to a connection, or is not to.
        policy: what its socket lets through; `None` for what all do.
    """

    def __init__(self, receiver: Receiver, role: Role, now: int, age: int, note: Note) -> None:
        """`role` is the guest's; `note` is told of each verdict; times are in ns."""
        self.plain = bytearray()
        self.accepted_any = False
        self.error = 0
        self.failed = False
        self.refused = False
        self.cleared = 0
        self.unexamined = False
        self.policy: Policy | None = None
        self._receiver = receiver
        self._stream = StreamReceiver(receiver, role)
        self._inflow = Inflow()
        self._time = (now, age)
        self._note = note
        self._queue = bytearray()
        self._head = bytearray()
        self._last: Header | None = None

    @property
    def reset(self) -> bool:
        """Whether TCP has ended the connection."""
        return self._inflow.reset

    @property
    def closed(self) -> bool:
        """Whether CLOSE has come."""
        return self._stream.closed

    @property
    def partial(self) -> bool:
        """Whether a record has been read from TCP in part."""
        return not self._stream.closed and bool(self._stream.pending)

    def sent_first(self, token: bytes) -> None:
        """Note the token of the first record that the guest sent."""
        self._stream.sent_first(token)

    # TCP and LOCAL_IN.

    def segment(self, offset: int, flags: int, payload: bytes, *, gone: bool, shut: bool) -> None:
        """A segment whose checksum is right.

        Its socket is `gone` if the application has closed it, and may be `shut` down both ways.
        """
        inflow = self._inflow
        if self.failed or inflow.reset:
            return
        # Nobody reads any more once it is gone, but a reset still takes what waits to be sent.
        if not gone and self._refused(offset, flags, payload):
            return
        if shut and self._unwanted(offset, flags, payload):
            inflow.reset = True
            return
        self._queue += inflow.segment(offset, flags, payload)

    def _unwanted(self, offset: int, flags: int, payload: bytes) -> bool:
        """New bytes for a socket that is shut down both ways: TCP resets."""
        return (
            not self._inflow.ended
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
        self.fail(errno.EBADMSG)
        self.refused = True
        return True

    # Records.

    def fail(self, error: int) -> None:
        """The receiver stops, and asking for more fails."""
        self.error = error
        self.failed = True
        self._queue.clear()

    def fill(self, *, asked: bool, room: int = 0) -> bool:
        """Judge one record more, if it is there; whether it was accepted.

        TCP's own error is for an application that asks for bytes. `room` is what is left of its
        buffers, if plaintext may go there at once.
        """
        if self.error:
            return False
        while self._queue:
            if outcomes := self._received(self._next_bytes()):
                return self._judged(outcomes, room)
        if self._stream.closed:
            return False
        if self._inflow.ended:
            self._judged(self._stream.end())
        elif self._inflow.reset and asked:
            self.error = errno.ECONNRESET
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
                self.accepted_any = True
                self._last = outcome.header
                self.plain += outcome.plaintext or b""
            elif not self._stream.closed:
                if outcome.verdict is Verdict.AUTH and outcome.header is not None:
                    self.cleared = self._in_place(outcome.header, room)
                truncated = outcome.verdict is Verdict.TRUNCATED
                self.fail(errno.ECONNABORTED if truncated else errno.EBADMSG)
        return accepted

    def _in_place(self, header: Header, room: int) -> int:
        """How much of the room a record goes to before it has verified: all of it, or nothing."""
        size = header.transport_len
        continues = self._last is not None and self._last.same_session(header)
        aead = SUITES[header.cipher_id].aead
        return size if continues and aead and _COPIED < size <= room else 0

    def would_clear(self, room: int) -> int:
        """What `cleared` were if the next record went to so much room, and did not verify."""
        if self.plain or self.error or len(self._queue) < HEADER_LEN or self._stream.pending:
            return 0
        header = Header.unpack(self._queue)
        if self._stream.check(header, self._now, self._age) is not None:
            return 0
        size = self._in_place(header, room)
        return size if len(self._queue) >= HEADER_LEN + size else 0

    @property
    def opens_first(self) -> bool:
        """Whether a whole record waits that is opened without anybody asking (section 8)."""
        waiting = bytes(self._queue)
        whole = 0 < record_len(waiting) <= len(waiting)
        return whole and not (self.accepted_any or self.failed or self._stream.pending)
