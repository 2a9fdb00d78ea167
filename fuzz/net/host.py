# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign's end of a guest's link: a host with one peer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from fuzz.net import arp, tcp, udp
from fuzz.net.arrival import Arrival
from fuzz.net.ethernet import ARP, IPV4, IPV6, Frame, Station
from fuzz.net.ip import TCP, UDP, Packet, packets, parse_ipv4, parse_ipv6
from fuzz.net.tcp import Segment, TcpFlag
from fuzz.net.udp import Datagram

_FRAGMENT_HEADER = 44
_LOOK_SECONDS = 0.25
Found = TypeVar("Found")


def is_fragment(ethertype: int, packet: bytes) -> bool:
    """Whether an IP packet is one of several that carry a datagram."""
    if ethertype == IPV4:
        return len(packet) > 8 and bool(int.from_bytes(packet[6:8]) & 0x3FFF)
    return ethertype == IPV6 and len(packet) > 8 and packet[6] == _FRAGMENT_HEADER


class Link(Protocol):
    """What carries Ethernet frames; `fuzz.net.link.FrameLink` says what its parts are."""

    def send(self, frames: Iterable[bytes]) -> None: ...
    def receive(self, timeout: float) -> bytes | None: ...


class Host:
    """Sends and receives IP over a link.

    Nothing runs by itself: `poll` takes in what has arrived. Datagrams wait in
    `datagrams`, segments of connections that were `open`ed in their own queues; a
    segment for no open connection is answered with a reset.
    """

    def __init__(
        self,
        link: Link,
        own: Station,
        peer: Station,
        peer_alive: Callable[[], bool] = lambda: True,
    ) -> None:
        """`peer_alive` tells whether there is any point in waiting for the peer."""
        self._link = link
        self._peer_alive = peer_alive
        self.own = own
        self.peer = peer
        self.datagrams: deque[Datagram] = deque()
        self._fragments = Arrival()
        self._connections: dict[tuple[int, int, int], deque[Segment]] = {}
        self._ident = 0
        self._ethernet = {
            family: Frame(peer.mac, own.mac, ethertype, b"").pack()
            for family, ethertype in ((4, IPV4), (6, IPV6))
        }

    def transmit(self, frames: Iterable[bytes]) -> None:
        """Send frames in order; blocks while the guest's queue is full."""
        self._link.send(frames)

    def datagram(
        self, payload: bytes, *, source_port: int, destination_port: int, family: int = 4
    ) -> list[bytes]:
        """The frames that carry a UDP datagram to the peer, several if it needs fragments."""
        source, destination = self.own.ip(family), self.peer.ip(family)
        data = udp.segment(source, destination, source_port, destination_port, payload)
        return self._frames(family, UDP, data)

    def packet(self, packet: bytes, family: int) -> bytes:
        """The frame that carries an IP packet to the peer, whatever the packet says."""
        return self._ethernet[family] + packet

    def segment(self, segment: Segment, family: int = 4, *, intact: bool = True) -> bytes:
        """The frame that carries a TCP segment to the peer; its checksum is wrong on request."""
        data = segment.pack(self.own.ip(family), self.peer.ip(family))
        if not intact:
            data = data[:16] + bytes((data[16] ^ 0x55,)) + data[17:]
        return self._frames(family, TCP, data)[0]

    def open(self, family: int, own_port: int, peer_port: int) -> deque[Segment]:
        """Have the segments of a connection put into the queue that is returned."""
        return self._connections.setdefault((family, own_port, peer_port), deque())

    def close(self, family: int, own_port: int, peer_port: int) -> None:
        """Forget a connection: what still comes for it is answered with a reset."""
        self._connections.pop((family, own_port, peer_port), None)

    def poll(self, timeout: float) -> bool:
        """Take in one frame; False if none came within `timeout` seconds."""
        data = self._link.receive(max(timeout, 0))
        if data is None:
            return False
        frame = Frame.unpack(data)
        if frame is not None:
            self._take(frame)
        return True

    def wait_for(self, find: Callable[[], Found | None], timeout: float) -> Found | None:
        """Take in frames until `find` returns something, and return that.

        Returns `None` after `timeout` seconds, or when the peer is gone.
        """
        deadline = time.monotonic() + timeout
        while (found := find()) is None:
            left = deadline - time.monotonic()
            if not self.poll(min(left, _LOOK_SECONDS)) and (left <= 0 or not self._peer_alive()):
                return None
        return found

    def take_datagram(
        self, *, source_port: int | None = None, destination_port: int | None = None
    ) -> Datagram | None:
        """The oldest waiting datagram with these ports, removed from the queue."""
        for datagram in self.datagrams:
            if source_port in (None, datagram.source_port) and destination_port in (
                None,
                datagram.destination_port,
            ):
                self.datagrams.remove(datagram)
                return datagram
        return None

    def _frames(self, family: int, protocol: int, data: bytes) -> list[bytes]:
        self._ident = (self._ident + 1) & 0xFFFF
        source, destination = self.own.ip(family), self.peer.ip(family)
        return [
            self.packet(packet, family)
            for packet in packets(source, destination, protocol, data, ident=self._ident)
        ]

    def _take(self, frame: Frame) -> None:
        answer: bytes | None = None
        if frame.ethertype == ARP:
            answer = arp.arp_reply(self.own, frame.payload)
        elif is_fragment(frame.ethertype, frame.payload):
            family = 4 if frame.ethertype == IPV4 else 6
            for arrived in self._fragments.packet(family, frame.payload):
                datagram = Datagram(family, self.peer.ip(family), *arrived.ports, arrived.payload)
                self.datagrams.append(datagram)
        elif frame.ethertype == IPV4:
            answer = self._packet(parse_ipv4(frame.payload), frame.source)
        elif frame.ethertype == IPV6:
            answer = self._packet(parse_ipv6(frame.payload), frame.source)
        if answer is not None:
            self.transmit([answer])

    def _packet(self, packet: Packet | None, mac: bytes) -> bytes | None:
        if packet is None:
            return None
        if packet.protocol == TCP and (segment := tcp.Segment.parse(packet)) is not None:
            return self._segment(packet.family, segment)
        if packet.destination != self.own.ip(packet.family):
            return arp.neighbour_advertisement(self.own, mac, packet)
        if packet.protocol == UDP and (datagram := Datagram.parse(packet)) is not None:
            self.datagrams.append(datagram)
            return None
        return arp.neighbour_advertisement(self.own, mac, packet)

    def _segment(self, family: int, segment: Segment) -> bytes | None:
        key = (family, segment.destination_port, segment.source_port)
        queue = self._connections.get(key)
        if queue is not None:
            queue.append(segment)
            return None
        if segment.flags & TcpFlag.RST:
            return None
        reset = Segment(
            segment.destination_port,
            segment.source_port,
            segment.ack,
            (segment.seq + segment.length) & 0xFFFFFFFF,
            TcpFlag.RST | TcpFlag.ACK,
            0,
        )
        return self.segment(reset, family)
