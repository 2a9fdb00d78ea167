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
from nst_scapy.epoch import Epoch, seal_under
from nst_scapy.header import (
    HEADER_LEN,
    MAGIC,
    MAX_KPOS,
    TOKEN_LEN,
    TOKEN_OFFSET,
    Header,
    KeyParams,
    make_nonce,
)
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SUITES, AuthError, PaddingError

_LONGEST_BODY = 65507 - HEADER_LEN


@dataclass(frozen=True)
class Sealed:
    """A record that verifies.

    Attributes:
        header: as sent; its token is that of the sealing.
        plaintext: what it holds.
        params: suite and key that it is sealed under, which is what the header names as
            far as it names any.
        chained: the token of the stream's record before is authenticated with it.
    """

    header: Header
    plaintext: bytes
    params: KeyParams
    chained: bool = False

    def render(self, keybox: KeyBox, before: bytes) -> bytes:
        """Its bytes; `before` is the record before it in the stream."""
        epoch = Epoch(keybox[self.params.kid], self.params, self.header.session_id)
        chain = before[TOKEN_OFFSET : TOKEN_OFFSET + TOKEN_LEN] if self.chained else b""
        return seal_under(epoch, self.header.pack(), self.plaintext, chain)


@dataclass(frozen=True)
class Raw:
    """Bytes that are no record, or one that does not verify."""

    data: bytes

    def render(self, keybox: KeyBox, before: bytes) -> bytes:
        """The bytes."""
        return self.data

    @property
    def header(self) -> Header | None:
        """The header that they begin with; `None` if they are too short for one."""
        return Header.unpack(self.data) if len(self.data) >= HEADER_LEN else None


Piece = Sealed | Raw


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
        stream, before = b"", b""
        for piece in self.pieces:
            before = piece.render(keybox, before)
            stream += before
        return stream

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


@dataclass(frozen=True)
class Verbatim:
    """A step as it is, of a case that is more than datagrams and streams in order."""

    step: Step

    def steps(self, keybox: KeyBox) -> list[Step]:
        """What is done."""
        return [self.step]


Exchange = Datagram | Connection | Reflection | Verbatim
_TAKEN_APART = frozenset(
    {Action.DATAGRAM, Action.REFLECT, Action.CONNECT, Action.SEGMENT, Action.FIN}
)


def script_of(exchanges: Sequence[Exchange], keybox: KeyBox) -> bytes:
    """The exchanges as a stored case."""
    return b"".join(step.pack() for one in exchanges for step in one.steps(keybox))


def renewable(exchanges: Sequence[Exchange]) -> bool:
    """Whether `renewed` makes sessions of their own of them."""
    return not any(isinstance(one, Verbatim) for one in exchanges)


def renewed(exchanges: Sequence[Exchange], number: int) -> list[Exchange]:
    """The exchanges in sessions of their own: a guest that has seen the old ones takes them."""
    found: list[Exchange] = []
    for one in exchanges:
        if isinstance(one, Datagram):
            found.append(replace(one, piece=_renewed(one.piece, number)))
        elif isinstance(one, Connection):
            found.append(replace(one, pieces=tuple(_renewed(p, number) for p in one.pieces)))
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


def records(exchanges: Sequence[Exchange]) -> int:
    """How many records, or what stands for one, the exchanges send."""
    return sum(len(one.pieces) if isinstance(one, Connection) else 1 for one in exchanges)


def exchanges_of(steps: Sequence[Step], keybox: KeyBox) -> list[Exchange]:
    """Take a case apart. Datagrams come before connections, as when it is carried out."""
    if any(step.action not in _TAKEN_APART for step in steps):
        return [Verbatim(step) for step in steps]
    found: list[Exchange] = []
    for step in steps:
        if step.action is Action.DATAGRAM:
            found.append(Datagram(step.argument, _piece(step.data, keybox)))
        elif step.action is Action.REFLECT:
            found.append(Reflection(step.argument, step.data))
    for first, *rest in connections(steps):
        parts = [step.data for step in rest if step.action is Action.SEGMENT]
        stream = b"".join(parts)
        pieces = tuple(_pieces(stream, keybox))
        ends = [sum(map(len, parts[: n + 1])) for n in range(len(parts) - 1)]
        fin = any(step.action is Action.FIN for step in rest)
        connection = Connection(first.argument, pieces, tuple(ends), fin)
        if connection.stream(keybox) != stream:
            connection = replace(connection, pieces=(Raw(stream),))
        found.append(connection)
    return found


def _piece(data: bytes, keybox: KeyBox) -> Piece:
    sealed = _opened(data, keybox, b"")
    return sealed if sealed and sealed.render(keybox, b"") == data else Raw(data)


def _pieces(stream: bytes, keybox: KeyBox) -> Iterator[Piece]:
    """The records of a stream; from the first that has no end on, the rest is one piece."""
    before = b""
    while stream:
        length = _record_len(stream)
        record = stream[:length]
        if not length or len(record) < length:
            yield Raw(stream)
            return
        yield _opened(record, keybox, before) or Raw(record)
        before, stream = record, stream[length:]


def _record_len(stream: bytes) -> int:
    """Length of the record that a stream begins with, by its header; 0 if that tells none."""
    if len(stream) < HEADER_LEN:
        return 0
    header = Header.unpack(stream)
    suite = SUITES.get(header.cipher_id)
    return HEADER_LEN + suite.body_len(header.transport_len) if suite else 0


def _opened(record: bytes, keybox: KeyBox, before: bytes) -> Sealed | None:
    """A record as what it seals; `None` if it does not verify."""
    if not HEADER_LEN <= len(record) <= HEADER_LEN + _LONGEST_BODY:
        return None
    header = Header.unpack(record)
    for params in _candidates(header, keybox):
        epoch = Epoch(keybox[params.kid], params, header.session_id)
        chains = (b"", before[TOKEN_OFFSET : TOKEN_OFFSET + TOKEN_LEN]) if before else (b"",)
        for chain in chains:
            try:
                plaintext = epoch.open(record, chain)
            except (AuthError, PaddingError):
                continue
            return Sealed(header, plaintext, params, chained=bool(chain))
    return None


def _candidates(header: Header, keybox: KeyBox) -> Iterator[KeyParams]:
    """What a record may be sealed under: what its header names, or a neighbour of that."""
    suites = [header.cipher_id] if header.cipher_id in SUITES else sorted(SUITES)
    kids = [header.kid] if header.kid in keybox else sorted(keybox)[:1]
    kpos = header.kpos if header.kpos <= MAX_KPOS else 0
    for cipher_id in suites:
        for kid in kids:
            yield KeyParams(int(cipher_id), kid, kpos, header.kval)
