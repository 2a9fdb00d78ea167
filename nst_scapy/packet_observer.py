# SPDX-License-Identifier: GPL-2.0-or-later
"""The observer for Scapy's packets: packets of a capture in, decrypted packets out."""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Collection

from scapy.config import conf
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet
from scapy.utils import EDecimal

from .capture import Frame
from .header import Transport
from .inet import Endpoint, Parser
from .keybox import KeyBox
from .layer import bound_ports
from .observation import Observation
from .observer import Observer
from .replay import DEFAULT_WINDOW_NS
from .restack import plain_packet, replaced, time_ns

_NS = 10**9
_RAW_IP = 101
_REMEMBERED = 4096
"""Packets kept for records that are judged late."""


class PacketObserver:
    """Judges the packets of one capture, live or not, in order.

    For each record it gives a packet: the lower layers of the one in which the verdict
    was reached, an :class:`~nst_scapy.layer.NSTPlain` with ``verdict`` and ``note``, and
    the plaintext. TCP sequence and acknowledgement numbers count plaintext, from the
    first record of each direction on, so that other tools can follow the stream.
    """

    def __init__(
        self,
        keybox: KeyBox | None,
        *,
        window_ns: int = DEFAULT_WINDOW_NS,
        ports: Collection[int] | None = None,
    ) -> None:
        """Look at packets to or from *ports*, by default those that NST is bound to."""
        self._observer = Observer(keybox, window_ns=window_ns)
        self._ports = bound_ports() if ports is None else ports
        self._parser = Parser()
        self._recent: OrderedDict[int, Packet] = OrderedDict()
        self._number = 0
        self._next: dict[tuple[Endpoint, Endpoint], int] = {}
        """TCP sequence number of the next plaintext byte, by direction."""

    def observe(self, pkt: Packet) -> list[Packet]:
        """The records that *pkt* completes, and those that waited for it."""
        self._number += 1
        wire = bytes(pkt)
        time = time_ns(pkt)
        linktype = _RAW_IP
        if not isinstance(pkt, IP | IPv6):
            linktype = conf.l2types.layer2num.get(type(pkt), -1)
        wire_len = max(pkt.wirelen or 0, len(wire))
        parsed = self._parser.parse(Frame(self._number, time, linktype, wire, wire_len))
        if parsed is None or not {parsed.src.port, parsed.dst.port} & set(self._ports):
            return []
        self._recent[self._number] = pkt
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
        return [self._packet(o) for o in self._observer.observe(parsed, self._number, time)]

    def finish(self) -> list[Packet]:
        """The records that can be judged only now that no packets follow."""
        return [self._packet(observation) for observation in self._observer.finish()]

    def _packet(self, seen: Observation) -> Packet:
        plain = plain_packet(seen.header, seen.plaintext, seen.verdict, seen.note)
        carrier = TCP if seen.transport is Transport.STREAM else UDP
        origin = self._recent.get(seen.frame)
        if origin is None or carrier not in origin:  # forgotten, or the last of its fragments
            origin = _lower_layers(seen)
        pkt = replaced(origin, origin[carrier], [plain], keep=True)
        pkt.time = EDecimal(seen.time) / _NS
        if carrier is TCP:
            self._number_bytes(pkt[TCP], seen)
        return pkt

    def _number_bytes(self, tcp: Packet, seen: Observation) -> None:
        there, back = (seen.src, seen.dst), (seen.dst, seen.src)
        seq = tcp.seq = self._next.setdefault(there, tcp.seq)
        tcp.ack = self._next.setdefault(back, tcp.ack)
        self._next[there] = (seq + len(seen.plaintext or b"")) & 0xFFFFFFFF


def _lower_layers(seen: Observation) -> Packet:
    """IP, and TCP or UDP, as the observation tells them."""
    v6 = len(seen.src.address) == 16
    family = socket.AF_INET6 if v6 else socket.AF_INET
    src, dst = (socket.inet_ntop(family, end.address) for end in (seen.src, seen.dst))
    network = IPv6(src=src, dst=dst) if v6 else IP(src=src, dst=dst)
    carrier = TCP if seen.transport is Transport.STREAM else UDP
    return network / carrier(sport=seen.src.port, dport=seen.dst.port)
