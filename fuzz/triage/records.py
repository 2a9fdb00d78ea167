# SPDX-License-Identifier: GPL-2.0-or-later
"""A stored case as what it means: datagrams and connections that carry sealed records.

Bytes cannot be shortened without breaking their token. Taken apart and sealed anew,
a record stays one that verifies, whatever is changed about it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fuzz.script import Action, Step, connections
from fuzz.triage.course import Course, course_of, stream_of
from fuzz.triage.pieces import Piece, Raw, Sealed, piece_of, pieces_of
from nst_scapy.header import HEADER_LEN, MAGIC, make_nonce
from nst_scapy.keybox import KeyBox


@dataclass(frozen=True)
class Datagram:
    """One datagram."""

    family: int
    piece: Piece

    def steps(self, keybox: KeyBox) -> list[Step]:
        """What is sent."""
        return [Step(Action.DATAGRAM, self.family, self.piece.render(keybox, b""))]


@dataclass(frozen=True)
class Connection:
    """One connection.

    Attributes:
        family: IP version.
        pieces: what is sent, in order.
        cuts: offsets in the stream at which a new segment begins.
        fin: whether our direction is ended.
    """

    family: int
    pieces: tuple[Piece, ...]
    cuts: tuple[int, ...]
    fin: bool

    def stream(self, keybox: KeyBox) -> bytes:
        """All its bytes."""
        return stream_of(self.pieces, keybox)

    def segments(self, keybox: KeyBox) -> list[bytes]:
        """Its bytes as they are cut."""
        stream = self.stream(keybox)
        ends = sorted({0, len(stream), *(cut for cut in self.cuts if 0 < cut < len(stream))})
        return [stream[a:b] for a, b in itertools.pairwise(ends)]

    def steps(self, keybox: KeyBox) -> list[Step]:
        """What is sent."""
        steps = [Step(Action.CONNECT, self.family)]
        steps += [Step(Action.SEGMENT, 0, part) for part in self.segments(keybox)]
        return [*steps, Step(Action.FIN)] if self.fin else steps


@dataclass(frozen=True)
class Reflection:
    """A datagram of the module's own, sent back to it with changes."""

    family: int
    patches: bytes

    def steps(self, keybox: KeyBox) -> list[Step]:
        """What is done."""
        return [Step(Action.REFLECT, self.family, self.patches)]


Exchange = Datagram | Connection | Reflection | Course
_TAKEN_APART = frozenset(
    {Action.DATAGRAM, Action.REFLECT, Action.CONNECT, Action.SEGMENT, Action.FIN}
)


def script_of(exchanges: Sequence[Exchange], keybox: KeyBox) -> bytes:
    """The exchanges as a stored case."""
    return b"".join(step.pack() for one in exchanges for step in one.steps(keybox))


def renewed(exchanges: Sequence[Exchange], number: int) -> list[Exchange]:
    """The exchanges in sessions of their own: a guest that has seen the old ones takes them."""
    found: list[Exchange] = []
    for one in exchanges:
        if isinstance(one, Datagram):
            found.append(replace(one, piece=_renewed(one.piece, number)))
        elif isinstance(one, Connection):
            found.append(replace(one, pieces=tuple(_renewed(p, number) for p in one.pieces)))
        elif isinstance(one, Course):
            flows = tuple(tuple(_renewed(p, number) for p in flow) for flow in one.flows)
            found.append(replace(one, flows=flows))
        else:
            found.append(one)
    return found


def _renewed(piece: Piece, number: int) -> Piece:
    header = piece.header
    if header is None or header.magic != MAGIC or not header.session_id:
        return piece
    session_id = header.session_id ^ (number & 0xFFFF) << 16 or 1
    header = header._replace(nonce=make_nonce(session_id, header.counter))
    if isinstance(piece, Sealed):
        return replace(piece, header=header)
    return Raw(header.pack() + piece.data[HEADER_LEN:])


def pieces_in(one: Exchange) -> tuple[Piece, ...]:
    """The records of an exchange, as far as they are sent as they are."""
    if isinstance(one, Datagram):
        return (one.piece,)
    return () if isinstance(one, Reflection) else one.pieces


def numbered_pieces(exchanges: Sequence[Exchange]) -> Iterator[tuple[int, int, Piece]]:
    """Each record, with the index of its exchange and its own there."""
    for index, one in enumerate(exchanges):
        for at, piece in enumerate(pieces_in(one)):
            yield index, at, piece


def with_exchange(exchanges: Sequence[Exchange], index: int, one: Exchange) -> list[Exchange]:
    """Another exchange in the place of one."""
    return [*exchanges[:index], one, *exchanges[index + 1 :]]


def with_piece(exchanges: Sequence[Exchange], index: int, at: int, piece: Piece) -> list[Exchange]:
    """Another record in the place of one; a connection is in one segment then."""
    one = exchanges[index]
    if isinstance(one, Datagram):
        return with_exchange(exchanges, index, replace(one, piece=piece))
    if isinstance(one, Course):
        return with_exchange(exchanges, index, one.with_piece(at, piece))
    assert isinstance(one, Connection)
    pieces = (*one.pieces[:at], piece, *one.pieces[at + 1 :])
    return with_exchange(exchanges, index, replace(one, pieces=pieces, cuts=()))


def records(exchanges: Sequence[Exchange]) -> int:
    """How many records, or what stands for one, the exchanges send."""
    return sum(isinstance(one, Reflection) or len(pieces_in(one)) for one in exchanges)


def exchanges_of(steps: Sequence[Step], keybox: KeyBox) -> list[Exchange]:
    """Take a case apart. Datagrams come before connections, as when it is carried out.

    Raises:
        ScriptError: a step's data are damaged.
    """
    if any(step.action not in _TAKEN_APART for step in steps):
        return [course_of(steps, keybox)]
    found: list[Exchange] = []
    for step in steps:
        if step.action is Action.DATAGRAM:
            found.append(Datagram(step.argument, piece_of(step.data, keybox)))
        elif step.action is Action.REFLECT:
            found.append(Reflection(step.argument, step.data))
    for first, *rest in connections(steps):
        parts = [step.data for step in rest if step.action is Action.SEGMENT]
        stream = b"".join(parts)
        pieces = tuple(pieces_of(stream, keybox))
        ends = [sum(map(len, parts[: n + 1])) for n in range(len(parts) - 1)]
        fin = any(step.action is Action.FIN for step in rest)
        connection = Connection(first.argument, pieces, tuple(ends), fin)
        if connection.stream(keybox) != stream:
            connection = replace(connection, pieces=(Raw(stream),))
        found.append(connection)
    return found
