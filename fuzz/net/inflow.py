# SPDX-License-Identifier: GPL-2.0-or-later
"""What TCP hands on of the segments that reach it (RFC 9293, RFC 5961).

The part of a receiver that decides which bytes an application sees, and when the
connection ends; nothing is sent. Offsets count from the stream's first byte.
"""

from __future__ import annotations

from fuzz.net.tcp import TcpFlag

WINDOW = 65535
"""Without window scaling no receiver offers more."""


class Inflow:
    """One direction of an established connection, as its receiver takes it in.

    Of bytes that come twice the first stand; those that wait for a gap to close have to
    agree where they overlap, as it is up to the kernel which of them it keeps.

    Attributes:
        next: offset of the next byte expected; FIN takes up one.
        ended: FIN has come in order.
        reset: RST has come and was accepted.
    """

    def __init__(self) -> None:
        self.next = 0
        self.ended = False
        self.reset = False
        self._held: list[tuple[int, bytes, bool]] = []

    def segment(self, offset: int, flags: int, payload: bytes = b"") -> bytes:
        """Take in a segment whose checksum is right; return what it adds to the stream."""
        if self.reset or offset > self.next + WINDOW:
            return b""
        if flags & TcpFlag.RST:
            # RFC 5961, 3.2; after FIN Linux also takes one that does not count it.
            self.reset = offset == self.next or (self.ended and offset == self.next - 1)
            return b""
        if flags & TcpFlag.SYN or not flags & TcpFlag.ACK:
            return b""
        if self.ended:
            # Nothing can be where FIN was. Linux resets, but passes over what is all new.
            self.reset = offset < self.next < offset + len(payload)
            return b""
        self._held.append((offset, payload, bool(flags & TcpFlag.FIN)))
        return self._joined()

    def _joined(self) -> bytes:
        added = b""
        self._held.sort(key=lambda held: held[0])
        waiting = []
        for offset, payload, fin in self._held:
            if offset > self.next or self.ended:
                waiting.append((offset, payload, fin))
                continue
            fresh = payload[self.next - offset :] if self.next > offset else payload
            added += fresh
            self.next += len(fresh)
            if fin and offset + len(payload) == self.next:
                self.ended = True
                self.next += 1
        self._held = waiting
        return added
