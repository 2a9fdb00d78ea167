# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to lay out a UDP datagram in IP packets: fragments, options, headers, lengths."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fuzz.net import udp
from fuzz.net.ip import UDP, checksum, ipv4_packet, ipv6_packet, pseudo_checksum

_FRAGMENT, _HOP_BY_HOP, _ROUTING, _DESTINATION, _NONE = 44, 0, 43, 60, 59


@dataclass(frozen=True)
class Bare:
    """A datagram before it is in packets.

    Attributes:
        source: address.
        destination: address.
        ident: tells its fragments from others'.
        segment: UDP header and payload.
    """

    source: bytes
    destination: bytes
    ident: int
    segment: bytes

    @property
    def family(self) -> int:
        """IP version."""
        return 4 if len(self.source) == 4 else 6

    def packet(self, payload: bytes, protocol: int = UDP) -> bytes:
        """One packet, unfragmented."""
        if self.family == 4:
            return ipv4_packet(self.source, self.destination, protocol, payload, ident=self.ident)
        return ipv6_packet(self.source, self.destination, protocol, payload)

    def fragment(self, start: int, end: int, *, more: bool | None = None) -> bytes:
        """One packet with some bytes of the segment; `start` is a multiple of 8."""
        piece = self.segment[start:end]
        flag = end < len(self.segment) if more is None else more
        if self.family == 4:
            field = flag << 13 | start // 8
            return ipv4_packet(
                self.source, self.destination, UDP, piece, ident=self.ident, fragment=field
            )
        head = struct.pack(">BBHI", UDP, 0, start | flag, self.ident)
        return ipv6_packet(self.source, self.destination, _FRAGMENT, head + piece)


Make = Callable[[Bare, random.Random], list[bytes]]


@dataclass(frozen=True)
class Layout:
    """A way to lay out a datagram.

    Attributes:
        name: of it.
        make: gives the packets.
    """

    name: str
    make: Make


def _pieces(bare: Bare, size: int) -> list[bytes]:
    return [
        bare.fragment(start, min(start + size, len(bare.segment)))
        for start in range(0, len(bare.segment), size)
    ]


def _fragments() -> Iterator[Layout]:
    def arranged(size: int, arrange: Callable[[list[bytes], random.Random], list[bytes]]) -> Make:
        return lambda bare, draw: arrange(_pieces(bare, size), draw)

    for size in (8, 16, 24, 48, 56, 64):
        yield Layout(f"fragments of {size}", arranged(size, lambda pieces, _: pieces))
    for name, arrange in (
        ("reversed", lambda pieces, _: pieces[::-1]),
        ("shuffled", lambda pieces, draw: draw.sample(pieces, len(pieces))),
        ("each twice", lambda pieces, _: [one for one in pieces for _ in range(2)]),
        ("first missing", lambda pieces, _: pieces[1:]),
        ("one missing", lambda pieces, _: pieces[:1] + pieces[2:]),
        ("last missing", lambda pieces, _: pieces[:-1]),
        ("all, and the first again", lambda pieces, _: [*pieces, pieces[0]]),
    ):
        yield Layout(f"fragments, {name}", arranged(24, arrange))
    yield Layout("one fragment is all", lambda bare, _: [bare.fragment(0, len(bare.segment))])
    yield Layout(
        "fragments that overlap",
        lambda bare, _: [bare.fragment(0, 40), bare.fragment(24, len(bare.segment))],
    )
    yield Layout(
        "no last fragment",
        lambda bare, _: [bare.fragment(0, len(bare.segment) // 8 * 8, more=True)],
    )


def _with_udp(change: Callable[[bytes], bytes]) -> Make:
    """The UDP header changed, with no new checksum."""
    return lambda bare, _: [bare.packet(change(bare.segment[:8]) + bare.segment[8:])]


def _lengths() -> Iterator[Layout]:
    def length(by: int) -> Make:
        def make(bare: Bare, draw: random.Random) -> list[bytes]:  # noqa: ARG001
            size = (len(bare.segment) + by) & 0xFFFF
            claimed = bare.segment[:4] + struct.pack(">HH", size, 0) + bare.segment[8:]
            if by < 0 <= size - 8:
                claimed = _shortened(bare, size) + bare.segment[size:]
            return [bare.packet(claimed)]

        return make

    for by in (-49, -48, -17, -16, -8, -1, 1, 8, 100, 65000):
        yield Layout(f"UDP length {by:+}", length(by))
    yield Layout("UDP length 0", _with_udp(lambda head: head[:4] + b"\0\0" + head[6:]))
    yield Layout("UDP length 0, checksum right", lambda bare, _: [bare.packet(_jumbo(bare))])
    yield Layout("UDP length 7", _with_udp(lambda head: head[:4] + b"\0\7" + head[6:]))
    yield Layout("no checksum", _with_udp(lambda head: head[:6] + b"\0\0"))
    yield Layout("wrong checksum", _with_udp(lambda head: head[:6] + b"\x12\x34"))
    yield Layout("checksum of ones", _with_udp(lambda head: head[:6] + b"\xff\xff"))
    yield Layout("half a UDP header", lambda bare, _: [bare.packet(bare.segment[:4])])
    yield Layout("no payload", lambda bare, _: [bare.packet(_shortened(bare, 8))])
    yield Layout(
        "bytes after the packet", lambda bare, _: [bare.packet(bare.segment) + b"\xaa" * 9]
    )


def _shortened(bare: Bare, size: int) -> bytes:
    """The segment cut to a size, UDP header included, and right in itself."""
    own, other = struct.unpack_from(">HH", bare.segment)
    return udp.segment(bare.source, bare.destination, own, other, bare.segment[8:size])


def _jumbo(bare: Bare) -> bytes:
    """The segment with length 0 and the checksum of all of it (RFC 2675, section 4)."""
    head = bare.segment[:4] + bytes(4)
    check = pseudo_checksum(bare.source, bare.destination, UDP, head + bare.segment[8:])
    return head[:6] + check.to_bytes(2) + bare.segment[8:]


_OPTIONS4 = {
    "no operation": b"\1" * 4,
    "end of options": bytes(8),
    "40 bytes of no operation": b"\1" * 40,
    "record route": b"\x07\x0b\x04" + bytes(8) + b"\0",
    "record route, full": b"\x07\x07\x08" + bytes(4) + b"\0",
    "record route, wrong pointer": b"\x07\x07\x03" + bytes(4) + b"\0",
    "record route, one byte short": b"\x07\x07\x06" + bytes(4) + b"\0",
    "time stamps": b"\x44\x0c\x05\x00" + bytes(8),
    "router alert": b"\x94\x04\x00\x00",
    "unknown": b"\x9e\x08" + b"\xaa" * 6,
    "loose source route": b"\x83\x07\x04" + bytes(4) + b"\0",
    "strict source route": b"\x89\x07\x04" + bytes(4) + b"\0",
    "an option of length 0": b"\x9e\x00\x00\x00",
    "an option of length 1": b"\x9e\x01\x00\x00",
    "an option past the end": b"\x9e\x09" + bytes(6),
    "an option without a length": b"\1\1\1\x9e",
}


def _ipv4() -> Iterator[Layout]:
    def options(value: bytes) -> Make:
        return lambda bare, _: [
            ipv4_packet(
                bare.source, bare.destination, UDP, bare.segment, ident=bare.ident, options=value
            )
        ]

    def changed(offset: int, value: bytes, *, sum_right: bool = True) -> Make:
        def make(bare: Bare, draw: random.Random) -> list[bytes]:  # noqa: ARG001
            whole = bare.packet(bare.segment)
            head = whole[:offset] + value + whole[offset + len(value) : 20]
            if sum_right:
                head = head[:10] + checksum(head[:10] + b"\0\0" + head[12:]).to_bytes(2) + head[12:]
            return [head + whole[20:]]

        return make

    for name, value in _OPTIONS4.items():
        yield Layout(f"option: {name}", options(value))
    yield Layout("TTL 1", changed(8, b"\1"))
    yield Layout("TOS 255", changed(1, b"\xff"))
    yield Layout("do not fragment", changed(6, b"\x40\0"))
    yield Layout("header checksum wrong", changed(10, b"\x12\x34", sum_right=False))
    yield Layout("header of 16 bytes", changed(0, b"\x44"))
    yield Layout("header of 24 bytes", changed(0, b"\x46"))
    yield Layout("total length too long", changed(2, b"\x40\0"))
    yield Layout("total length of the header", changed(2, b"\0\x14"))
    yield Layout("total length in the UDP header", changed(2, b"\0\x18"))
    yield Layout("version 6", changed(0, b"\x65"))
    yield Layout("another protocol", changed(9, b"\x88"))


def _elsewhere(destination: bytes = b"", port: int = 0) -> Make:
    """To another address or port than the socket's own."""

    def make(bare: Bare, draw: random.Random) -> list[bytes]:  # noqa: ARG001
        own, other = struct.unpack_from(">HH", bare.segment)
        to = destination or bare.destination
        segment = udp.segment(bare.source, to, own, port or other, bare.segment[8:])
        return [Bare(bare.source, to, bare.ident, segment).packet(segment)]

    return make


_NOBODYS_PORT = 9
_GROUPS = {
    4: {"all hosts": bytes((224, 0, 0, 1)), "broadcast": b"\xff" * 4},
    6: {"all nodes": b"\xff\x02" + bytes(13) + b"\1"},
}
"""That every host is in."""


def _destinations(family: int) -> Iterator[Layout]:
    for name, address in _GROUPS[family].items():
        yield Layout(f"to {name}", _elsewhere(address))
    yield Layout("to a port that nobody listens on", _elsewhere(port=_NOBODYS_PORT))


def _head6(following: int, body: bytes) -> bytes:
    """An extension header, padded to a multiple of 8 bytes with zeros (Pad1)."""
    body += bytes(-(len(body) + 2) % 8)
    return bytes((following, (len(body) + 2) // 8 - 1)) + body


_PAD6 = b"\1\4\0\0\0\0"
_SKIPPED = b"\x1e\4abcd"
_CHAINS: dict[str, list[tuple[int, bytes]]] = {
    "hop by hop, padding": [(_HOP_BY_HOP, _PAD6)],
    "destination, padding": [(_DESTINATION, _PAD6)],
    "hop by hop, Pad1": [(_HOP_BY_HOP, bytes(6))],
    "hop by hop, padding not zero": [(_HOP_BY_HOP, b"\1\4\0\0\1\0")],
    "hop by hop, an option to skip": [(_HOP_BY_HOP, _SKIPPED)],
    "destination, 8 options to skip": [(_DESTINATION, _SKIPPED * 8 + b"\1\4\0\0\0\0")],
    "destination, 9 options to skip": [(_DESTINATION, _SKIPPED * 9 + b"\1\6" + bytes(6))],
    "destination, an option to refuse": [(_DESTINATION, b"\x5e\4abcd")],
    "destination, an option to complain of": [(_DESTINATION, b"\x9e\4abcd")],
    "hop by hop, an option past the end": [(_HOP_BY_HOP, b"\x1e\x20abcd")],
    "destination, 200 bytes": [(_DESTINATION, b"\x1e\xc4" + bytes(0xC4))],
    "routing, nothing left": [(_ROUTING, b"\0\0" + bytes(4))],
    "routing, one left": [(_ROUTING, b"\0\1" + bytes(4) + bytes(16))],
    "all in order": [
        (_HOP_BY_HOP, _PAD6), (_DESTINATION, _SKIPPED), (_ROUTING, b"\0\0" + bytes(4)),
        (_DESTINATION, _PAD6),
    ],
    "hop by hop second": [(_DESTINATION, _PAD6), (_HOP_BY_HOP, _PAD6)],
    "destination ten times": [(_DESTINATION, _PAD6)] * 10,
    "an unknown header": [(0xFD, _PAD6)],
}  # fmt: skip


def _chain(kinds: Sequence[tuple[int, bytes]], last: int = UDP) -> Make:
    def make(bare: Bare, draw: random.Random) -> list[bytes]:  # noqa: ARG001
        following = [*(kind for kind, _ in kinds[1:]), last]
        heads = b"".join(
            _head6(after, body) for (_, body), after in zip(kinds, following, strict=True)
        )
        return [bare.packet(heads + bare.segment, kinds[0][0])]

    return make


def _ipv6() -> Iterator[Layout]:
    for name, kinds in _CHAINS.items():
        yield Layout(f"header: {name}", _chain(kinds))
    yield Layout("header: nothing follows", _chain([(_DESTINATION, _PAD6)], _NONE))

    def length(by: int) -> Make:
        def make(bare: Bare, draw: random.Random) -> list[bytes]:  # noqa: ARG001
            whole = bare.packet(bare.segment)
            size = (len(bare.segment) + by) & 0xFFFF
            return [whole[:4] + size.to_bytes(2) + whole[6:]]

        return make

    for by in (-48, -8, -1, 1, 8):
        yield Layout(f"payload length {by:+}", length(by))
    yield Layout(
        "flow label", lambda bare, _: [b"\x60\x0f\xff\xff" + bare.packet(bare.segment)[4:]]
    )
    yield Layout("hop limit 1", lambda bare, _: [_hop(bare.packet(bare.segment))])
    yield Layout("version 4", lambda bare, _: [b"\x40" + bare.packet(bare.segment)[1:]])


def _hop(packet: bytes) -> bytes:
    return packet[:7] + b"\1" + packet[8:]


LAYOUTS = {
    4: tuple(itertools.chain(_fragments(), _lengths(), _ipv4(), _destinations(4))),
    6: tuple(itertools.chain(_fragments(), _lengths(), _ipv6(), _destinations(6))),
}
"""By IP version."""
