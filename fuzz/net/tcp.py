# SPDX-License-Identifier: GPL-2.0-or-later
"""TCP segments (RFC 9293)."""

from __future__ import annotations

import struct
from enum import IntFlag
from typing import NamedTuple, Self

from fuzz.net.ip import TCP, Packet, pseudo_checksum

_HEADER = struct.Struct(">HHIIBBHHH")
MSS = {4: 1460, 6: 1440}
"""Largest payload of a segment in one Ethernet frame, by IP version."""
_OPTION_MSS = 2


class TcpFlag(IntFlag):
    """Control bits.

    What `&` gives is a plain number: it is asked for with every segment, and making a member
    takes longer than all else that is done with one.
    """

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20

    __and__ = __rand__ = int.__and__  # type: ignore[assignment]


class Segment(NamedTuple):
    """A TCP segment; sequence numbers are modulo 2^32."""

    source_port: int
    destination_port: int
    seq: int
    ack: int
    flags: TcpFlag
    window: int
    payload: bytes = b""
    urgent: int = 0

    @property
    def length(self) -> int:
        """Sequence numbers that it takes up."""
        return len(self.payload) + bool(self.flags & TcpFlag.SYN) + bool(self.flags & TcpFlag.FIN)

    def pack(self, source: bytes, destination: bytes) -> bytes:
        """The bytes, with the checksum for these IP addresses; a SYN announces our MSS."""
        options = b""
        if self.flags & TcpFlag.SYN:
            options = struct.pack(">BBH", _OPTION_MSS, 4, MSS[4 if len(source) == 4 else 6])
        offset = (_HEADER.size + len(options)) // 4 << 4
        bare = (
            _HEADER.pack(
                self.source_port,
                self.destination_port,
                self.seq,
                self.ack,
                offset,
                self.flags,
                self.window,
                0,
                self.urgent,
            )
            + options
            + self.payload
        )
        check = pseudo_checksum(source, destination, TCP, bare)
        return bare[:16] + check.to_bytes(2) + bare[18:]

    @classmethod
    def parse(cls, packet: Packet) -> Self | None:
        """Read the segment in an IP packet; `None` if it is malformed."""
        data = packet.payload
        if len(data) < _HEADER.size:
            return None
        source, destination, seq, ack, offset, flags, window, _, _ = _HEADER.unpack_from(data)
        start = (offset >> 4) * 4
        if not _HEADER.size <= start <= len(data):
            return None
        return cls(source, destination, seq, ack, TcpFlag(flags), window, data[start:])
