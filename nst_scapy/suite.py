# SPDX-License-Identifier: GPL-2.0-or-later
"""The four suites: sealing and opening under derived keys (sections 3 and 5).

A suite here is a row of :data:`SUITES`; the two constructions (GCM, and CBC
then HMAC) are :class:`Gcm` and :class:`CbcHmac`, each built once per epoch, so
that a record costs one AEAD call.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

from .header import TOKEN_LEN

BLOCK_LEN = 16
OKM_LEN = 68
"""Bytes of output keying material of an epoch: enc_key, mac_key, salt."""


class AuthError(Exception):
    """The token does not verify (verdict ``AUTH``)."""


class PaddingError(Exception):
    """The token verifies, the padding does not (verdict ``PADDING``)."""


class SuiteId(IntEnum):
    """``cipher_id`` of the four suites."""

    AES_GCM = 1
    AES_CBC = 2
    SM4_GCM = 3
    SM4_CBC = 4


class Sealer(Protocol):
    """Derived keys of one epoch, ready for use.

    ``header0`` is the 48-byte header with a zero token, ``chain`` is ``T`` of
    section 5 (16 bytes) or empty.
    """

    def seal(self, header0: bytes, plaintext: bytes, chain: bytes = b"") -> tuple[bytes, bytes]:
        """Return ``(token, body)``."""

    def open(
        self, header0: bytes, token: bytes, body: bytes, length: int, chain: bytes = b""
    ) -> bytes:
        """Return the *length* bytes of plaintext.

        Raises:
            AuthError: the token does not verify.
            PaddingError: CBC only; the token verifies, the padding is wrong.
        """

    def decrypt(self, header0: bytes, body: bytes, length: int) -> bytes:
        """The *length* bytes of plaintext, nothing verified (for observers)."""


def _iv_block(header0: bytes) -> bytes:
    return header0[8:24]  # timestamp || nonce


class Gcm:
    """AES-256-GCM or SM4-GCM (NIST SP 800-38D, RFC 8998)."""

    __slots__ = ("_aead", "_algorithm", "_salt")

    def __init__(self, algorithm: Callable[[bytes], CipherAlgorithm], key: bytes, salt: bytes):
        self._algorithm = algorithm(key)
        self._aead = AESGCM(key) if algorithm is algorithms.AES else None
        self._salt = int.from_bytes(salt)

    def _iv(self, header0: bytes) -> bytes:
        mixed = self._salt ^ int.from_bytes(header0[12:16])
        return mixed.to_bytes(4) + header0[16:24]

    def seal(self, header0: bytes, plaintext: bytes, chain: bytes = b"") -> tuple[bytes, bytes]:
        iv = self._iv(header0)
        aad = header0 + chain if chain else header0
        if self._aead is not None:
            sealed = self._aead.encrypt(iv, plaintext, aad)
            return sealed[-TOKEN_LEN:], sealed[:-TOKEN_LEN]
        encryptor = Cipher(self._algorithm, modes.GCM(iv)).encryptor()
        encryptor.authenticate_additional_data(aad)
        body = encryptor.update(plaintext) + encryptor.finalize()
        return encryptor.tag, body

    def open(
        self, header0: bytes, token: bytes, body: bytes, length: int, chain: bytes = b""
    ) -> bytes:
        iv = self._iv(header0)
        aad = header0 + chain if chain else header0
        try:
            if self._aead is not None:
                return self._aead.decrypt(iv, body + token, aad)[:length]
            decryptor = Cipher(self._algorithm, modes.GCM(iv, token)).decryptor()
            decryptor.authenticate_additional_data(aad)
            return (decryptor.update(body) + decryptor.finalize())[:length]
        except InvalidTag:
            raise AuthError from None

    def decrypt(self, header0: bytes, body: bytes, length: int) -> bytes:
        # GCM's keystream is CTR from the counter block after the tag's (SP 800-38D, 7.2).
        block = self._iv(header0) + b"\0\0\0\2"
        decryptor = Cipher(self._algorithm, modes.CTR(block)).decryptor()
        return (decryptor.update(body) + decryptor.finalize())[:length]


class CbcHmac:
    """AES-256-CBC or SM4-CBC, then HMAC-SHA-256 or HMAC-SM3 (SP 800-38A, RFC 2104)."""

    __slots__ = ("_algorithm", "_block", "_mac")

    def __init__(
        self,
        algorithm: Callable[[bytes], CipherAlgorithm],
        key: bytes,
        mac_key: bytes,
        hash_: hashes.HashAlgorithm,
    ):
        self._algorithm = algorithm(key)
        self._block = Cipher(self._algorithm, modes.ECB()).encryptor()
        self._mac = HMAC(mac_key, hash_)

    def _token(self, header0: bytes, chain: bytes, body: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(header0 + chain + body)
        return mac.finalize()[:TOKEN_LEN]

    def seal(self, header0: bytes, plaintext: bytes, chain: bytes = b"") -> tuple[bytes, bytes]:
        pad = BLOCK_LEN - len(plaintext) % BLOCK_LEN
        return self.seal_padded(header0, plaintext + bytes((pad,)) * pad, chain)

    def seal_padded(self, header0: bytes, padded: bytes, chain: bytes = b"") -> tuple[bytes, bytes]:
        """Like :meth:`seal`, of whole blocks whose padding, right or wrong, is the caller's."""
        # Under a zero IV the first block comes out as E(timestamp || nonce), which is
        # the record's IV, and the rest is chained to it: IV and body in one call.
        encryptor = Cipher(self._algorithm, modes.CBC(bytes(BLOCK_LEN))).encryptor()
        body = encryptor.update(_iv_block(header0) + padded)[BLOCK_LEN:]
        return self._token(header0, chain, body), body

    def open(
        self, header0: bytes, token: bytes, body: bytes, length: int, chain: bytes = b""
    ) -> bytes:
        if not hmac.compare_digest(self._token(header0, chain, body), token):
            raise AuthError
        pad = len(body) - length
        padded = self._decrypt(header0, body)
        if not 1 <= pad <= BLOCK_LEN or padded[length:] != bytes((pad,)) * pad:
            raise PaddingError
        return padded[:length]

    def decrypt(self, header0: bytes, body: bytes, length: int) -> bytes:
        return self._decrypt(header0, body)[:length]

    def _decrypt(self, header0: bytes, body: bytes) -> bytes:
        iv = self._block.update(_iv_block(header0))
        return Cipher(self._algorithm, modes.CBC(iv)).decryptor().update(body)


@dataclass(frozen=True)
class Suite:
    """One row of section 3's table."""

    id: SuiteId
    algorithm: Callable[[bytes], CipherAlgorithm]
    key_len: int
    hash: hashes.HashAlgorithm
    aead: bool

    @property
    def name(self) -> str:
        """The specification's name, for example ``AES_GCM``."""
        return self.id.name

    def body_len(self, transport_len: int) -> int:
        """Length of the body of a record with that much plaintext, both in bytes."""
        if self.aead:
            return transport_len
        return BLOCK_LEN * (transport_len // BLOCK_LEN + 1)

    def sealer(self, okm: bytes) -> Gcm | CbcHmac:
        """The keys in the 68 bytes of output keying material, ready for use."""
        enc_key = okm[: self.key_len]
        if self.aead:
            return Gcm(self.algorithm, enc_key, okm[64:68])
        return CbcHmac(self.algorithm, enc_key, okm[32:64], self.hash)


SUITES: dict[int, Suite] = {
    suite.id: suite
    for suite in (
        Suite(SuiteId.AES_GCM, algorithms.AES, 32, hashes.SHA256(), aead=True),
        Suite(SuiteId.AES_CBC, algorithms.AES, 32, hashes.SHA256(), aead=False),
        Suite(SuiteId.SM4_GCM, algorithms.SM4, 16, hashes.SM3(), aead=True),
        Suite(SuiteId.SM4_CBC, algorithms.SM4, 16, hashes.SM3(), aead=False),
    )
}
