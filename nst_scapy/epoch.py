# SPDX-License-Identifier: GPL-2.0-or-later
"""Perturbation, session keys, and sealing within one epoch (sections 4 to 6)."""

from __future__ import annotations

from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from .header import (
    HEADER,
    HEADER_LEN,
    MAGIC,
    MAX_COUNTER,
    MAX_SESSION_ID,
    TOKEN_LEN,
    TOKEN_OFFSET,
    VERSION,
    ZERO_TOKEN,
    Header,
    KeyParams,
    make_nonce,
)
from .suite import OKM_LEN, SUITES, CbcHmac, Gcm, Suite

_AFTER_TOKEN = TOKEN_OFFSET + TOKEN_LEN


def perturb(key: bytes, kpos: int, kval: int) -> bytes:
    """``K'``: the key with *kval* XORed into its *kpos*-th byte (1..32; 0 for none)."""
    if kpos == 0:
        return key
    perturbed = bytearray(key)
    perturbed[kpos - 1] ^= kval
    return bytes(perturbed)


def derive(suite: Suite, key: bytes, session_id: int) -> bytes:
    """The 68 bytes of output keying material for a perturbed key (HKDF-Expand, RFC 5869)."""
    info = b"NST1" + bytes((suite.id,)) + session_id.to_bytes(6)
    return HKDFExpand(suite.hash, OKM_LEN, info).derive(key)


def zero_token(header: bytes) -> bytes:
    """``header0``: the 48 header bytes with the token all zero."""
    return header[:TOKEN_OFFSET] + ZERO_TOKEN + header[_AFTER_TOKEN:HEADER_LEN]


class Epoch:
    """The derived keys of one ``session_id`` and set of key parameters.

    Holds no counter and no clock: a caller gives both with every record
    (:mod:`.sender` keeps them for those who want it kept).
    """

    __slots__ = ("_okm", "params", "sealer", "session_id", "suite")

    def __init__(self, key: bytes, params: KeyParams, session_id: int) -> None:
        """Derive the session keys from the key box's *key* (32 bytes).

        Raises:
            ValueError: *params* names no suite, or a key byte outside 0..32, or
                *session_id* does not fit 48 bits.
        """
        suite = SUITES.get(params.cipher_id)
        if suite is None:
            raise ValueError(f"cipher_id {params.cipher_id} names no suite")
        if not 0 <= params.kpos <= len(key):
            raise ValueError(f"kpos {params.kpos} is outside 0..{len(key)}")
        if not 0 <= session_id <= MAX_SESSION_ID:
            raise ValueError(f"session_id {session_id} does not fit 48 bits")
        self.params = params
        self.session_id = session_id
        self.suite = suite
        self._okm = derive(suite, perturb(key, params.kpos, params.kval), session_id)
        self.sealer: Gcm | CbcHmac = suite.sealer(self._okm)

    def __getstate__(self) -> tuple[KeyParams, int, bytes]:
        return self.params, self.session_id, self._okm  # cipher objects cannot be pickled

    def __setstate__(self, state: tuple[KeyParams, int, bytes]) -> None:
        self.params, self.session_id, self._okm = state
        self.suite = SUITES[self.params.cipher_id]
        self.sealer = self.suite.sealer(self._okm)

    def __repr__(self) -> str:
        return f"<Epoch {self.suite.name} kid {self.params.kid} session {self.session_id:012x}>"

    def seal(
        self,
        plaintext: bytes,
        *,
        timestamp: int,
        counter: int,
        flags: int,
        chain: bytes = b"",
    ) -> bytes:
        """Seal one record: the 48-byte header and the body.

        Args:
            plaintext: payload; its length goes into ``transport_len``.
            timestamp: nanoseconds since 1970-01-01 UTC.
            counter: 0..65535, never used twice in one epoch.
            flags: header flags.
            chain: ``T`` of section 5, 16 bytes, or empty.

        Raises:
            ValueError: a value that does not fit its field.
        """
        if len(plaintext) > 0xFFFF or not 0 <= counter <= MAX_COUNTER:
            raise ValueError("payload over 65535 bytes, or counter outside 0..65535")
        params = self.params
        header0 = HEADER.pack(
            MAGIC,
            VERSION,
            params.cipher_id,
            len(plaintext),
            timestamp,
            make_nonce(self.session_id, counter),
            ZERO_TOKEN,
            params.kpos,
            params.kval,
            params.kid,
            flags,
        )
        return seal_under(self, header0, plaintext, chain)

    def open(self, record: bytes, chain: bytes = b"") -> bytes:
        """The plaintext of one whole record, header and body.

        Only token and padding are checked: all else is the receiver's work.

        Raises:
            AuthError, PaddingError: as their names say.
            ValueError: fewer than 48 bytes.
        """
        header = Header.unpack(record)
        return self.sealer.open(
            zero_token(record), header.token, record[HEADER_LEN:], header.transport_len, chain
        )


def seal_under(epoch: Epoch, header: bytes, plaintext: bytes, chain: bytes = b"") -> bytes:
    """Seal *plaintext* under the epoch's keys and whatever 48 header bytes are given.

    The header's token is replaced; every other field goes out as it is, true or
    not. This is what crafting and fuzzing need: a forged header that verifies.
    """
    header0 = zero_token(header)
    token, body = epoch.sealer.seal(header0, plaintext, chain)
    return header0[:TOKEN_OFFSET] + token + header0[_AFTER_TOKEN:] + body
