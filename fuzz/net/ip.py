# SPDX-License-Identifier: GPL-2.0-or-later
"""IPv4 (RFC 791) and IPv6 (RFC 8200) packets, their fragments and checksums."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from fuzz.net.ethernet import MTU

TCP = 6
UDP = 17
ICMPV6 = 58
_FRAGMENT_HEADER = 44

_IPV4 = struct.Struct(">BBHHHBBH4s4s")
_IPV6 = struct.Struct(">IHBB16s16s")
_MORE_FRAGMENTS = 0x2000


class Packet(NamedTuple):
    """What matters of an IP packet."""

    family: int
    source: bytes
    destination: bytes
    protocol: int
    payload: bytes


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of some bytes."""
    if len(data) % 2:
        data += b"\0"
    # The ones'-complement sum is the number modulo 2^16 - 1, with 0 written as all ones
    # unless everything is zero.
    total = int.from_bytes(data) % 0xFFFF
    return 0xFFFF if total == 0 and not any(data) else 0xFFFF - (total or 0xFFFF)


def pseudo_checksum(source: bytes, destination: bytes, protocol: int, segment: bytes) -> int:
    """The checksum of a transport segment whose own checksum field is zero."""
    if len(source) == 4:
        pseudo = source + destination + struct.pack(">BBH", 0, protocol, len(segment))
    else:
        pseudo = source + destination + struct.pack(">II", len(segment), protocol)
    return checksum(pseudo + segment)


def ipv4_packet(
    source: bytes,
    destination: bytes,
    protocol: int,
    payload: bytes,
    *,
    ident: int = 0,
    fragment: int = 0,
    options: bytes = b"",
) -> bytes:
    """An IPv4 packet; `fragment` is the field of flags and offset as on the wire.

    `options` are a multiple of 4 bytes, 40 at most.
    """
    start = _IPV4.size + len(options)
    length = start + len(payload)
    fields = [0x40 | start // 4, 0, length, ident, fragment, 64, protocol, 0, source, destination]
    fields[7] = checksum(_IPV4.pack(*fields) + options)
    return _IPV4.pack(*fields) + options + payload


def ipv6_packet(
    source: bytes, destination: bytes, protocol: int, payload: bytes, *, hop_limit: int = 64
) -> bytes:
    """An IPv6 packet; `protocol` is the next header."""
    return _IPV6.pack(6 << 28, len(payload), protocol, hop_limit, source, destination) + payload


def packets(
    source: bytes, destination: bytes, protocol: int, payload: bytes, *, ident: int, mtu: int = MTU
) -> Iterator[bytes]:
    """The packets that carry a transport segment: one, or its fragments in order.

    `ident` (16 bits) tells fragments of different segments apart.
    """
    if len(source) == 4:
        if _IPV4.size + len(payload) <= mtu:
            yield ipv4_packet(source, destination, protocol, payload, ident=ident)
            return
        step = (mtu - _IPV4.size) // 8 * 8
        for offset in range(0, len(payload), step):
            more = _MORE_FRAGMENTS if offset + step < len(payload) else 0
            yield ipv4_packet(
                source,
                destination,
                protocol,
                payload[offset : offset + step],
                ident=ident,
                fragment=more | offset // 8,
            )
        return
    if _IPV6.size + len(payload) <= mtu:
        yield ipv6_packet(source, destination, protocol, payload)
        return
    step = (mtu - _IPV6.size - 8) // 8 * 8
    for offset in range(0, len(payload), step):
        more = 1 if offset + step < len(payload) else 0
        header = struct.pack(">BBHI", protocol, 0, offset | more, ident)
        piece = header + payload[offset : offset + step]
        yield ipv6_packet(source, destination, _FRAGMENT_HEADER, piece)


def parse_ipv4(data: bytes) -> Packet | None:
    """Read an IPv4 packet; `None` if it is malformed or a fragment."""
    if len(data) < _IPV4.size:
        return None
    first, _, length, _, fragment, _, protocol, _, source, destination = _IPV4.unpack_from(data)
    start = (first & 15) * 4
    if first >> 4 != 4 or not _IPV4.size <= start <= length <= len(data) or fragment & 0x3FFF:
        return None
    return Packet(4, source, destination, protocol, data[start:length])


def parse_ipv6(data: bytes) -> Packet | None:
    """Read an IPv6 packet; `None` if it is malformed. Extension headers stay in the payload."""
    if len(data) < _IPV6.size:
        return None
    first, length, protocol, _, source, destination = _IPV6.unpack_from(data)
    end = _IPV6.size + length
    if first >> 28 != 6 or end > len(data):
        return None
    return Packet(6, source, destination, protocol, data[_IPV6.size : end])
