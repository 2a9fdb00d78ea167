# SPDX-License-Identifier: GPL-2.0-or-later
"""Records as what they seal, so that they can be changed and still verify.

Bytes cannot be shortened without breaking their token. Taken apart and sealed anew,
a record stays one that verifies, whatever is changed about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nst_scapy.epoch import Epoch, seal_under
from nst_scapy.header import (
    HEADER_LEN,
    MAX_KPOS,
    TOKEN_LEN,
    TOKEN_OFFSET,
    Header,
    KeyParams,
)
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SUITES, AuthError, PaddingError, SuiteId, record_len

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


def piece_of(data: bytes, keybox: KeyBox) -> Piece:
    """Bytes as the one record that they are, or else as bytes."""
    sealed = _opened(data, keybox, b"")
    return sealed if sealed and sealed.render(keybox, b"") == data else Raw(data)


def pieces_of(stream: bytes, keybox: KeyBox) -> Iterator[Piece]:
    """The records of a stream; from the first that has no end on, the rest is one piece."""
    before = b""
    while stream:
        length = record_len(stream)
        record = stream[:length]
        if not length or len(record) < length:
            yield Raw(stream)
            return
        yield _opened(record, keybox, before) or Raw(record)
        before, stream = record, stream[length:]


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


def length_of(piece: Piece) -> int:
    """How many bytes a record is."""
    if isinstance(piece, Raw):
        return len(piece.data)
    suite = SUITES[SuiteId(piece.params.cipher_id)]
    return HEADER_LEN + suite.body_len(len(piece.plaintext))
