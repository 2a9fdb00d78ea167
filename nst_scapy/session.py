# SPDX-License-Identifier: GPL-2.0-or-later
"""A session for ``sniff``: one packet for each record, sealed or decrypted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from scapy.config import conf
from scapy.layers.inet import TCP
from scapy.packet import Packet
from scapy.sessions import TCPSession

from .capture import Stamp
from .header import MAGIC
from .keybox import KeyBox
from .layer import NST, NSTPlain, bound_ports
from .packet_observer import PacketObserver
from .pieces import record_pieces
from .restack import End, bytes_of, ends, replaced
from .tcp import Missing, Reassembler
from .verdict import Verdict

_MAGIC_BYTES = MAGIC.to_bytes(4)
_MASK = 0xFFFFFFFF


class _Stream:
    """One direction of a connection: the bytes of a record whose end has not come."""

    def __init__(self) -> None:
        self.reassembler = Reassembler()
        self.buffer = b""
        self.seq = 0
        """Sequence number of the buffer's first byte."""
        self.carrier: Packet | None = None
        """The last packet with bytes of it, whose lower layers the end of the capture takes."""


class NSTSession(TCPSession):
    """Puts TCP in order and gives one packet for each record.

    ``sniff(session=NSTSession)`` gives sealed records: the lower layers of the segment
    that completed one, and the :class:`~nst_scapy.layer.NST`. What is between records is
    raw bytes; packets that carry none, and those of other ports, pass as they are.

    ``sniff(session=NSTSession(keybox))`` gives what :class:`.PacketObserver` makes of
    them: decrypted packets, those that are ``OK`` only unless *verify* is false.

    What waits for bytes that were never captured, and not acknowledged either, comes at the
    end of the capture, or of the last one if there are several. A live ``sniff`` has no such
    end (Scapy tells a session of none but a socket's ``EOFError``): it stays out there.

    With ``app=True`` it is Scapy's own.
    """

    def __init__(
        self,
        keybox: KeyBox | None = None,
        *args: Any,
        verify: bool = True,
        ports: Collection[int] | None = None,
        **kwargs: Any,
    ) -> None:
        """Decrypt with *keybox*, if any, what is to or from *ports*."""
        super().__init__(*args, **kwargs)
        self._ports = bound_ports() if ports is None else ports
        self._verify = verify
        self._observer = None
        if keybox is not None:
            self._observer = PacketObserver(keybox, ports=self._ports)
        self._streams: dict[tuple[End, End], _Stream] = {}
        self._count = 0
        self._reading: set[int] = set()
        """The sockets that have not ended, by ``id``."""

    def recv(self, sock: Any) -> Iterator[Packet]:
        """The packets that the next one of *sock* completes."""
        if self.app:
            yield from super().recv(sock)
            return
        try:
            pkt = sock.recv(stop_dissection_after=None if self._observer else TCP)
        except EOFError:
            self._reading.discard(id(sock))
            if not self._reading:
                yield from self._rest()
            raise
        self._reading.add(id(sock))
        if not pkt:
            return
        if self._observer is None:
            yield from self._records(pkt)
        else:
            yield from self._wanted(self._observer.observe(pkt))

    def _wanted(self, opened: list[Packet]) -> Iterator[Packet]:
        for plain in opened:
            if not self._verify or plain[NSTPlain].verdict == Verdict.OK:
                yield plain

    def _rest(self) -> Iterator[Packet]:
        """What can be told only now that no packets follow."""
        if self._observer is not None:
            yield from self._wanted(self._observer.finish())
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            if stream.carrier is None:
                continue
            for piece, _ in stream.reassembler.finish():
                yield from self._taken(stream, piece, stream.carrier, turned=False)
            yield from self._taken(stream, None, stream.carrier, turned=False)

    def _records(self, pkt: Packet) -> Iterator[Packet]:
        tcp = pkt.getlayer(TCP)
        if tcp is None or not {tcp.sport, tcp.dport} & set(self._ports):
            yield pkt
            return
        src, dst = ends(tcp)
        first = (tcp.seq + bool(tcp.flags.S)) & _MASK
        stream = self._streams.get((src, dst))
        if stream is None or (tcp.flags.S and not stream.reassembler.is_start(first)):
            stream = self._streams[src, dst] = _Stream()
            stream.seq = first
            stream.reassembler.start(first)
        self._count += 1
        stamp = Stamp(self._count, 0)
        found: list[Packet] = []
        back = self._streams.get((dst, src))
        if back is not None and tcp.flags.A:
            # An acknowledgement can show that bytes of the other direction were lost.
            for piece, _ in back.reassembler.acked(tcp.ack):
                found += self._taken(back, piece, pkt, turned=True)
        data = b"" if tcp.flags.R else bytes_of(tcp.payload)
        if not data:
            found.append(pkt)
        if data:
            stream.carrier = pkt
        if data or tcp.flags.F:
            placed = stream.reassembler.segment(
                first, data, len(data), fin=bool(tcp.flags.F), stamp=stamp
            )
            for piece, _ in placed:
                found += self._taken(stream, piece, pkt, turned=False)
        if tcp.flags.R:
            self._streams.pop((src, dst), None)
            self._streams.pop((dst, src), None)
        yield from found

    def _taken(self, stream: _Stream, piece: object, pkt: Packet, *, turned: bool) -> list[Packet]:
        """The packets made of the records that a piece of the stream completes."""
        if isinstance(piece, bytes):
            stream.buffer += piece
            pieces, end, _ = record_pieces(stream.buffer)
        else:  # a hole, or the end: what is there will not become whole
            pieces, end = [stream.buffer] if stream.buffer else [], len(stream.buffer)
        made = []
        for wire in pieces:
            whole = wire.startswith(_MAGIC_BYTES) and isinstance(piece, bytes)
            layer = NST(wire) if whole else conf.raw_layer(wire)
            made.append(self._packet(pkt, layer, stream.seq, turned=turned))
            stream.seq = (stream.seq + len(wire)) & _MASK
        stream.buffer = stream.buffer[end:]
        if isinstance(piece, Missing):
            stream.seq = (stream.seq + piece.length) & _MASK
        return made

    @staticmethod
    def _packet(pkt: Packet, layer: Packet, seq: int, *, turned: bool) -> Packet:
        made = replaced(pkt, pkt[TCP], [layer], keep=True)
        made.time = pkt.time
        tcp = made[TCP]
        if turned:
            lower = tcp.underlayer
            while lower is not None:
                if {"src", "dst"} <= lower.default_fields.keys():
                    lower.src, lower.dst = lower.dst, lower.src
                lower = lower.underlayer
            tcp.sport, tcp.dport, tcp.ack = tcp.dport, tcp.sport, tcp.seq
        tcp.seq = seq
        return made
