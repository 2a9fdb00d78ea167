# SPDX-License-Identifier: GPL-2.0-or-later
"""UDP datagrams (RFC 768)."""

from __future__ import annotations

import struct
from typing import NamedTuple, Self

from fuzz.net.ip import UDP, Packet, pseudo_checksum

_HEADER = struct.Struct(">HHHH")
MAX_PAYLOAD = {4: 65535 - 20 - 8, 6: 65535 - 8}
"""Bytes of payload that fit, by IP version."""


class Datagram(NamedTuple):
    """A UDP datagram and where it came from."""

    family: int
    source: bytes
    source_port: int
    destination_port: int
    payload: bytes

    @classmethod
    def parse(cls, packet: Packet) -> Self | None:
        """Read the datagram in an IP packet; `None` if it is malformed."""
        data = packet.payload
        if len(data) < _HEADER.size:
            return None
        source_port, destination_port, length, _ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            return None
        payload = data[_HEADER.size : length]
        return cls(packet.family, packet.source, source_port, destination_port, payload)


def segment(
    source: bytes, destination: bytes, source_port: int, destination_port: int, payload: bytes
) -> bytes:
    """UDP header and payload, with the checksum for these IP addresses."""
    length = _HEADER.size + len(payload)
    bare = _HEADER.pack(source_port, destination_port, length, 0) + payload
    # Zero would say that there is no checksum.
    check = pseudo_checksum(source, destination, UDP, bare) or 0xFFFF
    return bare[:6] + check.to_bytes(2) + bare[8:]
