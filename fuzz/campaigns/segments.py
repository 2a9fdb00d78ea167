# SPDX-License-Identifier: GPL-2.0-or-later
"""A stream's segments in any form that TCP allows, and some that it does not."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from boofuzz import Fuzzable, FuzzableBlock

from fuzz.campaigns.primitives import Choice
from fuzz.campaigns.steps import CUTS, Cuts
from fuzz.campaigns.values import FAMILY, values_of
from fuzz.net.inflow import WINDOW
from fuzz.net.tcp import TcpFlag
from fuzz.script import Action, Loose, Step
from nst_scapy.header import HEADER_LEN

_DATA = TcpFlag.ACK | TcpFlag.PSH
_PIECE = 1400


@dataclass(frozen=True)
class _Named:
    """A way to do something, by name."""

    name: str


@dataclass(frozen=True)
class Order(_Named):
    """The order in which segments are sent."""

    arrange: Callable[[list[Loose], random.Random], list[Loose]]


def _shuffled(segments: list[Loose], draw: random.Random) -> list[Loose]:
    return draw.sample(segments, len(segments))


ORDERS = (
    Order("reversed", lambda segments, _: segments[::-1]),
    Order("shuffled", _shuffled),
    Order("first one last", lambda segments, _: segments[1:] + segments[:1]),
    Order("last one first", lambda segments, _: segments[-1:] + segments[:-1]),
    Order("odd ones first", lambda segments, _: segments[1::2] + segments[::2]),
)


@dataclass(frozen=True)
class Repeat(_Named):
    """Which bytes are sent more than once."""

    back: int
    """How many bytes before its own a segment begins, at most."""
    other: bool = False
    """Whether what comes again is something else; the first stands."""
    whole: int = 0
    """How often all is sent again, one after another."""


REPEATS = (
    Repeat("one byte", 1),
    Repeat("a header", HEADER_LEN),
    Repeat("all before", 1 << 20),
    Repeat("one byte, another", 1, other=True),
    Repeat("a header, another", HEADER_LEN, other=True),
    Repeat("all before, other bytes", 1 << 20, other=True),
    Repeat("everything once more", 0, whole=1),
    Repeat("everything twice more", 0, whole=2),
    Repeat("everything once more, other bytes", 0, other=True, whole=1),
)


@dataclass(frozen=True)
class Marks(_Named):
    """What all segments have in common."""

    flags: int = 0
    window: int = WINDOW
    urgent: int = 0


MARKS = (
    *(Marks(f"urgent {at}", TcpFlag.URG, urgent=at) for at in (0, 1, 2, 5, 48, 49, 1000, 65535)),
    Marks("urgent pointer without URG", urgent=7),
    *(Marks(f"window {size}", window=size) for size in (0, 1, 536)),
    Marks("ECE and CWR", 0xC0),
    Marks("no PSH, all others", TcpFlag.URG | 0xC0, urgent=3),
)


@dataclass(frozen=True)
class Stray(_Named):
    """A segment that does not belong, after a share of the others."""

    after: float
    flags: int
    shift: int = 0
    """From the next byte's offset."""
    length: int = 0
    """Of other bytes than the stream's."""
    intact: bool = True


_PLACES = {"first": 0.0, "early": 0.3, "late": 0.7, "last": 1.0}
STRAYS = tuple(
    Stray(f"{name}, {place}", after, *what)
    for place, after in _PLACES.items()
    for name, *what in (
        ("RST", TcpFlag.RST),
        ("RST and ACK", TcpFlag.RST | TcpFlag.ACK),
        ("RST one byte on", TcpFlag.RST, 1),
        ("RST one byte back", TcpFlag.RST, -1),
        ("RST far on", TcpFlag.RST, 20000),
        ("FIN", TcpFlag.FIN | TcpFlag.ACK),
        ("FIN one byte on", TcpFlag.FIN | TcpFlag.ACK, 1),
        ("FIN without ACK", TcpFlag.FIN),
        ("SYN", TcpFlag.SYN),
        ("SYN with data", TcpFlag.SYN | TcpFlag.ACK, 0, 60),
        ("data without ACK", TcpFlag.PSH, 0, 60),
        ("data, wrong checksum", _DATA, 0, 60, False),
        ("4 bytes, wrong checksum", _DATA, 0, 4, False),
        ("data beyond the window", _DATA, WINDOW + 8192, 60),
        ("data before the stream", _DATA, -(1 << 20), 60),
        ("no bytes", TcpFlag.ACK),
        ("no bytes, all flags", 0xFF, 0, 0, False),
    )
)


@dataclass(frozen=True)
class End(_Named):
    """How the direction ends; the offset is from the stream's end."""

    flags: int = TcpFlag.FIN | TcpFlag.ACK
    with_last: bool = False
    times: int = 1
    after: bytes = b""
    lost: int = 0
    """Bytes of the stream that never come."""


ENDS = (
    End("nothing", times=0),
    End("FIN with the last bytes", with_last=True),
    End("FIN twice", times=2),
    End("RST", TcpFlag.RST),
    *(End(f"FIN {n} bytes early", lost=n) for n in (1, 16, 47, 48, 49, 63, 64, 65, 96, 112, 150)),
    End("bytes after FIN", after=b"\xbe\xef\x13\x37\x01 after the end"),
)


class Segments(FuzzableBlock):  # type: ignore[misc]
    """Children, rendered one after another, become a stream, sent in segments of any form."""

    def __init__(self, name: str, records: Sequence[Fuzzable]) -> None:
        """`records` are the stream's."""
        self._records = list(records)
        self._cuts = Choice("cuts", CUTS)
        self._order = Choice("order", ORDERS)
        self._repeat = Choice("repeat", REPEATS)
        self._marks = Choice("marks", MARKS)
        self._stray = Choice("stray", STRAYS)
        self._end = Choice("end", ENDS)
        choices = [self._cuts, self._order, self._repeat, self._marks, self._stray, self._end]
        super().__init__(name=name, children=[*self._records, *choices])

    def encode(self, value: Any, mutation_context: Any) -> bytes:
        """boofuzz's hook: the steps' bytes."""
        values = values_of(mutation_context)
        draw = random.Random(values[f"{self.name}.cuts"])
        records = [record.render(mutation_context) for record in self._records]
        stream = b"".join(records)
        cuts = self._cuts.get_value(mutation_context)
        pieces = cuts.cut(records, draw) if isinstance(cuts, Cuts) else records
        end = self._end.get_value(mutation_context) or End("FIN")
        pieces, stream = _shortened(pieces, end.lost), stream[: max(0, len(stream) - end.lost)]
        order = self._order.get_value(mutation_context)
        if order is not None:
            # Waiting for a gap to close, Linux joins them with the FIN, and takes them in.
            end = dataclasses.replace(end, after=b"")
        segments = _ended(stream, _segments(pieces), end)
        repeat = self._repeat.get_value(mutation_context)
        if isinstance(repeat, Repeat):
            # Linux alone decides which bytes stand if a gap closes over two versions.
            segments = _repeated(stream, segments, repeat, other=repeat.other and order is None)
        if isinstance(order, Order):
            segments = order.arrange(segments, draw)
        stray = self._stray.get_value(mutation_context)
        if order is not None and stray is not None:
            # Waiting for a gap, other bytes may be where it says that there are no more: then it
            # is for Linux to say whether the stream ends there, by what it has joined.
            stray = None if stray.flags & TcpFlag.FIN else stray
        if isinstance(stray, Stray):
            segments = _with_stray(stream, segments, stray)
        marks = self._marks.get_value(mutation_context)
        if isinstance(marks, Marks):
            segments = [
                one._replace(
                    flags=one.flags | marks.flags, window=marks.window, urgent=marks.urgent
                )
                for one in segments
            ]
        steps = [Step(Action.CONNECT, values[FAMILY]), *(one.step() for one in segments)]
        return b"".join(step.pack() for step in steps)


def _with_stray(stream: bytes, segments: list[Loose], stray: Stray) -> list[Loose]:
    at = round(len(segments) * stray.after)
    offset = max((one.offset + len(one.payload) for one in segments[:at]), default=0)
    one = Loose(
        offset + stray.shift, stray.flags, intact=stray.intact,
        payload=bytes(byte ^ 0xFF for byte in stream[: stray.length]),
    )  # fmt: skip
    return [*segments[:at], one, *segments[at:]]


def _shortened(pieces: Sequence[bytes], lost: int) -> list[bytes]:
    """Pieces without the last bytes of all."""
    left = max(0, sum(map(len, pieces)) - lost)
    found = []
    for piece in pieces:
        found.append(piece[:left])
        left -= len(found[-1])
    return found


def _ended(stream: bytes, segments: list[Loose], end: End) -> list[Loose]:
    if end.with_last and segments:
        *segments, last = segments
        return [*segments, last._replace(flags=last.flags | end.flags)]
    ends = [Loose(len(stream), end.flags)] * end.times
    more = [Loose(len(stream) + 1, _DATA, payload=end.after)] if end.after else []
    return segments + ends + more


def _segments(pieces: Sequence[bytes]) -> list[Loose]:
    """Pieces of a stream in order, none longer than a frame takes."""
    short = [piece[at : at + _PIECE] for piece in pieces for at in range(0, len(piece), _PIECE)]
    ends = itertools.accumulate(map(len, short), initial=0)
    return [Loose(start, _DATA, payload=piece) for start, piece in zip(ends, short, strict=False)]


def _repeated(stream: bytes, segments: list[Loose], repeat: Repeat, *, other: bool) -> list[Loose]:
    def again(data: bytes) -> bytes:
        return bytes(byte ^ 0x5A for byte in data) if other else data

    found = []
    for one in segments:
        back = min(repeat.back, one.offset, max(0, _PIECE - len(one.payload)))
        before = again(stream[one.offset - back : one.offset]) if one.payload else b""
        found.append(one._replace(offset=one.offset - len(before), payload=before + one.payload))
    for one in segments * repeat.whole:
        found.append(one._replace(payload=again(one.payload)))
    return found
