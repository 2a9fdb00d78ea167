# SPDX-License-Identifier: GPL-2.0-or-later
"""boofuzz blocks that turn records into the steps of a case."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from boofuzz import (
    BitField,
    Bytes,
    Fuzzable,
    ProtocolSessionReference,
    Request,
    Simple,
    Static,
    String,
)
from boofuzz.mutation_context import MutationContext

from fuzz.campaigns.primitives import Block, Choice, Named
from fuzz.campaigns.values import FAMILY, values_of
from fuzz.net.udp import MAX_PAYLOAD
from fuzz.script import Action, Step, patch
from nst_scapy.header import HEADER_LEN, TOKEN_LEN, TOKEN_OFFSET

_PLAIN = (BitField, Bytes, Simple, Static, String)
"""boofuzz's primitives that render nothing but their own value."""


class CaseRequest(Request):  # type: ignore[misc]
    """A request that renders to a case's steps.

    boofuzz counts all mutations anew for every case that it runs, and renders every element;
    here they are counted once, and what is always the same is rendered once.
    """

    _count: int | None = None
    _fixed: dict[int, bytes] | None = None
    _places: dict[str, int]

    def get_num_mutations(self) -> int:
        """boofuzz's hook: how many there are."""
        if self._count is None:
            self._count = sum(1 for _ in self.get_mutations())
        return self._count

    def get_child_data(self, mutation_context: Any) -> bytes:
        """boofuzz's hook: the case's bytes."""
        if self._fixed is None:
            self._places = {item.qualified_name: index for index, item in enumerate(self.stack)}
            self._fixed = {
                index: item.render(MutationContext())
                for index, item in enumerate(self.stack)
                if isinstance(item, _PLAIN) and not isinstance(item, Named)
                if not isinstance(item._default_value, ProtocolSessionReference)
            }
        rendered = [
            self._fixed[index] if index in self._fixed else item.render(mutation_context)
            for index, item in enumerate(self.stack)
        ]
        for name in mutation_context.mutations:
            index = self._places.get(name, -1)
            if index in self._fixed:
                rendered[index] = self.stack[index].render(mutation_context)
        return b"".join(rendered)


class Datagram(Block):
    """Children become one UDP payload; it may be sent more than once."""

    def __init__(self, name: str, children: Sequence[Fuzzable]) -> None:
        self._copies = Choice("copies", (2, 3, 0))
        super().__init__(name=name, children=[*children, self._copies])

    def encode(self, value: Any, mutation_context: Any) -> bytes:
        """boofuzz's hook: the steps' bytes."""
        family = values_of(mutation_context)[FAMILY]
        # The longest payloads do not fit any more when they were added to.
        payload = self.get_child_data(mutation_context)[: MAX_PAYLOAD[family]]
        copies = self._copies.get_value(mutation_context)
        step = Step(Action.DATAGRAM, family, payload).pack()
        return step * (1 if copies is None else copies)


_REFLECTIONS = (
    b"",
    *(
        patch(offset, 1 << bit)
        for offset in range(HEADER_LEN)
        if not TOKEN_OFFSET < offset < TOKEN_OFFSET + TOKEN_LEN - 1
        for bit in (0, 7)
    ),
    patch(HEADER_LEN, 1),
    # Another counter, then another key: still a session that this socket sealed with.
    patch(22, 0x40) + patch(23, 0x01),
    patch(41, 0x55) + patch(40, 0x03),
)


class Reflection(Fuzzable):  # type: ignore[misc]
    """A datagram that the module sealed, sent back to it, changed or not."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, default_value=b"", fuzz_values=list(_REFLECTIONS[1:]))

    def encode(self, value: bytes, mutation_context: Any) -> bytes:
        """boofuzz's hook: the step's bytes."""
        return Step(Action.REFLECT, values_of(mutation_context)[FAMILY], value).pack()


@dataclass(frozen=True)
class Cuts:
    """A way to cut a stream into segments."""

    name: str
    cut: Callable[[list[bytes], random.Random], list[bytes]]
    """From the stream's records to its segments."""


def _every(size: int, limit: int) -> Callable[[list[bytes], random.Random], list[bytes]]:
    """Pieces of `size` bytes for the first `limit` bytes, the rest in one."""

    def cut(records: list[bytes], draw: random.Random) -> list[bytes]:  # noqa: ARG001
        stream = b"".join(records)
        pieces = [stream[at : at + size] for at in range(0, min(limit, len(stream)), size)]
        return [*pieces, stream[len(b"".join(pieces)) :]]

    return cut


def _at(*offsets: int) -> Callable[[list[bytes], random.Random], list[bytes]]:
    """Each record cut at these offsets."""

    def cut(records: list[bytes], draw: random.Random) -> list[bytes]:  # noqa: ARG001
        pieces = []
        for record in records:
            ends = sorted({end % (len(record) + 1) for end in offsets} | {0, len(record)})
            pieces += [record[a:b] for a, b in itertools.pairwise(ends)]
        return pieces

    return cut


def _anywhere(records: list[bytes], draw: random.Random) -> list[bytes]:
    stream = b"".join(records)
    count = min(len(stream), draw.randint(1, 12))
    ends = sorted({0, len(stream), *draw.sample(range(len(stream) + 1), count)})
    return [stream[a:b] for a, b in itertools.pairwise(ends)]


CUTS = (
    Cuts("all in one", lambda records, _: [b"".join(records)]),
    Cuts("byte by byte", _every(1, 120)),
    Cuts("five bytes", _every(5, 300)),
    Cuts("header and body", _at(HEADER_LEN)),
    Cuts("around magic and version", _at(4, 5)),
    Cuts("around the header", _at(HEADER_LEN - 1, HEADER_LEN, HEADER_LEN + 1)),
    Cuts("last byte apart", _at(-2)),
    Cuts("random", _anywhere),
    Cuts("records overlap segments", lambda records, _: _overlapping(records)),
)


def _overlapping(records: list[bytes]) -> list[bytes]:
    """Every segment ends one byte into the next record."""
    pieces = [record[1:] + after[:1] for record, after in itertools.pairwise(records)]
    return [records[0][:1], *pieces, records[-1][1:]] if len(records) > 1 else records


class Connection(Block):
    """Children, rendered one after another, become a TCP connection's byte stream."""

    def __init__(self, name: str, children: Sequence[Fuzzable], *, copies: int = 1) -> None:
        """`copies` connections carry the same bytes, one after another."""
        self._connection_copies = copies
        self._cuts = Choice("cuts", CUTS)
        self._fin = Choice("fin", ("none",))
        super().__init__(name=name, children=[*children, self._cuts, self._fin])

    def encode(self, value: Any, mutation_context: Any) -> bytes:
        """boofuzz's hook: the steps' bytes."""
        values = values_of(mutation_context)
        records = [child.render(mutation_context) for child in self.stack]
        records = [record for record in records if record] or [b""]
        cuts = self._cuts.get_value(mutation_context)
        if isinstance(cuts, Cuts):
            draw = random.Random(values[f"{self.name}.cuts"])
            pieces = cuts.cut(records, draw)
        else:
            pieces = records
        steps = [Step(Action.CONNECT, values[FAMILY])]
        steps += [Step(Action.SEGMENT, 0, piece) for piece in pieces if piece]
        if self._fin.get_value(mutation_context) is None:
            steps.append(Step(Action.FIN))
        return b"".join(step.pack() for step in steps) * self._connection_copies


class Tail(Choice):
    """Bytes after the last record: nothing, unless mutated."""

    def encode(self, value: object, mutation_context: Any) -> bytes:
        """boofuzz's hook: the bytes."""
        return value if isinstance(value, bytes) else b""
