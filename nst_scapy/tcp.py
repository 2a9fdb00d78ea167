# SPDX-License-Identifier: GPL-2.0-or-later
"""One direction of a captured TCP connection, put in order.

A capture, unlike a host, can miss bytes for good. They are given up when the other
side has acknowledged them and they still do not come, when too much waits behind
them, or when the capture ends. The dissector's wireshark/nst/reassembly.lua has the same
rule, and it is the dissector that needs so little patience: it is not told when a capture
ends, and what waits behind a hole is shown nowhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .capture import Stamp

MAX_HELD_BYTES = 8 << 20
MAX_HELD_SEGMENTS = 8192
PATIENCE = 3
"""Segments of the connection to wait for bytes that were acknowledged but not seen."""
PATIENCE_NO_ACK = 16
"""Segments that may wait behind a hole while nothing at all was acknowledged."""
PATIENCE_ONE_WAY = 4
"""The same, while no segment of the other side was seen, so none is to be expected."""
_MAX_AHEAD = 1 << 30
"""No window is larger (RFC 7323, section 2.3)."""


class Missing(NamedTuple):
    """So many bytes were not captured."""

    length: int


class End(NamedTuple):
    """The FIN, every byte before it having been given out or called missing."""


Piece = bytes | Missing | End
Placed = tuple[Piece, Stamp]
"""A piece, and the segment that it was captured in (for a hole, that ends it)."""


class _Held(NamedTuple):
    """A segment that came early; ordered by *offset*, then by age (the first one wins)."""

    offset: int
    age: int
    data: bytes
    length: int
    stamp: Stamp


class Reassembler:
    """Segments in, pieces of the byte stream out."""

    def __init__(self) -> None:
        self._base: int | None = None
        """Sequence number of stream offset 0."""
        self._next = 0
        """Stream offset of the next piece."""
        self._held: list[_Held] = []
        self._held_bytes = 0
        self._age = 0
        self._acked = 0
        self._last_ack: int | None = None
        self._peer_seen = False
        self._patience = PATIENCE
        self._fin: tuple[int, Stamp] | None = None
        """Stream offset of the FIN, and where it was captured."""
        self._ended = False

    @property
    def started(self) -> bool:
        """Whether a sequence number is known."""
        return self._base is not None

    @property
    def fin(self) -> bool:
        """Whether a FIN has been seen."""
        return self._fin is not None

    @property
    def acknowledged(self) -> bool:
        """Whether the receiver has acknowledged any bytes, captured or not."""
        return self._acked > 0 and (self._fin is None or self._fin[0] > 0)

    def start(self, seq: int) -> None:
        """Set the sequence number of the first byte, if none is known yet."""
        if self._base is None:
            self._base = seq

    def is_start(self, seq: int) -> bool:
        """Whether *seq* is that of the first byte known."""
        return self._base == seq

    def _offset(self, seq: int) -> int:
        """The stream offset nearest to where we are, for a 32-bit sequence number."""
        assert self._base is not None
        ahead = (seq - self._base - self._next) & 0xFFFFFFFF
        return self._next + (ahead - (1 << 32) if ahead >= 1 << 31 else ahead)

    def acked(self, ack: int) -> Iterable[Placed]:
        """Note that the receiver has acknowledged all before *ack*."""
        self._peer_seen = True
        if self._base is None:
            return ()
        if ack != self._last_ack:
            self._last_ack = ack
            self._acked = max(self._acked, self._offset(ack))
        return list(self._lose_patience()) if self._held else ()

    def knows(self, ack: int) -> bool:
        """Whether :meth:`acked` would change nothing."""
        return self._base is None or (ack == self._last_ack and not self._held)

    def follows_on(self, seq: int, data: bytes, length: int) -> bool:
        """Whether the segment is simply the next one, whole, as nearly all are."""
        base = self._base
        return (
            base is not None
            and seq == (base + self._next) & 0xFFFFFFFF
            and len(data) == length
            and not self._held
            and self._fin is None
        )

    def advance(self, length: int) -> None:
        """Give out *length* bytes that :meth:`follows_on` is true of."""
        self._next += length
        self._patience = PATIENCE

    def segment(
        self, seq: int, data: bytes, length: int, *, fin: bool, stamp: Stamp
    ) -> Iterable[Placed]:
        """Take a segment of *length* bytes, the first ones of which are *data*."""
        if not fin and self.follows_on(seq, data, length):
            self.advance(length)
            return ((data, stamp),)
        return list(self._place(seq, data, length, fin=fin, stamp=stamp))

    def _place(
        self, seq: int, data: bytes, length: int, *, fin: bool, stamp: Stamp
    ) -> Iterator[Placed]:
        self.start(seq)
        offset = self._offset(seq)
        if self._ended or offset - self._next > _MAX_AHEAD:
            return
        if fin and self._fin is None:
            self._fin = offset + length, stamp
        if length and offset + length > self._next:
            self._age += 1
            heapq.heappush(self._held, _Held(offset, self._age, data, length, stamp))
            self._held_bytes += len(data)
        yield from self._drain()
        if self._held:
            yield from self._lose_patience()

    def finish(self) -> Iterator[Placed]:
        """Give up what has not come: the capture has ended."""
        while self._held:
            yield from self._skip_hole()

    def _lose_patience(self) -> Iterator[Placed]:
        if self._acked > self._next:
            self._patience -= 1
        while self._held and self._hopeless():
            yield from self._skip_hole()

    def _hopeless(self) -> bool:
        """Whether the bytes before what is held are not worth waiting for."""
        held = len(self._held)
        if self._patience <= 0 or self._held_bytes > MAX_HELD_BYTES or held > MAX_HELD_SEGMENTS:
            return True
        if self._fin is not None and self._acked > self._fin[0]:
            return True  # all of the stream was received
        if self._acked > 0:
            return False
        return held > (PATIENCE_NO_ACK if self._peer_seen else PATIENCE_ONE_WAY)

    def _skip_hole(self) -> Iterator[Placed]:
        after = self._held[0]
        yield Missing(after.offset - self._next), after.stamp
        self._next = after.offset
        yield from self._drain()

    def _drain(self) -> Iterator[Placed]:
        """Give out what follows on."""
        held = self._held
        moved = False
        while held and held[0].offset <= self._next:
            offset, _, data, length, stamp = heapq.heappop(held)
            self._held_bytes -= len(data)
            seen = self._next - offset
            if seen >= length:
                continue
            moved = True
            self._next = offset + length
            if seen < len(data):
                yield (data[seen:] if seen else data), stamp
            if len(data) < length:
                yield Missing(length - max(seen, len(data))), stamp
        if moved:
            self._patience = PATIENCE
        if self._fin is not None and self._next >= self._fin[0] and not self._ended:
            self._ended = True
            held.clear()
            yield End(), self._fin[1]
