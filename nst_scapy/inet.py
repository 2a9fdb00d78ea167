# SPDX-License-Identifier: GPL-2.0-or-later
"""From a captured frame to a TCP segment or a UDP datagram, no packet objects made.

Lengths are those on the wire; what a snapshot length cut off is missing from
``data``. Checksums are not looked at: captures on the sending host have none yet.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from .capture import Frame
from .fragments import Fragment, Reassembly

TCP = 6
UDP = 17

FIN = 0x01
SYN = 0x02
RST = 0x04
ACK = 0x10


class Endpoint(NamedTuple):
    """An address (4 or 16 bytes) and a port."""

    address: bytes
    port: int

    def __str__(self) -> str:
        return _endpoint_text(self)

    @property
    def multicast(self) -> bool:
        """Whether the address is a multicast address or the limited broadcast one."""
        address = self.address
        if len(address) == 4:
            return 224 <= address[0] <= 239 or address == b"\xff\xff\xff\xff"
        return address[0] == 0xFF


@lru_cache(maxsize=4096)
def _endpoint_text(endpoint: Endpoint) -> str:
    address = ip_address(endpoint.address)
    return f"[{address}]:{endpoint.port}" if address.version == 6 else f"{address}:{endpoint.port}"


class Segment(NamedTuple):
    """A TCP segment. *length* is its payload's on the wire, ``data`` what was captured."""

    src: Endpoint
    dst: Endpoint
    seq: int
    ack: int
    flags: int
    data: bytes
    length: int


class Datagram(NamedTuple):
    """A UDP datagram. *length* is its payload's on the wire, ``data`` what was captured."""

    src: Endpoint
    dst: Endpoint
    data: bytes
    length: int


MAX_PAIRS = 4096
"""Pairs of endpoints kept ready made; most frames are between few."""

_IPV4 = struct.Struct(">BxHHHxB2x8s")
"""Version and header length, total length, identification, fragment, protocol, addresses."""
_TCP = struct.Struct(">4xIIBB")
"""Sequence and acknowledgement numbers, data offset, flags."""
_unpack_tcp = _TCP.unpack_from
_unpack_plain = struct.Struct(">12xHBxH2xHxB2x12s").unpack_from
"""Of a frame: EtherType, version and header length, total length, fragment, protocol, ends."""
_PLAIN_LEN = 54
"""Bytes of the headers of TCP over IPv4 over Ethernet."""
_LINKTYPE_ETHERNET = 1
_new = tuple.__new__
"""What a named tuple's own constructor calls, which takes longer to get there than it does."""
_UDP_LENGTH = struct.Struct(">4xH")


class _Skip(Exception):
    """The frame holds nothing for us; the argument says why, for the count."""


class Parser:
    """Parses frames, reassembling IP fragments.

    Attributes:
        skipped: how many frames were passed over, by reason.
    """

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self._reassembly = Reassembly()
        self._pairs: dict[bytes, tuple[Endpoint, Endpoint]] = {}

    def parse(self, frame: Frame) -> Segment | Datagram | None:
        """The segment or datagram that the frame holds or completes."""
        packet = self._plain(frame)
        if packet is not None:
            return packet
        link = _LINKS.get(frame.linktype)
        try:
            if link is None:
                raise _Skip(f"of unknown link type {frame.linktype}")
            at = link(frame.data)
            return None if at is None else self._network(at, frame)
        except _Skip as skip:
            self.skipped[str(skip)] += 1
        except (IndexError, struct.error):
            self.skipped["cut off within their headers"] += 1
        return None

    def _plain(self, frame: Frame) -> Segment | Datagram | None:
        """What a whole, unfragmented IPv4 packet in Ethernet holds, if its ends are known.

        Nearly all frames go this short way; ``None`` for any other.
        """
        _, _, linktype, data, wire_len = frame
        length = len(data)
        if linktype != _LINKTYPE_ETHERNET or length != wire_len or length < _PLAIN_LEN:
            return None
        kind, version, total, fragment, proto, key = _unpack_plain(data)
        pair = self._pairs.get(key)
        end = 14 + total
        if pair is None or (kind, version) != (0x0800, 0x45) or fragment & 0x3FFF or end > length:
            return None
        src, dst = pair
        if proto == UDP:
            udp = 34 + (data[38] << 8 | data[39])
            if 42 <= udp <= end:
                return _new(Datagram, (src, dst, data[42:udp], udp - 42))
        elif proto == TCP:
            seq, ack, offset, flags = _unpack_tcp(data, 34)
            payload = 34 + (offset >> 4) * 4
            if 54 <= payload <= end:
                return _new(Segment, (src, dst, seq, ack, flags, data[payload:end], end - payload))
        return None

    def _network(self, at: int, frame: Frame) -> Segment | Datagram | None:
        data = frame.data
        missing = frame.wire_len - len(data)
        if missing < 0:
            missing = 0
        version = data[at] >> 4
        if version == 4:
            return self._ipv4(data, at, missing, frame.time)
        if version == 6:
            return self._ipv6(data, at, missing, frame.time)
        return None

    def _ipv4(
        self, data: bytes, at: int, missing: int, time: int | None
    ) -> Segment | Datagram | None:
        version, total, ident, fragment, proto, addresses = _IPV4.unpack_from(data, at)
        if proto not in (TCP, UDP):
            return None
        start = at + (version & 15) * 4
        # A total length of 0 is one over 65535, from before segmentation offload.
        end = at + (total or len(data) + missing - at)
        if start < at + 20 or end < start or end > len(data) + missing:
            raise _Skip("with a malformed IP header")
        if fragment & 0x3FFF:
            payload = data[start:end]
            return self._fragment(
                Fragment(
                    (addresses, proto, ident),
                    (fragment & 0x1FFF) * 8,
                    bool(fragment & 0x2000),
                    payload,
                ),
                proto,
                cut=len(payload) < end - start,
                time=time,
            )
        return self._transport(proto, addresses, data, start, end)

    def _ipv6(
        self, data: bytes, at: int, missing: int, time: int | None
    ) -> Segment | Datagram | None:
        addresses = data[at + 8 : at + 40]
        if len(addresses) < 32:
            raise IndexError
        start = at + 40
        end = start + (data[at + 4] << 8 | data[at + 5])
        if end == start:  # a jumbogram, from before segmentation offload
            end = len(data) + missing
        if end > len(data) + missing:
            raise _Skip("with a malformed IP header")
        proto = data[at + 6]
        while proto not in (TCP, UDP):
            if proto in (0, 43, 60):  # hop-by-hop options, routing, destination options
                proto, start = data[start], start + 8 + data[start + 1] * 8
            elif proto == 51:  # authentication header
                proto, start = data[start], start + 8 + data[start + 1] * 4
            elif proto == 44:
                offset = data[start + 2] << 8 | data[start + 3]
                inner = data[start]
                start += 8
                if not offset & 0xFFF9:  # the whole packet in one fragment
                    proto = inner
                    continue
                if inner not in (TCP, UDP):
                    return None
                payload = data[start:end]
                return self._fragment(
                    Fragment(
                        (addresses, inner, int.from_bytes(data[start - 4 : start])),
                        offset & 0xFFF8,
                        bool(offset & 1),
                        payload,
                    ),
                    inner,
                    cut=len(payload) < end - start,
                    time=time,
                )
            else:
                return None
            if start > end:
                raise _Skip("with a malformed IP header")
        return self._transport(proto, addresses, data, start, end)

    def _fragment(
        self, fragment: Fragment, proto: int, *, cut: bool, time: int | None
    ) -> Segment | Datagram | None:
        if cut:
            raise _Skip("with a fragment that the snapshot length cut off")
        whole = self._reassembly.add(fragment, time or 0)
        if whole is None:
            return None
        return self._transport(proto, fragment.key[0], whole, 0, len(whole))

    def _transport(
        self, proto: int, addresses: bytes, data: bytes, start: int, end: int
    ) -> Segment | Datagram:
        """The TCP or UDP header at *start*; the IP payload ends at *end* on the wire."""
        src, dst = self._pair(addresses, data[start : start + 4])
        if proto == UDP:
            (length,) = _UDP_LENGTH.unpack_from(data, start)
            if length < 8 or start + length > end:
                raise _Skip("with a malformed UDP header")
            return Datagram(src, dst, data[start + 8 : start + length], length - 8)
        seq, ack, offset, flags = _TCP.unpack_from(data, start)
        payload = start + (offset >> 4) * 4
        if payload < start + 20 or payload > end:
            raise _Skip("with a malformed TCP header")
        return Segment(src, dst, seq, ack, flags, data[payload:end], end - payload)

    def _pair(self, addresses: bytes, ports: bytes) -> tuple[Endpoint, Endpoint]:
        """Source and destination, from both addresses and both ports."""
        key = addresses + ports
        pair = self._pairs.get(key)
        if pair is None:
            if len(ports) < 4:
                raise IndexError
            half = len(addresses) // 2
            pair = (
                Endpoint(addresses[:half], int.from_bytes(ports[:2])),
                Endpoint(addresses[half:], int.from_bytes(ports[2:])),
            )
            if len(self._pairs) >= MAX_PAIRS:
                self._pairs.clear()
            self._pairs[key] = pair
        return pair

    @property
    def incomplete(self) -> int:
        """Fragmented packets that never became whole."""
        return self._reassembly.incomplete


_IP_TYPES = (0x0800, 0x86DD)
_VLAN_TYPES = (0x8100, 0x88A8, 0x9100)


def _ethertype(data: bytes, at: int) -> int | None:
    """Where the IP header starts, given the offset of an EtherType; VLAN tags are passed."""
    while (kind := data[at] << 8 | data[at + 1]) in _VLAN_TYPES:
        at += 4
    return at + 2 if kind in _IP_TYPES else None


def _ethernet(data: bytes) -> int | None:
    return _ethertype(data, 12)


def _cooked(data: bytes) -> int | None:
    return _ethertype(data, 14)


def _cooked_v2(data: bytes) -> int | None:
    kind = data[0] << 8 | data[1]
    if kind in _VLAN_TYPES:
        return _ethertype(data, 22)
    return 20 if kind in _IP_TYPES else None


def _null(data: bytes) -> int | None:
    """BSD loopback: the address family, in the byte order of whoever captured."""
    return 4 if {data[0], data[3]} & {2, 10, 24, 28, 30} else None


def _raw(data: bytes) -> int | None:  # noqa: ARG001
    return 0


_LINKS: dict[int, Callable[[bytes], int | None]] = {
    0: _null,
    1: _ethernet,
    12: _raw,  # as some BSDs number it
    14: _raw,
    101: _raw,
    108: _null,
    113: _cooked,
    228: _raw,
    229: _raw,
    276: _cooked_v2,
}
"""LINKTYPE_ value to a function that finds the IP header, ``None`` if there is none."""
