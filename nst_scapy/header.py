# SPDX-License-Identifier: GPL-2.0-or-later
"""The 48-byte record header (specification, sections 1, 2 and 7)."""

from __future__ import annotations

import struct
from enum import Enum, IntFlag
from typing import Any, NamedTuple

MAGIC = 0xBEEF1337
VERSION = 1
HEADER_LEN = 48
TOKEN_LEN = 16
TOKEN_OFFSET = 24
MAGIC_VERSION_LEN = 5
"""Bytes of a stream record after which checks 2 and 3 are made."""
MAX_STREAM_PAYLOAD = 16384
MAX_KPOS = 32
COUNTER_BITS = 16
MAX_COUNTER = (1 << COUNTER_BITS) - 1
MAX_SESSION_ID = (1 << 48) - 1
DEFAULT_PORT = 48879
"""0xBEEF, the port of NST over TCP and UDP everywhere in this suite."""

HEADER = struct.Struct(">IBBHQQ16sBBHI")
ZERO_TOKEN = bytes(TOKEN_LEN)


class Flags(IntFlag):
    """Header flags (section 2)."""

    DGRAM = 0x1
    REPLY = 0x2
    CLOSE = 0x4
    BOUND = 0x8


ALL_FLAGS = int(Flags.DGRAM | Flags.REPLY | Flags.CLOSE | Flags.BOUND)
DGRAM, REPLY, CLOSE, BOUND = map(int, Flags)
"""The flags as plain integers: one ``&`` of an IntFlag costs as much as opening a record."""


class Transport(Enum):
    """What carries a record."""

    STREAM = "stream"
    DGRAM = "dgram"


class Role(Enum):
    """A stream socket's side: ``accept`` made it, or ``connect`` did."""

    ACCEPTOR = "acceptor"
    INITIATOR = "initiator"

    @property
    def peer(self) -> Role:
        """The other side."""
        return Role.INITIATOR if self is Role.ACCEPTOR else Role.ACCEPTOR


def zero_token(header: bytes) -> bytes:
    """``header0``: the 48 header bytes with the token all zero."""
    return header[:TOKEN_OFFSET] + ZERO_TOKEN + header[TOKEN_OFFSET + TOKEN_LEN : HEADER_LEN]


class KeyParams(NamedTuple):
    """What an epoch holds constant besides its ``session_id`` (section 6)."""

    cipher_id: int
    kid: int
    kpos: int
    kval: int


def make_nonce(session_id: int, counter: int) -> int:
    """The 64-bit ``nonce``: 48 bits of session, 16 of counter."""
    return session_id << COUNTER_BITS | counter


class Header(NamedTuple):
    """A record header, field by field, in wire order.

    Any value that fits its field can be represented: judging it is the
    receiver's work.
    """

    magic: int
    version: int
    cipher_id: int
    transport_len: int
    timestamp: int
    nonce: int
    token: bytes
    kpos: int
    kval: int
    kid: int
    flags: int

    @classmethod
    def unpack(cls, data: bytes | bytearray | memoryview, offset: int = 0) -> Header:
        """Read the header at *offset*.

        Raises:
            ValueError: fewer than 48 bytes are there.
        """
        try:
            # What _make() does, less its check of a length that the format gives.
            return tuple.__new__(cls, HEADER.unpack_from(data, offset))
        except struct.error:
            have = max(0, len(data) - offset)
            raise ValueError(f"an NST header is {HEADER_LEN} bytes, got {have}") from None

    def pack(self) -> bytes:
        """The 48 bytes of the header as sent.

        Raises:
            ValueError: a field's value does not fit the field.
        """
        try:
            return HEADER.pack(*self)
        except struct.error as exc:
            raise ValueError(f"header field out of range: {exc}") from None

    @property
    def session_id(self) -> int:
        """Upper 48 bits of the nonce."""
        return self.nonce >> COUNTER_BITS

    @property
    def counter(self) -> int:
        """Lower 16 bits of the nonce."""
        return self.nonce & MAX_COUNTER

    def same_session(self, other: Header) -> bool:
        """Whether both have the same ``session_id``."""
        return (self.nonce ^ other.nonce) <= MAX_COUNTER

    @property
    def params(self) -> KeyParams:
        """The key parameters."""
        return KeyParams(self.cipher_id, self.kid, self.kpos, self.kval)

    def as_dict(self) -> dict[str, Any]:
        """The fields by the specification's names; ``token`` in hex."""
        fields = self._asdict()
        fields["token"] = self.token.hex()
        fields["session_id"] = self.session_id
        fields["counter"] = self.counter
        return fields
