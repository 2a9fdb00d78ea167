# SPDX-License-Identifier: GPL-2.0-or-later
"""What UDP hands on of the IP packets that reach it, as Linux does as shipped.

Only packets for the host's own unicast address, and for groups that every host is in. A packet
that the host answers with an ICMP error counts as one that does not arrive.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from fuzz.net.ip import UDP, checksum, pseudo_checksum

_IPV4_LEN, _IPV6_LEN, _UDP_LEN = 20, 40, 8
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION = 0, 43, 44, 60
_CLASS_D, _MULTICAST6 = 224, 0xFF
"""The first byte of groups' addresses: this or a larger one (the broadcast address) of IPv4's."""
_MAX_OPTIONS = 8
"""Options in one extension header (net.ipv6.max_hbh_opts_number and its twin)."""
_MAX_PAD = 7
_ROUTE_LOOSE, _ROUTE_STRICT, _RECORD_ROUTE, _TIMESTAMP, _ALERT = 0x83, 0x89, 0x07, 0x44, 0x94


class Arrived(NamedTuple):
    """A datagram that came.

    Attributes:
        payload: UDP's.
        delivered: whether a socket gets it; else it gets as far as netfilter's LOCAL_IN, and
            is then refused for an extension header.
        ports: its source's and its destination's.
        grouped: whether it was for a multicast or broadcast address.
    """

    payload: bytes
    delivered: bool
    ports: tuple[int, int]
    grouped: bool = False


@dataclass
class _Pieces:
    """A datagram in fragments."""

    pieces: dict[int, bytes] = field(default_factory=dict)
    length: int | None = None

    def add(self, offset: int, data: bytes, *, last: bool) -> bool:
        """Take in a fragment; False if it overlaps another, which ends the datagram."""
        if self.pieces.get(offset) == data:
            return True  # the same once more
        end = offset + len(data)
        if any(start < end and offset < start + len(one) for start, one in self.pieces.items()):
            return False
        if last:
            self.length = end
        self.pieces[offset] = data
        return True

    def whole(self) -> bytes | None:
        """The datagram, if no fragment is missing."""
        joined = b"".join(data for _, data in sorted(self.pieces.items()))
        return joined if len(joined) == self.length else None


class Arrival:
    """The IP layer of a host, with the fragments that it keeps.

    Attributes:
        fragmented: whether any packet so far was a fragment.
        unmeasured: whether a datagram over IPv6 did not say how long it is (RFC 2675, section 4).
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[bytes, bytes], _Pieces] = {}
        self.fragmented = False
        self.unmeasured = False
        self._doomed = False

    @property
    def waiting(self) -> bool:
        """Whether fragments wait for others, with which they would make a datagram."""
        return bool(self._waiting)

    def packet(self, family: int, data: bytes) -> list[Arrived]:
        """What comes because of one packet: one datagram or none."""
        self._doomed = False
        found = self._ipv4(data) if family == 4 else self._ipv6(data)
        if found is None:
            return []
        source, destination, length = struct.unpack_from(">HHH", found)
        self.unmeasured |= not length
        to = data[16] if family == 4 else data[24]
        grouped = to >= _CLASS_D if family == 4 else to == _MULTICAST6
        return [Arrived(found[_UDP_LEN:], not self._doomed, (source, destination), grouped)]

    def _ipv4(self, data: bytes) -> bytes | None:
        if len(data) < _IPV4_LEN:
            return None
        start, length = (data[0] & 15) * 4, int.from_bytes(data[2:4])
        if data[0] >> 4 != 4 or not _IPV4_LEN <= start <= length <= len(data):
            return None
        if checksum(data[:start]) or not _options_sane(data[_IPV4_LEN:start]):
            return None
        segment, source, destination = data[start:length], data[12:16], data[16:20]
        where = int.from_bytes(data[6:8])
        if where & 0x3FFF:
            key = (data[12:20] + data[9:10], data[4:6])
            whole = self._fragment(key, where & 0x1FFF, segment, more=bool(where & 0x2000))
            if whole is None:
                return None
            segment = whole
        return _udp(source, destination, segment) if data[9] == UDP else None

    def _ipv6(self, data: bytes) -> bytes | None:
        if len(data) < _IPV6_LEN or data[0] >> 4 != 6:
            return None
        length = int.from_bytes(data[4:6])
        if length > len(data) - _IPV6_LEN:
            return None
        return self._headers(
            data[6], data[_IPV6_LEN : _IPV6_LEN + length], data[8:24], data[24:40], first=True
        )

    def _headers(
        self, kind: int, data: bytes, source: bytes, destination: bytes, *, first: bool
    ) -> bytes | None:
        """Walk the extension headers."""
        while kind != UDP:
            if len(data) < 8:
                return None
            size = 8 if kind == _FRAGMENT else (data[1] + 1) * 8
            head, rest = data[:size], data[size:]
            if len(head) < size:
                return None
            if kind == _FRAGMENT:
                return self._fragment6(head, rest, source, destination)
            if kind == _HOP_BY_HOP and first:
                if not _options6_sane(head[2:]):
                    return None  # the only header that is read before LOCAL_IN
            elif kind == _DESTINATION:
                self._doomed |= not _options6_sane(head[2:])
            elif kind == _ROUTING:
                self._doomed |= bool(head[3])  # it would have to be routed on
            elif kind == _HOP_BY_HOP:
                self._doomed = True  # it is in the wrong place
            else:
                return None
            kind, data, first = head[0], rest, False
        return _udp(source, destination, data)

    def _fragment6(
        self, head: bytes, rest: bytes, source: bytes, destination: bytes
    ) -> bytes | None:
        self.fragmented = True
        if self._doomed:
            return None
        where = int.from_bytes(head[2:4])
        if where & 0xFFF9:
            key = (source + destination, head[4:8])
            whole = self._fragment(key, where >> 3, rest, more=bool(where & 1))
            if whole is None:
                return None
            rest = whole
        return self._headers(head[0], rest, source, destination, first=False)

    def _fragment(
        self, key: tuple[bytes, bytes], offset: int, data: bytes, *, more: bool
    ) -> bytes | None:
        self.fragmented = True
        if more:
            data = data[: len(data) // 8 * 8]
        waiting = self._waiting.setdefault(key, _Pieces())
        if not waiting.add(offset * 8, data, last=not more):
            del self._waiting[key]
            return None
        whole = waiting.whole()
        if whole is not None:
            del self._waiting[key]
        return whole


def _udp(source: bytes, destination: bytes, segment: bytes) -> bytes | None:
    """UDP's header and payload, if they are right."""
    if len(segment) < _UDP_LEN:
        return None
    length, check = struct.unpack_from(">HH", segment, 4)
    if not length and len(source) != 4:
        length = len(segment)  # RFC 2675, section 4
    if not _UDP_LEN <= length <= len(segment):
        return None
    segment = segment[:length]
    if check:
        if pseudo_checksum(source, destination, UDP, segment):
            return None
    elif len(source) != 4:
        return None  # IPv6 knows no datagram without a checksum
    return segment


def _options_sane(options: bytes) -> bool:
    """Whether Linux takes an IPv4 packet with these options (net/ipv4/ip_options.c)."""
    while options and options[0]:
        if options[0] == 1:
            options = options[1:]
            continue
        if len(options) < 2 or not 2 <= options[1] <= len(options):
            return False
        option, options = options[: options[1]], options[options[1] :]
        check = _OPTIONS.get(option[0])
        if check is not None and not check(option):
            return False
    return True


def _record_sane(option: bytes) -> bool:
    return len(option) >= 3 and option[2] >= 4 and not len(option) - 3 < option[2] <= len(option)


def _timestamp_sane(option: bytes) -> bool:
    return len(option) >= 4 and option[2] >= 5 and not len(option) - 3 < option[2] <= len(option)


_OPTIONS: dict[int, Callable[[bytes], bool]] = {
    _ROUTE_LOOSE: lambda _: False,  # accept_source_route is off
    _ROUTE_STRICT: lambda _: False,
    _RECORD_ROUTE: _record_sane,
    _TIMESTAMP: _timestamp_sane,
    _ALERT: lambda option: len(option) >= 4,
}


def _options6_sane(options: bytes) -> bool:
    """Whether Linux takes an options header with these (ip6_parse_tlv in net/ipv6/exthdrs.c)."""
    count = padding = 0
    while options:
        if options[0] == 0:
            padding += 1
            if padding > _MAX_PAD:
                return False
            options = options[1:]
            continue
        if len(options) < 2 or len(options) < 2 + options[1]:
            return False
        option, options = options[: 2 + options[1]], options[2 + options[1] :]
        if option[0] == 1:
            padding += len(option)
            if padding > _MAX_PAD or any(option[2:]):
                return False
            continue
        padding = 0
        count += 1
        if count > _MAX_OPTIONS or option[0] >> 6:
            return False
    return True
