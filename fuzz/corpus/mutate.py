# SPDX-License-Identifier: GPL-2.0-or-later
"""Changing a case beyond what its grammar does: its steps, its records, its bytes.

A changed record is sealed anew, under the keys that its header names then, so that it
still reaches what comes after the token's check. Every change is a pure function of the
case and of what is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from fuzz.corpus.lifted import Case, Move, Part, Piece, Place, Record
from fuzz.net.tcp import TcpFlag
from fuzz.script import FAMILY, ON_CONNECTION, Action
from nst_scapy.header import MAX_KPOS, Flags, Header
from nst_scapy.keybox import KeyBox
from nst_scapy.replay import DEFAULT_WINDOW_NS
from nst_scapy.suite import SUITES


class Means(NamedTuple):
    """What a mutation has at hand: what is drawn, the corpus, and the key box."""

    draw: random.Random
    others: Sequence[Case]
    box: KeyBox


Mutation = Callable[[Case, Means], Case]

_MS, _S = 10**6, 10**9
_TIMES = (
    -1, 1, -_MS, _MS, -_S, _S, -DEFAULT_WINDOW_NS, DEFAULT_WINDOW_NS, -3600 * _S, 3600 * _S,
    -DEFAULT_WINDOW_NS + 2 * _S, DEFAULT_WINDOW_NS - 2 * _S,
)  # fmt: skip
_COUNTERS = (-1024, -1023, -65, -64, -63, -2, -1, 1, 2, 63, 64, 65, 1023, 1024, 1025)
_VALUES = {
    "magic": (0, 0x3713EFBE, 0xFFFFFFFF),
    "version": (0, 2, 255),
    "cipher_id": (0, 1, 2, 3, 4, 5, 255),
    "kpos": (0, 1, 16, 31, 32, 33, 255),
    "kval": (0, 1, 128, 255),
    "kid": (0, 1, 2, 3, 255, 256, 65535),
}
_LENGTHS = (0, 1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 64, 255, 1024, 1404)
_LENGTH_LIES = (-17, -16, -1, 1, 15, 16, 17)
_SHIFTS = (-48, -5, -1, 1, 5, 48)
_WINDOWS = (0, 1, 536, 32767, 65535)
_URGENT = (0, 1, 5, 48, 65535)


# Steps.


def change_steps(case: Case, means: Means) -> Case:
    """Leave a step out, repeat one, exchange two, move one, or end early."""
    draw = means.draw
    moves = list(case.moves)
    at, to = (draw.randrange(len(moves)) for _ in range(2))
    match draw.randrange(6):
        case 0 if len(moves) > 1:
            del moves[at]
        case 1:
            moves.insert(at, moves[at])
        case 2:
            moves[at], moves[to] = moves[to], moves[at]
        case 3:
            moves.insert(to, moves.pop(at))
        case 4 if at:
            del moves[at:]
        case _:
            begin, end = sorted((at, to))
            moves[end:end] = moves[begin : end + 1]
    return replace(case, moves=tuple(moves))


def splice(case: Case, means: Means) -> Case:
    """Put steps of another case among this one's, or go on with that one's end."""
    draw = means.draw
    other = draw.choice(means.others)
    # Where its sessions are the same as this one's, the two meet in the replay tables.
    sessions = 0 if draw.random() < 0.3 else max((r.session for r in case.records), default=0)
    shift = len(case.records)
    records = tuple(_shifted(record, shift, sessions) for record in other.records)
    family = next((move.argument for move in case.moves if move.action in FAMILY), 4)
    moves = [_moved(move, shift, family) for move in other.moves]
    at = draw.randint(0, len(case.moves))
    begin, end = sorted(draw.randint(0, len(moves)) for _ in range(2))
    if draw.random() < 0.5:
        spliced = (*case.moves[:at], *moves[begin : end + 1], *case.moves[at:])
    else:
        spliced = (*case.moves[:at], *moves[begin:])
    return Case((*case.records, *records), spliced)


def _shifted(record: Record, shift: int, sessions: int) -> Record:
    how = record.sealing
    if how is not None and how.chain is not None:
        how = replace(how, chain=how.chain + shift)
    session = record.session + sessions if record.session else 0
    return replace(record, sealing=how, session=session)


def _moved(move: Move, shift: int, family: int) -> Move:
    """A step with its records elsewhere, over an IP version; a packet's cannot be changed."""
    pieces = tuple(
        replace(piece, record=piece.record + shift) if isinstance(piece, Part) else piece
        for piece in move.pieces
    )
    place = move.place and replace(move.place, record=move.place.record + shift)
    stream = tuple(index + shift for index in move.stream)
    argument = move.argument
    if move.action in FAMILY and move.action is not Action.PACKET:
        argument = family
    return replace(move, argument=argument, pieces=pieces, place=place, stream=stream)


# Records.


def change_record(case: Case, means: Means) -> Case:
    """Change a field, the plaintext, the chain or the session of a record, or the order of two."""
    draw = means.draw
    known = [index for index, record in enumerate(case.records) if record.header is not None]
    if not known:
        return change_steps(case, means)
    index = draw.choice(known)
    record = case.records[index]
    match draw.randrange(8):
        case 0 | 1 | 2:
            changed = _field(record, draw, means.box)
        case 3:
            changed = _resized(record, draw)
        case 4 if record.sealing is not None:
            chain = draw.choice([None, *range(index)])
            changed = replace(record, sealing=replace(record.sealing, chain=chain))
        case 5:
            session = draw.randint(1, 1 + max(one.session for one in case.records))
            changed = replace(record, session=session)
        case 6 if record.sealing is not None:
            changed = replace(
                record, sealing=replace(record.sealing, key=draw.choice([*means.box]))
            )
        case _:
            return _rearranged(case, index, draw)
    records = list(case.records)
    records[index] = changed
    return replace(case, records=tuple(records))


def _field(record: Record, draw: random.Random, box: KeyBox) -> Record:
    header = record.header
    assert header is not None
    name = draw.choice(("timestamp", "counter", "flags", "transport_len", *_VALUES))
    match name:
        case "timestamp":
            stamp = header.timestamp + draw.choice(_TIMES)
            return replace(record, header=header._replace(timestamp=_clipped(stamp, record)))
        case "counter":
            counter = (header.counter + draw.choice(_COUNTERS)) & 0xFFFF
            nonce = header.nonce - header.counter + counter
            return replace(record, header=header._replace(nonce=nonce))
        case "flags":
            bit = draw.choice((*Flags, 0x10, 1 << 31))
            return replace(record, header=header._replace(flags=header.flags ^ bit))
        case "transport_len":
            length = (header.transport_len + draw.choice(_LENGTH_LIES)) & 0xFFFF
            return replace(record, header=header._replace(transport_len=length))
    values = header._asdict() | {name: draw.choice(_VALUES[name])}
    return _keyed(replace(record, header=Header(**values)), box)


def _clipped(stamp: int, record: Record) -> int:
    """A timestamp that fits: a relative one is made to, when it is added."""
    return stamp if record.timed else stamp & ((1 << 64) - 1)


def _keyed(record: Record, box: KeyBox) -> Record:
    """The record sealed under what its header names, as far as it names anything."""
    header, how = record.header, record.sealing
    assert header is not None
    if how is None:
        return record
    params = how.params._replace(kid=header.kid, kval=header.kval)
    if header.cipher_id in SUITES and not how.padded:
        params = params._replace(cipher_id=header.cipher_id)
    if header.kpos <= MAX_KPOS:
        params = params._replace(kpos=header.kpos)
    key = header.kid if header.kid in box else how.key
    return replace(record, sealing=replace(how, params=params, key=key))


def _resized(record: Record, draw: random.Random) -> Record:
    header = record.header
    assert header is not None
    length = draw.choice(_LENGTHS)
    filling = record.body or b"\0"
    if record.sealing is not None and record.sealing.padded:
        length -= length % 16
    body = (filling * (length // len(filling) + 1))[:length]
    if header.transport_len == len(record.body):
        header = header._replace(transport_len=length)
    return replace(record, header=header, body=body)


def _rearranged(case: Case, index: int, draw: random.Random) -> Case:
    """A record of a stream once more, left out, or in another's place."""
    streams = [n for n, move in enumerate(case.moves) if index in move.stream]
    if not streams:
        return case
    at = draw.choice(streams)
    end = next(
        (n for n in range(at + 1, len(case.moves)) if case.moves[n].action is Action.CONNECT),
        len(case.moves),
    )
    other = draw.choice(case.moves[at].stream)
    kind = draw.randrange(3)

    def stand_ins(record: int) -> tuple[int, ...]:
        if kind == 0:
            return (record, record) if record == index else (record,)
        if kind == 1:
            return () if record == index else (record,)
        return ({index: other, other: index}.get(record, record),)

    moves = list(case.moves)
    moves[at] = replace(
        moves[at], stream=tuple(new for old in moves[at].stream for new in stand_ins(old))
    )
    for number in range(at + 1, end):
        move = moves[number]
        if move.action in ON_CONNECTION:
            pieces = tuple(new for old in move.pieces for new in _stood_in(old, stand_ins))
            moves[number] = replace(move, pieces=pieces)
    return replace(case, moves=tuple(moves))


def _stood_in(piece: Piece, stand_ins: Callable[[int], tuple[int, ...]]) -> list[Piece]:
    if isinstance(piece, bytes):
        return [piece]
    return [replace(piece, record=record) for record in stand_ins(piece.record)]


# Bytes.


def change_bytes(case: Case, means: Means) -> Case:
    """Damage a record after sealing, cut a stream elsewhere, or change a TCP segment."""
    draw = means.draw
    loose = [n for n, move in enumerate(case.moves) if move.loose is not None]
    cut = [n for n, move in enumerate(case.moves) if move.action is Action.SEGMENT]
    kind = draw.randrange(3)
    if kind == 0 and loose:
        return _with_move(case, at := draw.choice(loose), [_retold(case.moves[at], draw)])
    if kind == 1 and cut:
        return _with_move(case, at := draw.choice(cut), _cut(case.moves[at], draw))
    if not case.records:
        return change_steps(case, means)
    index = draw.randrange(len(case.records))
    records = list(case.records)
    # The header is the more interesting part, however long the body is.
    offset = draw.randrange(48) if draw.random() < 0.6 else draw.randrange(1 << 16)
    damage = (*records[index].damage, (offset, 1 << draw.randrange(8)))
    records[index] = replace(records[index], damage=damage)
    return replace(case, records=tuple(records))


def _with_move(case: Case, at: int, moves: Sequence[Move]) -> Case:
    return replace(case, moves=(*case.moves[:at], *moves, *case.moves[at + 1 :]))


def _retold(move: Move, draw: random.Random) -> Move:
    """A TCP segment with something else in its header."""
    assert move.loose is not None
    loose, place = move.loose, move.place
    match draw.randrange(5):
        case 0:
            flag = draw.choice((TcpFlag.FIN, TcpFlag.RST, TcpFlag.PSH, TcpFlag.URG, TcpFlag.ACK))
            loose = loose._replace(flags=loose.flags ^ flag)
        case 1:
            loose = loose._replace(window=draw.choice(_WINDOWS))
        case 2:
            loose = loose._replace(urgent=draw.choice(_URGENT), flags=loose.flags | TcpFlag.URG)
        case 3:
            loose = loose._replace(intact=not loose.intact)
        case _:
            shift = draw.choice(_SHIFTS)
            loose = loose._replace(offset=loose.offset + shift)
            place = place and Place(place.record, place.delta + shift)
    return replace(move, loose=loose, place=place)


def _cut(move: Move, draw: random.Random) -> list[Move]:
    """A segment in two, somewhere in one of its pieces."""
    if not move.pieces:
        return [move]
    at = draw.randrange(len(move.pieces))
    first, second = _halves(move.pieces[at], draw.choice((1, 4, 5, 47, 48, 49, 64)))
    return [
        replace(move, pieces=(*move.pieces[:at], first)),
        replace(move, pieces=(second, *move.pieces[at + 1 :])),
    ]


def _halves(piece: Piece, at: int) -> tuple[Piece, Piece]:
    if isinstance(piece, bytes):
        return piece[:at], piece[at:]
    middle = piece.start + at
    if piece.end is not None:
        middle = min(middle, piece.end)
    return replace(piece, end=middle), replace(piece, start=middle)


MUTATIONS: dict[str, Mutation] = {
    "record": change_record,
    "steps": change_steps,
    "splice": splice,
    "bytes": change_bytes,
}
"""All kinds, in the order in which they are applied where several are."""
