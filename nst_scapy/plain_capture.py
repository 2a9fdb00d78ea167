# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes what was decrypted as a capture of plain TCP and UDP, for tools that know no NST.

One packet a record, at the time of its capture: a stream's records become segments of a TCP
connection made up for them, with handshake, acknowledgements and, for CLOSE, a FIN.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from .capture import NS
from .header import CLOSE, Transport
from .inet import ACK, FIN, SYN, TCP, UDP, Endpoint
from .observation import Observation

_NANOSECOND_PCAP = 0xA1B23C4D
_LINKTYPE_RAW = 101
"""Packets begin with the IP header."""
_SNAPLEN = 1 << 18
_PSH = 0x08
_WINDOW = 65535
_TTL = 64
_MOD = 1 << 32


class PlainCapture:
    """A pcap file (nanoseconds, LINKTYPE_RAW) in the making."""

    def __init__(self, file: BinaryIO) -> None:
        """Write the file's header to *file*."""
        self._file = file
        self._next: dict[frozenset[Endpoint], dict[Endpoint, int]] = {}
        """Next sequence numbers by sender, of each connection."""
        file.write(struct.pack("<IHHiIII", _NANOSECOND_PCAP, 2, 4, 0, 0, _SNAPLEN, _LINKTYPE_RAW))

    def add(self, seen: Observation) -> None:
        """Write what was decrypted of a record; nothing if that is nothing."""
        if seen.plaintext is None:
            return
        if seen.transport is Transport.DGRAM:
            self._write(seen.time, seen.src, seen.dst, UDP, _udp(seen))
            return
        src, dst = seen.src, seen.dst
        following = self._next.get(frozenset((src, dst)))
        if following is None:
            following = self._open(seen)
        close = seen.header is not None and bool(seen.header.flags & CLOSE)
        seq, ack = following[src], following[dst]
        flags = ACK | (FIN if close else _PSH)
        self._write(seen.time, src, dst, TCP, _tcp(src, dst, seq, ack, flags, seen.plaintext))
        # A FIN takes a sequence number, as a SYN does.
        following[src] = (seq + len(seen.plaintext) + close) % _MOD

    def _open(self, seen: Observation) -> dict[Endpoint, int]:
        """The handshake; who sent the first record that we know opened the connection."""
        src, dst = seen.src, seen.dst
        self._write(seen.time, src, dst, TCP, _tcp(src, dst, 0, 0, SYN, b""))
        self._write(seen.time, dst, src, TCP, _tcp(dst, src, 0, 1, SYN | ACK, b""))
        self._write(seen.time, src, dst, TCP, _tcp(src, dst, 1, 1, ACK, b""))
        following = self._next[frozenset((src, dst))] = {src: 1, dst: 1}
        return following

    def _write(self, time: int, src: Endpoint, dst: Endpoint, proto: int, segment: bytes) -> None:
        """One packet, its transport checksum filled in."""
        at = 16 if proto == TCP else 6
        pseudo = src.address + dst.address + struct.pack(">IHBB", len(segment), 0, 0, proto)
        checksum = _checksum(pseudo + segment) or (0xFFFF if proto == UDP else 0)
        segment = segment[:at] + checksum.to_bytes(2) + segment[at + 2 :]
        packet = _ip(src, dst, proto, len(segment)) + segment
        seconds, ns = divmod(time, NS)
        self._file.write(struct.pack("<4I", seconds, ns, len(packet), len(packet)) + packet)


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ip(src: Endpoint, dst: Endpoint, proto: int, length: int) -> bytes:
    if len(src.address) == 16:
        return struct.pack(">IHBB", 6 << 28, length, proto, _TTL) + src.address + dst.address
    head = struct.pack(">BBHHHBB", 0x45, 0, 20 + length, 0, 0, _TTL, proto)
    addresses = src.address + dst.address
    return head + _checksum(head + b"\0\0" + addresses).to_bytes(2) + addresses


def _tcp(src: Endpoint, dst: Endpoint, seq: int, ack: int, flags: int, data: bytes) -> bytes:
    head = struct.pack(">HHIIBBHHH", src.port, dst.port, seq, ack, 5 << 4, flags, _WINDOW, 0, 0)
    return head + data


def _udp(seen: Observation) -> bytes:
    data = seen.plaintext or b""
    return struct.pack(">HHHH", seen.src.port, seen.dst.port, 8 + len(data), 0) + data
