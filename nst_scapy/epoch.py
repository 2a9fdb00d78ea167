# SPDX-License-Identifier: GPL-2.0-or-later
"""Perturbation, session keys, and sealing within one epoch (sections 4 to 6)."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from .header import (
    HEADER_LEN,
    MAGIC,
    MAX_SESSION_ID,
    VERSION,
    Header,
    KeyParams,
    zero_token,
)
from .suite import (
    OKM_LEN,
    SUITES,
    AuthError,
    CbcHmac,
    Gcm,
    OpenRecord,
    PaddingError,
    SealRecord,
    Suite,
)


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


class Epoch:
    """The derived keys of one ``session_id`` and set of key parameters.

    Holds no counter and no clock: a caller gives both with every record
    (:mod:`.sender` keeps them for those who want it kept).
    """

    __slots__ = ("_okm", "open", "params", "seal", "sealer", "session_id", "suite")

    seal: SealRecord
    """Seals one record: the 48-byte header and the body.

    Args:
        plaintext: payload; its length goes into ``transport_len``.
        timestamp: nanoseconds since 1970-01-01 UTC.
        counter: 0..65535, never used twice in one epoch.
        flags: header flags.
        chain: ``T`` of section 5, 16 bytes, or empty.

    Raises:
        ValueError: a value that does not fit its field.
    """
    open: OpenRecord
    """The plaintext of one whole record, header and body, given it and its ``chain``.

    Only token and padding are checked: all else is the receiver's work.

    Raises:
        AuthError, PaddingError: as their names say.
        ValueError: fewer than 48 bytes.
    """

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
        okm = derive(suite, perturb(key, params.kpos, params.kval), session_id)
        self.__setstate__((params, session_id, okm))

    def __getstate__(self) -> tuple[KeyParams, int, bytes]:
        return self.params, self.session_id, self._okm  # cipher objects cannot be pickled

    def __setstate__(self, state: tuple[KeyParams, int, bytes]) -> None:
        self.params, self.session_id, self._okm = state
        self.suite = SUITES[self.params.cipher_id]
        self.sealer: Gcm | CbcHmac = self.suite.sealer(self._okm)
        cipher_id, kid, kpos, kval = self.params
        prefix = MAGIC.to_bytes(4) + bytes((VERSION, cipher_id))
        session = self.session_id.to_bytes(6)
        keys = bytes((kpos, kval)) + kid.to_bytes(2)
        self.seal = self.sealer.seal_records(prefix, session, keys)
        self.open = self.sealer.open

    def __repr__(self) -> str:
        return f"<Epoch {self.suite.name} kid {self.params.kid} session {self.session_id:012x}>"


def seal_under(epoch: Epoch, header: bytes, plaintext: bytes, chain: bytes = b"") -> bytes:
    """Seal *plaintext* under the epoch's keys and whatever 48 header bytes are given.

    The header's token is replaced; every other field goes out as it is, true or
    not. This is what crafting and fuzzing need: a forged header that verifies.
    """
    return epoch.sealer.seal(zero_token(header), plaintext, chain)


def bound(record: bytes, token: bytes, keys: Mapping[int, bytes]) -> bytes:
    """A whole record sealed again for another `T` of section 5, all else as it was.

    Args:
        record: header and body, sealed for no ``T``.
        token: of the initiator's first record, 16 bytes; empty leaves the record as it is.
        keys: the key box's, 32 bytes each, by ``kid``.

    Returns:
        the record, as it is if it does not verify without ``T``.
    """
    if len(record) < HEADER_LEN or not token:
        return record
    header = Header.unpack(record)
    try:
        epoch = Epoch(keys[header.kid], header.params, header.session_id)
        plaintext = epoch.open(record, b"")
    except (KeyError, ValueError, AuthError, PaddingError):
        return record
    return seal_under(epoch, record[:HEADER_LEN], plaintext, token)
