# SPDX-License-Identifier: GPL-2.0-or-later
"""Plain conversations in a capture, made into NST ones.

Every stream is put in order, sealed at the boundaries of its segments, and cut into
segments again at the same places: so retransmitted and out-of-order segments stay what
they are, and sequence and acknowledgement numbers are moved by what sealing added. Bytes
that were not captured stay missing, unsealed and as many. SACK options are left alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from scapy.config import conf
from scapy.layers.inet import TCP, UDP
from scapy.packet import Packet

from .header import Role
from .layer import NST
from .restack import MAX_CARRIED, End, bytes_of, ends, replaced, time_ns
from .sender import DgramSender, StreamSender

NewSender = Callable[[Role | None], DgramSender | StreamSender]
"""Makes the sender of one socket: for datagrams the role is ``None``."""

_MASK = 0xFFFFFFFF


def _carriers(
    packets: Iterable[Packet], layer: type[Packet], ports: Collection[int]
) -> list[tuple[Packet, Packet | None]]:
    """Each packet, with its TCP or UDP layer if it is to be sealed."""
    found = []
    for pkt in packets:
        carrier = pkt.getlayer(layer)
        if carrier is not None and carrier.sport not in ports and carrier.dport not in ports:
            carrier = None
        found.append((pkt, carrier))
    if not any(carrier is not None for _, carrier in found):
        wanted = ", ".join(map(str, ports))
        raise ValueError(f"no {layer.__name__} packet to or from port {wanted} to seal")
    return found


def seal_datagrams(
    packets: Iterable[Packet], new_sender: NewSender, ports: Collection[int], now: int | None
) -> list[Packet]:
    """Seal the payload of every UDP packet, under one epoch for each address and port.

    Raises:
        ValueError: no packet is to or from *ports*, or one is too long when sealed.
    """
    senders: dict[End, DgramSender] = {}
    sealed = []
    for index, (pkt, carrier) in enumerate(_carriers(packets, UDP, ports)):
        if carrier is None:
            sealed.append(pkt.copy())
            continue
        src, _ = ends(carrier)
        sender = senders.get(src)
        if sender is None:
            made = new_sender(None)
            assert isinstance(made, DgramSender)
            sender = senders[src] = made
        wire = sender.seal(bytes_of(carrier.payload), now=time_ns(pkt) if now is None else now)
        if len(wire) > MAX_CARRIED:
            raise ValueError(f"packet {index} is too long to seal")
        sealed.append(replaced(pkt, carrier, [NST(wire)], keep=True))
    return sealed


@dataclass
class _Segment:
    """What of a packet is in the stream; *offset* counts from the direction's first byte."""

    index: int
    time: int
    offset: int
    data: bytes
    fin: bool

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


@dataclass
class _Side:
    """One direction of a connection."""

    base: int | None = None
    """Sequence number of the first byte."""
    segments: list[_Segment] = field(default_factory=list)
    opened: Role | None = None
    """What its SYN tells of its sender."""
    starts: list[int] = field(default_factory=list)
    """Where pieces begin, in the plain stream; the last one ends it."""
    sealed_starts: list[int] = field(default_factory=list)
    pieces: dict[int, bytes] = field(default_factory=dict)
    """Sealed, by where they begin in the plain stream."""
    fin: int | None = None
    closing: bytes = b""

    def offset(self, seq: int) -> int:
        """Of a byte, from its sequence number; may be negative."""
        ahead: int = (seq - (self.base or 0)) & _MASK
        return ahead - (1 << 32) if ahead >= 1 << 31 else ahead

    def first_data(self) -> int | None:
        """Index of the packet that carries data first."""
        return min((s.index for s in self.segments if s.data), default=None)

    def seal(self, sender: StreamSender) -> None:
        """Seal the stream, piece by piece."""
        edges = sorted({edge for s in self.segments for edge in (s.offset, s.end)})
        source: dict[int, _Segment] = {}
        for segment in self.segments:
            low, high = bisect_right(edges, segment.offset) - 1, bisect_right(edges, segment.end)
            for edge in edges[low : high - 1]:
                source.setdefault(edge, segment)
        at = edges[0] if edges else 0
        for start, end in zip(edges, [*edges[1:], *edges[-1:]], strict=True):
            self.starts.append(start)
            self.sealed_starts.append(at)
            segment_of = source.get(start)
            if segment_of is None or start == end:
                at += end - start
                continue
            first = start - segment_of.offset
            piece = segment_of.data[first : first + end - start]
            self.pieces[start] = sender.seal(piece, now=segment_of.time)
            at += len(self.pieces[start])
        fins = [segment for segment in self.segments if segment.fin]
        if fins:
            self.fin = fins[0].end
            self.closing = sender.close(now=fins[0].time)

    def moved(self, offset: int) -> int:
        """Where *offset* of the plain stream is in the sealed one."""
        if self.fin is not None and offset > self.fin:
            return self.moved(self.fin) + len(self.closing) + offset - self.fin
        place = bisect_right(self.starts, offset) - 1
        if place < 0:
            return offset
        beyond = offset - self.starts[place] if place == len(self.starts) - 1 else 0
        return self.sealed_starts[place] + beyond

    def sequence(self, seq: int) -> int:
        """The sequence number of that byte once the stream is sealed."""
        if self.base is None:
            return seq
        return (self.base + self.moved(self.offset(seq))) & _MASK

    def payload(self, offset: int, length: int, *, fin: bool) -> bytes:
        """What a segment carries instead."""
        low, high = (bisect_right(self.starts, edge) - 1 for edge in (offset, offset + length))
        whole = b"".join(self.pieces.get(start, b"") for start in self.starts[low:high])
        return whole + (self.closing if fin else b"")


class _Connection:
    """Both directions."""

    def __init__(self) -> None:
        self.sides: dict[End, _Side] = {}

    def begins_anew(self, src: End, tcp: Packet) -> bool:
        """Whether a SYN belongs to a later connection of the same ends."""
        side = self.sides.get(src)
        if not tcp.flags.S or tcp.flags.A or side is None or side.base is None:
            return False
        return bool(side.base != (tcp.seq + 1) & _MASK)

    def add(self, index: int, time: int, tcp: Packet) -> None:
        """Take note of a packet."""
        src, dst = ends(tcp)
        side = self.sides.setdefault(src, _Side())
        self.sides.setdefault(dst, _Side())
        syn = bool(tcp.flags.S)
        first = (tcp.seq + syn) & _MASK
        if side.base is None:
            side.base = first
        if syn:
            side.opened = Role.ACCEPTOR if tcp.flags.A else Role.INITIATOR
        data = b"" if tcp.flags.R else bytes_of(tcp.payload)
        if data or tcp.flags.F:
            offset = side.offset(first)
            side.segments.append(_Segment(index, time, offset, data, bool(tcp.flags.F)))

    def seal(self, new_sender: NewSender) -> None:
        """Seal both directions."""
        initiator, acceptor = self._in_order()
        senders = []
        for side, role in (initiator, Role.INITIATOR), (acceptor, Role.ACCEPTOR):
            sender = new_sender(role)
            assert isinstance(sender, StreamSender)
            senders.append(sender)
            question, answer = initiator.first_data(), acceptor.first_data()
            if role is Role.ACCEPTOR and question is not None and answer is not None:
                token = senders[0].first_token
                if question < answer and token is not None:
                    sender.bind(token)
            side.seal(sender)

    def _in_order(self) -> tuple[_Side, _Side]:
        """Initiator and acceptor, by the SYN or else by who speaks first."""
        one, other = self.sides.values()
        if Role.INITIATOR in (one.opened, other.opened):
            swap = other.opened is Role.INITIATOR
        elif Role.ACCEPTOR in (one.opened, other.opened):
            swap = one.opened is Role.ACCEPTOR
        else:
            mine, theirs = one.first_data(), other.first_data()
            swap = theirs is not None and (mine is None or theirs < mine)
        return (other, one) if swap else (one, other)


def seal_streams(
    packets: Iterable[Packet], new_sender: NewSender, ports: Collection[int], now: int | None
) -> list[Packet]:
    """Seal every TCP conversation in the list.

    Raises:
        ValueError: no packet is to or from *ports*, or a connection's two ends are one.
    """
    found = _carriers(packets, TCP, ports)
    latest: dict[frozenset[End], _Connection] = {}
    connections: list[_Connection] = []
    of_packet: list[_Connection | None] = []
    for index, (pkt, tcp) in enumerate(found):
        if tcp is None:
            of_packet.append(None)
            continue
        src, dst = ends(tcp)
        if src == dst:
            raise ValueError(f"packet {index} is from a socket to itself")
        key = frozenset((src, dst))
        connection = latest.get(key)
        if connection is None or connection.begins_anew(src, tcp):
            connection = latest[key] = _Connection()
            connections.append(connection)
        connection.add(index, time_ns(pkt) if now is None else now, tcp)
        of_packet.append(connection)
    for connection in connections:
        connection.seal(new_sender)
    sealed: list[Packet] = []
    for (pkt, tcp), connection in zip(found, of_packet, strict=True):
        if tcp is None or connection is None:
            sealed.append(pkt.copy())
        else:
            sealed += _resealed(pkt, tcp, connection)
    return sealed


def _resealed(pkt: Packet, tcp: Packet, connection: _Connection) -> Iterator[Packet]:
    """The packet with its part of the sealed stream, and numbers to match.

    It becomes several if sealing makes it too long, as it does those that were captured
    before segmentation.
    """
    src, dst = ends(tcp)
    mine, theirs = connection.sides[src], connection.sides[dst]
    syn, fin = bool(tcp.flags.S), bool(tcp.flags.F)
    first = (tcp.seq + syn) & _MASK
    length = 0 if tcp.flags.R else len(bytes_of(tcp.payload))
    payload = mine.payload(mine.offset(first), length, fin=fin) if length or fin else b""
    seq = mine.sequence(first) - syn
    for start in range(0, max(1, len(payload)), MAX_CARRIED):
        piece = payload[start : start + MAX_CARRIED]
        contents = [NST(piece) if start == 0 else conf.raw_layer(piece)] if piece else []
        sealed = replaced(pkt, tcp, contents, keep=True)
        sealed[TCP].seq = (seq + start) & _MASK
        if tcp.flags.A:
            sealed[TCP].ack = theirs.sequence(tcp.ack)
        if start + MAX_CARRIED < len(payload):
            sealed[TCP].flags.F = False
        yield sealed
