# SPDX-License-Identifier: GPL-2.0-or-later
"""Taking a case's bytes apart into what they seal."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise

from fuzz.corpus.lifted import Case, Move, Part, Piece, Place, Record, Sealing, word_sum
from fuzz.script import ON_CONNECTION, Action, Loose, Step, unpack
from nst_scapy.epoch import Epoch
from nst_scapy.header import (
    HEADER_LEN,
    MAGIC,
    MAX_KPOS,
    TOKEN_LEN,
    TOKEN_OFFSET,
    ZERO_TOKEN,
    Header,
    KeyParams,
)
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SUITES, AuthError, CbcHmac, PaddingError, record_len

_NEAR_NS = 86400 * 10**9
"""Timestamps so near the case's time are meant to be relative to it."""
_UDP_LEN = 8
_LONGEST = 0xFFFF
_MAGIC = MAGIC.to_bytes(4)


def lift(script: bytes, *, earliest: int, box: KeyBox) -> Case:
    """Take a case apart that was made for a time (ns since 1970) and a key box.

    Raises:
        ScriptError: it is no case.
    """
    return Lifter(unpack(script), earliest, box).case()


class Lifter:
    """Takes one case apart.

    Attributes:
        sessions: the number of each session_id.
    """

    def __init__(self, steps: Sequence[Step], earliest: int, box: KeyBox) -> None:
        self._steps = steps
        self._earliest = earliest
        self._box = box
        self._records: list[Record] = []
        self._bytes: list[bytes] = []
        self.sessions: dict[int, int] = {}

    def case(self) -> Case:
        """The case taken apart."""
        moves: list[Move] = []
        at = 0
        while at < len(self._steps):
            step = self._steps[at]
            if step.action is Action.CONNECT:
                end = at + 1
                while end < len(self._steps) and self._steps[end].action is not Action.CONNECT:
                    end += 1
                moves += self._connection(self._steps[at:end])
                at = end
                continue
            moves.append(self._apart(step))
            at += 1
        return Case(tuple(self._records), tuple(moves))

    def _apart(self, step: Step) -> Move:
        """A step that is on no connection."""
        if step.action is Action.DATAGRAM and step.data:
            return Move(step.action, step.argument, (Part(self._add(step.data, [])),))
        if step.action is Action.PACKET:
            return self._packet(step)
        return Move(step.action, step.argument, (step.data,) if step.data else ())

    # Datagrams within packets.

    def _packet(self, step: Step) -> Move:
        data, plain = step.data, Move(step.action, step.argument, (step.data,))
        start = data.find(_MAGIC, _UDP_LEN)
        if start < 0:
            return plain
        (length, checksum) = struct.unpack_from(">HH", data, start - 4)
        end = start + length - _UDP_LEN
        if length < _UDP_LEN + HEADER_LEN or end > len(data):
            return plain  # a fragment, or lengths that lie
        record = data[start:end]
        rest = (-checksum - word_sum(record)) % 0xFFFF if checksum else None
        part = Part(self._add(record, []))
        pieces: tuple[Piece, ...] = (data[:start], part, data[end:])
        return Move(step.action, step.argument, pieces, rest=rest)

    # Streams.

    def _connection(self, steps: Sequence[Step]) -> Iterator[Move]:
        """A CONNECT step and those until the next."""
        payloads = _payloads(steps)
        image = _image([(offset, data) for offset, data in payloads.values() if data])
        indices = self._stream(image)
        starts = [0]
        for index in indices:
            starts.append(starts[-1] + len(self._bytes[index]))
        yield Move(Action.CONNECT, steps[0].argument, stream=tuple(indices))
        for number, step in enumerate(steps[1:], start=1):
            if step.action not in ON_CONNECTION:
                yield self._apart(step)
                continue
            offset, data = payloads[number]
            pieces = tuple(_pieces(offset, data, image, indices, starts))
            if step.action is not Action.TCP:
                yield Move(step.action, step.argument, pieces)
                continue
            loose = Loose.of(step)._replace(payload=b"")
            yield Move(
                step.action, step.argument, pieces,
                loose=loose, place=_place(loose.offset, indices, starts),
            )  # fmt: skip

    def _stream(self, image: bytes) -> list[int]:
        """The records of a stream's bytes, as indices; what is left at the end is one more."""
        indices: list[int] = []
        while image:
            length = record_len(image)
            if not length or length > len(image):
                length = len(image)
            indices.append(self._add(image[:length], indices))
            image = image[length:]
        return indices

    # Records.

    def _add(self, data: bytes, before: Sequence[int]) -> int:
        """Add a record; `before` are those before it in its stream."""
        if data in self._bytes:
            index = self._bytes.index(data)
            if not before or index in before:
                return index  # the same record once more
        self._records.append(self._record(data, before))
        self._bytes.append(data)
        return len(self._records) - 1

    def _record(self, data: bytes, before: Sequence[int]) -> Record:
        if len(data) < HEADER_LEN:
            return Record(None, data)
        header = Header.unpack(data)
        session = self._session(header)
        sealing, plaintext = self._opened(data, header, before)
        relative = header.timestamp - self._earliest
        timed = abs(relative) <= _NEAR_NS
        kept = header._replace(
            timestamp=relative if timed else header.timestamp,
            token=ZERO_TOKEN if sealing else header.token,
        )
        if session:
            kept = kept._replace(nonce=header.counter)
        body = plaintext if sealing else data[HEADER_LEN:]
        return Record(kept, body, sealing, session, timed)

    def _session(self, header: Header) -> int:
        """The number of a record's session; 0 if it has none, or is no record at all."""
        if not header.session_id or header.magic != MAGIC:
            return 0
        return self.sessions.setdefault(header.session_id, len(self.sessions) + 1)

    def _opened(
        self, data: bytes, header: Header, before: Sequence[int]
    ) -> tuple[Sealing | None, bytes]:
        """What a record is sealed with, and what it holds."""
        chains: list[int | None] = [None, *reversed(before)]
        for params, key in _candidates(header, self._box):
            epoch = Epoch(self._box[key], params, header.session_id)
            for chain in chains:
                token = b"" if chain is None else self._bytes[chain][TOKEN_OFFSET:][:TOKEN_LEN]
                try:
                    return Sealing(params, key, chain), epoch.open(data, token)
                except AuthError:
                    continue
                except PaddingError:
                    return Sealing(params, key, chain, padded=True), _padded(epoch, header, data)
                except ValueError:
                    break
        return None, b""


def _padded(epoch: Epoch, header: Header, data: bytes) -> bytes:
    """The plaintext of a record together with its padding."""
    assert isinstance(epoch.sealer, CbcHmac)
    longest = header._replace(transport_len=_LONGEST)
    return epoch.sealer.decrypt(longest.pack() + data[HEADER_LEN:])


def _candidates(header: Header, box: KeyBox) -> Iterator[tuple[KeyParams, int]]:
    """What a record may be sealed under: what it says, then other keys."""
    suites = [header.cipher_id] if header.cipher_id in SUITES else sorted(SUITES)
    kpos = header.kpos if header.kpos <= MAX_KPOS else 0
    first = header.kid if header.kid in box else min(box)
    for key in (first, *(kid for kid in sorted(box) if kid != first)):
        for suite in suites:
            yield KeyParams(int(suite), header.kid, kpos, header.kval), key


def _payloads(steps: Sequence[Step]) -> dict[int, tuple[int, bytes]]:
    """Offset in the stream, and payload, of the steps on a connection, by their numbers."""
    found: dict[int, tuple[int, bytes]] = {}
    following = 0
    for number, step in enumerate(steps):
        if step.action is Action.TCP:
            loose = Loose.of(step)
            found[number] = (loose.offset, loose.payload)
        elif step.action in ON_CONNECTION:
            found[number] = (following, step.data)
            following += len(step.data) + (step.action is Action.FIN)
    return found


def _image(payloads: Sequence[tuple[int, bytes]]) -> bytes:
    """The stream's bytes up to the first that are not there; of two the first stand."""
    known: dict[int, int] = {}
    for offset, data in payloads:
        for at, byte in enumerate(data, start=offset):
            known.setdefault(at, byte)
    image = bytearray()
    while len(image) in known:
        image.append(known[len(image)])
    return bytes(image)


def _pieces(
    offset: int, data: bytes, image: bytes, indices: Sequence[int], starts: Sequence[int]
) -> Iterator[Piece]:
    """A payload as parts of the stream's records; as bytes where it is something else."""
    end = offset + len(data)
    if not data:
        return
    if offset < 0 or image[offset:end] != data:
        yield data
        return
    for index, (begin, stop) in zip(indices, pairwise(starts), strict=True):
        if begin < end and offset < stop:
            last = None if end >= stop else end - begin
            yield Part(index, max(0, offset - begin), last)


def _place(offset: int, indices: Sequence[int], starts: Sequence[int]) -> Place | None:
    """An offset in terms of the record that it is in, or that ends there."""
    for index, begin in zip(reversed(indices), reversed(starts[:-1]), strict=True):
        if begin <= offset:
            return Place(index, offset - begin)
    return None
