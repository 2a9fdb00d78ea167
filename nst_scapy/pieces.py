# SPDX-License-Identifier: GPL-2.0-or-later
"""Where records begin and end, as far as their headers tell (for showing, not for judging)."""

from __future__ import annotations

from .header import HEADER_LEN, MAGIC, Header
from .suite import SUITES

MAGIC_BYTES = MAGIC.to_bytes(4)


def body_length(cipher_id: int, transport_len: int, wire: bytes, at: int = 0) -> int:
    """Length in bytes of a record's body, given what its header says; *wire* has it at *at*.

    A ``cipher_id`` that names no suite does not tell: then the body is all up to the
    next magic, or to the end.
    """
    suite = SUITES.get(cipher_id)
    if suite is not None:
        return suite.body_len(transport_len)
    end = wire.find(MAGIC_BYTES, at)
    return (end if end >= 0 else len(wire)) - at


def record_pieces(data: bytes) -> tuple[list[bytes], int, int]:
    """Whole records and what is between them; where they end; and what length has one more."""
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        start = data.find(MAGIC_BYTES, at)
        if start == at:
            if len(data) - at < HEADER_LEN:
                return pieces, at, at + HEADER_LEN
            header = Header.unpack(data, at)
            end = at + HEADER_LEN
            end += body_length(header.cipher_id, header.transport_len, data, end)
            if len(data) < end:
                return pieces, at, end
        elif start > at:
            end = start
        else:
            # The last bytes may be the beginning of a magic.
            tails = range(max(at, len(data) - 3), len(data))
            end = next((n for n in tails if MAGIC_BYTES.startswith(data[n:])), len(data))
            if end == at:
                return pieces, at, at + HEADER_LEN
        pieces.append(data[at:end])
        at = end
    return pieces, at, at + HEADER_LEN
