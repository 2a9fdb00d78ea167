# SPDX-License-Identifier: GPL-2.0-or-later
"""A case in which records are what they seal, not what they look like.

Its bytes are worth nothing on another day, under other keys, or to a guest that has seen
them: they are sealed anew each time, in sessions and at a time of their own. Streams keep
how they were cut into segments, in terms of their records.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fuzz.script import Action, Loose, Step
from nst_scapy.epoch import Epoch, seal_under
from nst_scapy.header import TOKEN_LEN, TOKEN_OFFSET, Header, KeyParams, make_nonce, zero_token
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import CbcHmac

_TIME_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Sealing:
    """How a record is sealed.

    Attributes:
        params: suite and key, which is what the header names unless it lies.
        key: the kid whose key it is.
        chain: the record whose token is authenticated with it, by its index.
        padded: the plaintext ends in its padding, which is wrong.
    """

    params: KeyParams
    key: int
    chain: int | None = None
    padded: bool = False


@dataclass(frozen=True)
class Record:
    """A record, or bytes in its place.

    Attributes:
        header: with a session number (0: the header's own session_id stands) in the place
            of session_id, and a timestamp that counts from the case's time if `timed`;
            `None` if there is none.
        body: the plaintext if it is sealed; else what follows the header, or all there is.
        sealing: `None` if it does not verify.
        session: number of its session within the case, 0 for the header's own.
        timed: the timestamp is relative.
        damage: bytes changed after sealing: offset (modulo the length) and mask.
    """

    header: Header | None
    body: bytes
    sealing: Sealing | None = None
    session: int = 0
    timed: bool = False
    damage: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Part:
    """A part of a record: from a byte to another, `None` for its end."""

    record: int
    start: int = 0
    end: int | None = None


@dataclass(frozen=True)
class Place:
    """Where in its stream a segment begins: bytes from the beginning of a record of it."""

    record: int
    delta: int


Piece = bytes | Part


@dataclass(frozen=True)
class Move:
    """A step whose data are made of parts of records.

    Attributes:
        action: of the step.
        argument: of the step.
        pieces: its data; of a TCP step, its payload.
        stream: of a CONNECT step, the records of its stream in order.
        loose: of a TCP step, its segment without offset and payload.
        place: of a TCP step, where that is; without, at the loose segment's offset.
        rest: of a PACKET step with one record, the sum (modulo 65535) of what else its UDP
            checksum covers; the checksum stands in the last 2 bytes before the record.
    """

    action: Action
    argument: int = 0
    pieces: tuple[Piece, ...] = ()
    stream: tuple[int, ...] = ()
    loose: Loose | None = None
    place: Place | None = None
    rest: int | None = None


@dataclass(frozen=True)
class Case:
    """A case: its records, which steps refer to by their index, and its steps."""

    records: tuple[Record, ...]
    moves: tuple[Move, ...]


def render(case: Case, *, now: int, session: Callable[[int], int], box: KeyBox) -> bytes:
    """A case's bytes, sealed for a time (ns since 1970) and the sessions that are given."""
    sealed: list[bytes] = []
    for record in case.records:
        sealed.append(_sealed(record, sealed, now, session, box))
    steps: list[Step] = []
    starts: dict[int, int] = {}
    for move in case.moves:
        if move.action is Action.CONNECT:
            starts, at = {}, 0
            for index in move.stream:
                starts.setdefault(index, at)
                at += len(sealed[index])
        steps.append(_step(move, sealed, starts))
    return b"".join(step.pack() for step in steps)


def _sealed(
    record: Record,
    before: Sequence[bytes],
    now: int,
    session: Callable[[int], int],
    box: KeyBox,
) -> bytes:
    header, how = record.header, record.sealing
    if header is None:
        return _damaged(record.body, record.damage)
    session_id = session(record.session) if record.session else header.session_id
    header = header._replace(nonce=make_nonce(session_id, header.counter))
    if record.timed:
        header = header._replace(timestamp=(now + header.timestamp) & _TIME_MASK)
    if how is None or how.key not in box:
        return _damaged(header.pack() + record.body, record.damage)
    epoch = Epoch(box[how.key], how.params, session_id)
    chain = b""
    # What was moved before the record that it is chained to is not chained to any.
    if how.chain is not None and how.chain < len(before):
        chain = before[how.chain][TOKEN_OFFSET : TOKEN_OFFSET + TOKEN_LEN]
    if how.padded and isinstance(epoch.sealer, CbcHmac):
        sealed = epoch.sealer.seal_padded(zero_token(header.pack()), record.body, chain)
    else:
        sealed = seal_under(epoch, header.pack(), record.body, chain)
    return _damaged(sealed, record.damage)


def _damaged(data: bytes, damage: Sequence[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for offset, mask in damage:
        if changed:
            changed[offset % len(changed)] ^= mask
    return bytes(changed)


def _step(move: Move, sealed: Sequence[bytes], starts: dict[int, int]) -> Step:
    data = b"".join(
        piece if isinstance(piece, bytes) else sealed[piece.record][piece.start : piece.end]
        for piece in move.pieces
    )
    if move.rest is not None:
        data = _with_checksum(move, sealed, move.rest)
    if move.loose is None:
        return Step(move.action, move.argument, data)
    offset = move.loose.offset
    if move.place is not None and move.place.record in starts:
        offset = starts[move.place.record] + move.place.delta
    return move.loose._replace(offset=offset, payload=data).step()


def word_sum(data: bytes) -> int:
    """The sum of the 16-bit words, modulo 65535, as the Internet checksum adds them."""
    return int.from_bytes(data + bytes(len(data) % 2)) % 0xFFFF


def _with_checksum(move: Move, sealed: Sequence[bytes], rest: int) -> bytes:
    before, part, *after = move.pieces
    assert isinstance(before, bytes)
    assert isinstance(part, Part)
    record = sealed[part.record]
    # RFC 1071; it is never 0, which would mean that there is none (RFC 768).
    checksum = 0xFFFF - (rest + word_sum(record)) % 0xFFFF
    tail = b"".join(piece for piece in after if isinstance(piece, bytes))
    return before[:-2] + struct.pack(">H", checksum) + record + tail
