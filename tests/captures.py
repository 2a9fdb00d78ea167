# SPDX-License-Identifier: GPL-2.0-or-later
"""Captures made by hand: frames by Scapy, records by the codec's senders."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap, wrpcapng

from nst_scapy.capture import Frame
from nst_scapy.header import DEFAULT_PORT, Role
from nst_scapy.keybox import KeyBox
from nst_scapy.observation import Observation
from nst_scapy.observer import Observer, observe_frames
from nst_scapy.sender import DgramSender, StreamSender
from nst_scapy.suite import SuiteId

T0 = 1_700_000_000_123_456_789
"""Capture time of the first frame, ns."""
STEP = 1_000_000_007
"""Nanoseconds from one frame to the next."""
KEYBOX = KeyBox({kid: bytes([kid + 1]) * 32 for kid in range(4)})
CLIENT_PORT = 40000

_V4 = ("192.0.2.1", "192.0.2.2")
_V6 = ("2001:db8::1", "2001:db8::2")


def dgram_sender(seed: int = 1, suite: SuiteId = SuiteId.AES_GCM, **kwargs: int) -> DgramSender:
    """A sender that repeats."""
    return DgramSender(KEYBOX, suite, rng=random.Random(seed), **kwargs)


def stream_sender(
    role: Role, seed: int = 1, suite: SuiteId = SuiteId.AES_GCM, **kwargs: int
) -> StreamSender:
    """A sender that repeats."""
    rng = random.Random(seed * 2 + (role is Role.ACCEPTOR))
    return StreamSender(role, KEYBOX, suite, rng=rng, **kwargs)


@dataclass
class Capture:
    """Frames in order of capture, :data:`STEP` apart."""

    v6: bool = False
    link: Packet = field(
        default_factory=lambda: Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    )
    packets: list[Packet] = field(default_factory=list)

    @property
    def now(self) -> int:
        """Time of the next frame, ns."""
        return T0 + len(self.packets) * STEP

    def ip(self, to_server: bool) -> Packet:
        """An IP header between the two hosts."""
        hosts = _V6 if self.v6 else _V4
        src, dst = hosts if to_server else hosts[::-1]
        return IPv6(src=src, dst=dst) if self.v6 else IP(src=src, dst=dst)

    def add(self, packet: Packet) -> None:
        """Capture *packet*, from IP on."""
        framed = self.link.copy() / packet
        framed.time = Decimal(self.now) / 10**9
        self.packets.append(framed)

    def udp(
        self, payload: bytes, *, to_server: bool = True, client_port: int = CLIENT_PORT
    ) -> None:
        """A datagram between the client and port 48879 of the server."""
        ports = (client_port, DEFAULT_PORT) if to_server else (DEFAULT_PORT, client_port)
        self.add(self.ip(to_server) / UDP(sport=ports[0], dport=ports[1]) / Raw(payload))

    def frames(self) -> list[Frame]:
        """As a reader would give them."""
        return [
            Frame(n, T0 + (n - 1) * STEP, 1, bytes(packet), len(packet))
            for n, packet in enumerate(self.packets, start=1)
        ]

    def observe(self, keybox: KeyBox | None = KEYBOX, **kwargs: int) -> list[Observation]:
        """What an observer says of it."""
        return list(observe_frames(self.frames(), Observer(keybox, **kwargs)))

    def write(self, path: Path) -> Path:
        """As pcap with nanoseconds, or pcapng by the name's suffix (microseconds)."""
        if path.suffix == ".pcapng":
            wrpcapng(str(path), self.packets)
            return path
        wrpcap(str(path), self.packets, nano=True)
        return path


class Connection:
    """A TCP connection in a capture."""

    def __init__(
        self, capture: Capture, *, client_port: int = CLIENT_PORT, isns: tuple[int, int] = (7, 9)
    ) -> None:
        self.capture = capture
        self._ports = client_port, DEFAULT_PORT
        self._next = {True: isns[0], False: isns[1]}

    def segment(
        self, to_server: bool, data: bytes = b"", flags: str = "A", *, back: int = 0
    ) -> None:
        """Capture a segment that begins *back* bytes before the next one expected."""
        ports = self._ports if to_server else self._ports[::-1]
        tcp = TCP(
            sport=ports[0],
            dport=ports[1],
            flags=flags,
            seq=(self._next[to_server] - back) & 0xFFFFFFFF,
            ack=self._next[not to_server] & 0xFFFFFFFF if "A" in flags else 0,
        )
        packet = self.capture.ip(to_server) / tcp
        self.capture.add(packet / Raw(data) if data else packet)

    def advance(self, to_server: bool, length: int) -> None:
        """Send *length* bytes that are not captured (here)."""
        self._next[to_server] += length

    def open(self) -> Connection:
        """The handshake."""
        self.segment(True, flags="S")
        self.advance(True, 1)
        self.segment(False, flags="SA")
        self.advance(False, 1)
        self.segment(True)
        return self

    def send(self, to_server: bool, data: bytes, size: int = 1400) -> None:
        """Data in segments of at most *size* bytes."""
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self.segment(to_server, piece, "PA")
            self.advance(to_server, len(piece))

    def fin(self, to_server: bool) -> None:
        """End one direction."""
        self.segment(to_server, flags="FA")
        self.advance(to_server, 1)


def verdicts(observations: list[Observation]) -> list[str]:
    """Their verdicts, by the specification's names."""
    return [observation.as_dict()["verdict"] for observation in observations]


def snapped(frame: Frame, length: int) -> Frame:
    """The frame as a capture with that snapshot length has it."""
    return frame._replace(data=frame.data[:length])


def pcap_bytes(frames: list[Frame], endian: str = "<", linktype: int = 1) -> bytes:
    """A pcap file with microseconds."""
    parts = [struct.pack(endian + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, linktype)]
    for frame in frames:
        assert frame.time is not None
        seconds, ns = divmod(frame.time, 10**9)
        head = struct.pack(endian + "4I", seconds, ns // 1000, len(frame.data), frame.wire_len)
        parts += head, frame.data
    return b"".join(parts)
