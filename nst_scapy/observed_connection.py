# SPDX-License-Identifier: GPL-2.0-or-later
"""A captured TCP connection: both directions, their roles, and where a new one begins."""

from __future__ import annotations

from collections.abc import Iterator

from .capture import Stamp
from .header import REPLY, Header, Role
from .inet import ACK, FIN, RST, SYN, Endpoint, Segment
from .observation import Observation
from .observed_stream import ObservedStream
from .receiver import Receiver
from .tcp import Reassembler


def _first_byte(segment: Segment) -> int:
    """Sequence number of the first payload byte: a SYN takes up one before it."""
    return (segment.seq + bool(segment.flags & SYN)) & 0xFFFFFFFF


_SPECIAL = FIN | SYN | RST | ACK
"""Flags that a segment's way depends on."""


class Direction:
    """One direction: its bytes put in order, and what is said of them.

    Attributes:
        src, dst: sender and receiver.
    """

    def __init__(
        self, connection: ObservedConnection, src: Endpoint, dst: Endpoint, shared: Receiver | None
    ) -> None:
        self.src = src
        self.dst = dst
        self.reassembler = Reassembler()
        self._connection = connection
        self.stream = ObservedStream(src, dst, shared, self)

    def receiver(self, header: Header) -> Role:
        """See :class:`.observed_stream.Roles`."""
        return self._connection.role(self.dst, header, src=self.src)

    def settle(self, header: Header) -> None:
        """See :class:`.observed_stream.Roles`."""
        self._connection.settle(self.src, self.dst, header)

    def acked(self, ack: int, stamp: Stamp) -> list[Observation]:
        """Note what the other side has acknowledged."""
        found: list[Observation] = []
        for piece, _ in self.reassembler.acked(ack):
            found += self.stream.feed(piece, stamp)
        if not self.stream.sent and self.reassembler.acknowledged:
            self.stream.sent = True
        return found

    def segment(self, segment: Segment, stamp: Stamp) -> list[Observation]:
        """Take a segment's payload and FIN."""
        found: list[Observation] = []
        flags = segment.flags
        pieces = self.reassembler.segment(
            _first_byte(segment) if flags & SYN else segment.seq,
            segment.data,
            segment.length,
            fin=flags & FIN != 0,
            stamp=stamp,
        )
        for piece, _ in pieces:
            found += self.stream.feed(piece, stamp)
        return found

    def finish(self) -> Iterator[Observation]:
        """Give up the bytes that did not come."""
        for piece, stamp in self.reassembler.finish():
            yield from self.stream.feed(piece, stamp)


class ObservedConnection:
    """A pair of endpoints, from one SYN (or whatever was captured first) on."""

    def __init__(
        self, first: Segment, shared_src: Receiver | None, shared_dst: Receiver | None
    ) -> None:
        """*first* is any segment; the rest is the receive state of its two addresses."""
        src, dst = first.src, first.dst
        here = there = Direction(self, src, dst, shared_dst)
        self._directions = [here]
        if src != dst:
            there = Direction(self, dst, src, shared_src)
            self._directions.append(there)
            here.stream.peer, there.stream.peer = there.stream, here.stream
        self._here = here
        self._there = there
        self._connected: set[Endpoint] = set()
        """Who sent a SYN without ACK: initiators, both at a simultaneous open."""
        self._accepted: set[Endpoint] = set()
        """Who sent a SYN with ACK."""
        self._acceptor: Endpoint | None = None
        """Who accepted, by a record's flags, where no SYN was captured."""
        self._reset = False
        self._new_syns: dict[Endpoint, Segment] = {}
        """SYNs seen in this connection that may begin another one."""

    def role(self, receiver: Endpoint, header: Header, *, src: Endpoint) -> Role:
        """The role of *receiver* for a record with this header, sent by *src*."""
        if receiver in self._connected:
            return Role.INITIATOR
        if src in self._connected or receiver in self._accepted:
            return Role.ACCEPTOR
        if src in self._accepted:
            return Role.INITIATOR
        if self._acceptor is not None:
            return Role.ACCEPTOR if receiver == self._acceptor else Role.INITIATOR
        return Role.INITIATOR if header.flags & REPLY else Role.ACCEPTOR

    def settle(self, src: Endpoint, dst: Endpoint, header: Header) -> None:
        """Take the roles from a record, if no earlier one has told them."""
        if self._acceptor is None:
            self._acceptor = src if header.flags & REPLY else dst

    @property
    def waiting(self) -> Stamp | None:
        """The earliest record that waits for one of the other direction."""
        earliest = None
        for direction in self._directions:
            stamp = direction.stream.waiting
            if stamp is not None and (earliest is None or stamp < earliest):
                earliest = stamp
        return earliest

    @property
    def skipped(self) -> int:
        """Bytes passed over in search of records."""
        return sum(direction.stream.skipped for direction in self._directions)

    def successor(self, segment: Segment) -> Segment | None:
        """The SYN of a later connection of the same endpoints, if *segment* shows one.

        A SYN alone replaces only a connection that its sender is done with, for anyone
        can inject one; otherwise the answer to it does.
        """
        if not segment.flags & SYN:
            return None
        if segment.flags & ACK:
            syn = self._new_syns.get(segment.dst)
            awaited = syn is not None and _first_byte(syn) == segment.ack
            return syn if awaited else None
        reassembler = self._pair(segment)[0].reassembler
        if not reassembler.started or reassembler.is_start(_first_byte(segment)):
            return None
        if self._reset or reassembler.fin:
            return segment
        self._new_syns[segment.src] = segment
        return None

    def _pair(self, segment: Segment) -> tuple[Direction, Direction]:
        """The direction that a segment goes in, and the other one."""
        here, there = self._here, self._there
        return (here, there) if segment.src == here.src else (there, here)

    @property
    def finished(self) -> bool:
        """Whether nothing more will be said of either direction."""
        return all(direction.stream.done for direction in self._directions)

    def next_of_epoch(self, segment: Segment, frame: int, time: int) -> list[Observation] | None:
        """What :meth:`segment` does, for one that is nothing but the next records of an epoch.

        Returns ``None`` for any other; :meth:`segment` tells what is to be said of it.
        Nearly every segment of a long stream goes this short way.
        """
        src, _, seq, ack, flags, data, length = segment
        here = self._here
        mine, other = (here, self._there) if src == here.src else (self._there, here)
        if (
            flags & _SPECIAL != ACK
            or not other.reassembler.knows(ack)
            or not mine.reassembler.follows_on(seq, data, length)
        ):
            return None
        found: list[Observation] = []
        taken = mine.stream.next_of_epoch(data, frame, time, found)
        if not taken:
            return None
        mine.reassembler.advance(length)
        if taken < length:
            found += mine.stream.feed(data[taken:], Stamp(frame, time))
        return found

    def segment(self, segment: Segment, stamp: Stamp) -> list[Observation]:
        """Judge what a segment completes, in either direction."""
        found: list[Observation] = []
        mine, other = self._pair(segment)
        flags = segment.flags
        if flags & SYN:
            self._opened(segment, mine)
        if flags & ACK:
            found += other.acked(segment.ack, stamp)
        if flags & RST:
            self._reset = True  # what it carries is no data
        elif segment.length or flags & FIN:
            found += mine.segment(segment, stamp)
        for direction in other, mine:
            if direction.stream.waiting is not None:
                found += direction.stream.proceed()
        return found

    def _opened(self, segment: Segment, mine: Direction) -> None:
        start = _first_byte(segment)
        mine.reassembler.start(start)
        if mine.reassembler.is_start(start):
            (self._accepted if segment.flags & ACK else self._connected).add(segment.src)
            mine.stream.begin()

    def give_up_waiting(self) -> Iterator[Observation]:
        """Judge without the records that others wait for."""
        for direction in self._directions:
            if direction.stream.waiting is not None:
                yield from direction.stream.give_up_waiting()

    def finish(self) -> Iterator[Observation]:
        """What is left to say when the capture has ended."""
        for direction in self._directions:
            yield from direction.finish()
        for direction in self._directions:
            yield from direction.stream.proceed()
        yield from self.give_up_waiting()
