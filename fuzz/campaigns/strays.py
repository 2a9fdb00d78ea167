# SPDX-License-Identifier: GPL-2.0-or-later
"""TCP segments that belong to no connection, or to half of one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from boofuzz import FuzzableBlock

from fuzz.campaigns.primitives import Choice
from fuzz.campaigns.values import values_of
from fuzz.net.ip import TCP, ipv4_packet, ipv6_packet, pseudo_checksum
from fuzz.net.tcp import Segment, TcpFlag
from fuzz.script import Action, Step
from fuzz.stations import GUEST, HOST
from nst_scapy.header import DEFAULT_PORT

_ACK, _SYN, _RST, _FIN = TcpFlag.ACK, TcpFlag.SYN, TcpFlag.RST, TcpFlag.FIN
_PORTS = (60001, 65535)
"""Our own; connections have others (`fuzz/net/dialler.py`)."""
_NOBODYS_PORT = 9
_NOT_NST = b"GET / HTTP/1.1\r\n\r\n"


@dataclass(frozen=True)
class Addressed:
    """The ends of a segment."""

    source: bytes
    destination: bytes
    port: int
    seq: int

    def segment(
        self, flags: TcpFlag, payload: bytes = b"", *, ahead: int = 0, to: int = DEFAULT_PORT
    ) -> bytes:
        """One that begins `ahead` of the first sequence number, with a right checksum."""
        seq = (self.seq + ahead) % (1 << 32)
        whole = Segment(self.port, to, seq, 1, flags, 65535, payload)
        return whole.pack(self.source, self.destination)

    def header_of(self, words: int) -> bytes:
        """One whose header is said to have so many words of 4 bytes."""
        data = self.segment(_ACK, _NOT_NST)
        data = data[:12] + bytes((words << 4,)) + data[13:16] + bytes(2) + data[18:]
        check = pseudo_checksum(self.source, self.destination, TCP, data)
        return data[:16] + check.to_bytes(2) + data[18:]


@dataclass(frozen=True)
class Stray:
    """Segments that nobody waits for.

    Attributes:
        name: of them.
        make: gives them.
    """

    name: str
    make: Callable[[Addressed], list[bytes]]


def _half_open(*more: tuple[TcpFlag, bytes]) -> Callable[[Addressed], list[bytes]]:
    """A handshake that is not completed, as what acknowledges it is wrong; and broken off."""
    return lambda at: [
        at.segment(_SYN),
        *(at.segment(flags, payload, ahead=1) for flags, payload in more),
        at.segment(_RST, ahead=1),
    ]


def _cut(size: int) -> Stray:
    return Stray(f"{size} bytes of a header", lambda at: [at.segment(_ACK)[:size]])


def _headed(words: int) -> Stray:
    return Stray(f"a header of {4 * words} bytes", lambda at: [at.header_of(words)])


STRAYS = (
    Stray("for a listener", lambda at: [at.segment(_ACK, _NOT_NST)]),
    Stray("for a listener, FIN", lambda at: [at.segment(_ACK | _FIN, _NOT_NST)]),
    Stray("for a listener, no ACK", lambda at: [at.segment(TcpFlag.PSH, _NOT_NST)]),
    Stray("for nobody", lambda at: [at.segment(_ACK, _NOT_NST, to=_NOBODYS_PORT)]),
    Stray("RST with bytes", lambda at: [at.segment(_RST, _NOT_NST)]),
    Stray("SYN with bytes, and RST", lambda at: [
        at.segment(_SYN, _NOT_NST), at.segment(_RST, ahead=1),
    ]),
    Stray("half open", _half_open()),
    Stray("half open, bytes", _half_open((_ACK, _NOT_NST))),
    Stray("half open, a few bytes", _half_open((_ACK, _NOT_NST[:4]))),
    Stray("half open, FIN", _half_open((_ACK | _FIN, _NOT_NST))),
    *(_cut(size) for size in (0, 1, 8, 19, 20)),
    *(_headed(words) for words in (0, 1, 4, 5, 6, 9, 10, 15)),
)  # fmt: skip
"""The guest's TCP drops or refuses all of them, and NST leaves that to it."""


class Strays(FuzzableBlock):  # type: ignore[misc]
    """Packets with some of `STRAYS`."""

    def __init__(self, name: str, family: int) -> None:
        """`family` is the IP version."""
        self._family = family
        self._stray = Choice("stray", STRAYS[1:])
        super().__init__(name=name, children=[self._stray])

    def encode(self, value: Any, mutation_context: Any) -> bytes:
        """boofuzz's hook: the steps' bytes."""
        draw = random.Random(values_of(mutation_context)[f"{self.name}.cuts"])
        source, destination = HOST.ip(self._family), GUEST.ip(self._family)
        at = Addressed(source, destination, draw.randint(*_PORTS), draw.getrandbits(32))
        stray = self._stray.get_value(mutation_context) or STRAYS[0]
        packet = ipv4_packet if self._family == 4 else ipv6_packet
        packets = [packet(source, destination, TCP, segment) for segment in stray.make(at)]
        return b"".join(Step(Action.PACKET, self._family, one).pack() for one in packets)
