# SPDX-License-Identifier: GPL-2.0-or-later
"""The bytes around a GCM cipher: what it takes, and the record that comes of it.

These functions are there twice, in Python here and in C in ``_gcm_parts.c``: AES-GCM
takes some 0.4 us for a short record, and the interpreter as long to pack a header, an IV
and a record. :mod:`.suite` takes the latter where they were built, so whoever has no
compiler loses speed and nothing else.
"""

from __future__ import annotations

import struct

from .header import HEADER_LEN, TOKEN_LEN, TOKEN_OFFSET, zero_token

SALT_LEN = 4
_AFTER_TOKEN = TOKEN_OFFSET + TOKEN_LEN
_TIMESTAMP_LOW = slice(12, 16)
_NONCE = slice(16, 24)
_SESSION = slice(16, 22)
_ENDS = struct.Struct(">6sHQ6sH20sI")
"""The header by what :func:`begin` leaves as it is and what it fills in."""


def make_template(
    prefix: bytes, session: bytes, keys: bytes, salt: bytes = bytes(SALT_LEN)
) -> bytes:
    """What the records of one epoch have in common, for :func:`begin`.

    Args:
        prefix: ``magic``, ``version`` and ``cipher_id``, 6 bytes.
        session: ``session_id``, 6 bytes.
        keys: ``kpos``, ``kval`` and ``kid``, 4 bytes.
        salt: of the IV, 4 bytes.
    """
    return _ENDS.pack(prefix, 0, 0, session, 0, bytes(TOKEN_LEN) + keys, 0) + salt


def begin(
    template: bytes, length: int, timestamp: int, counter: int, flags: int, /
) -> tuple[bytes, bytes]:
    """``header0`` and the IV of a record with these fields (specification, section 5).

    Raises:
        ValueError: a value that does not fit its field.
    """
    try:
        header0 = _ENDS.pack(
            template, length, timestamp, template[_SESSION], counter, template[24:44], flags
        )
    except struct.error as exc:
        raise ValueError(f"header field out of range: {exc}") from None
    return header0, _iv(header0, template[HEADER_LEN:])


def join(header0: bytes, sealed: bytes, /) -> bytes:
    """The record of a header and what a cipher gave: the body, and behind it the token."""
    head, tail = header0[:TOKEN_OFFSET], header0[_AFTER_TOKEN:HEADER_LEN]
    return head + sealed[-TOKEN_LEN:] + tail + sealed[:-TOKEN_LEN]


def split(record: bytes, salt: bytes, /) -> tuple[bytes, bytes, bytes]:
    """``header0``, the IV, and body and token as :func:`join` takes them.

    Raises:
        ValueError: fewer than 48 bytes.
    """
    if len(record) < HEADER_LEN:
        raise ValueError(f"a record is {HEADER_LEN} bytes or more, got {len(record)}")
    sealed = record[HEADER_LEN:] + record[TOKEN_OFFSET:_AFTER_TOKEN]
    return zero_token(record), _iv(record, salt), sealed


def _iv(header: bytes, salt: bytes) -> bytes:
    low = int.from_bytes(header[_TIMESTAMP_LOW]) ^ int.from_bytes(salt)
    return low.to_bytes(SALT_LEN) + header[_NONCE]
