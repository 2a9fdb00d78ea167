# SPDX-License-Identifier: GPL-2.0-or-later
"""The four suites: sealing and opening under derived keys (sections 3 and 5).

A suite here is a row of :data:`SUITES`; the two constructions (GCM, and CBC
then HMAC) are :class:`Gcm` (:class:`AesGcm` where the library is at its fastest) and
:class:`CbcHmac`, each built once per epoch.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import (
    Cipher,
    CipherAlgorithm,
    CipherContext,
    algorithms,
    modes,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

from .gcm_parts import make_template
from .header import HEADER_LEN, TOKEN_LEN, TOKEN_OFFSET, Header, zero_token

try:
    from ._gcm_parts import begin, join, split
except ImportError:  # where it could not be built
    from .gcm_parts import begin, join, split

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


class SealRecord(Protocol):
    """Seals the records of one epoch: see :attr:`.epoch.Epoch.seal`."""

    def __call__(
        self, plaintext: bytes, timestamp: int, counter: int, flags: int, chain: bytes = b""
    ) -> bytes: ...


class OpenRecord(Protocol):
    """Opens the records of one epoch: see :attr:`.epoch.Epoch.open`."""

    def __call__(self, record: bytes, chain: bytes = b"") -> bytes: ...


class Sealer(Protocol):
    """Derived keys of one epoch, ready for use: plaintext in, whole records out, and back.

    ``chain`` is ``T`` of section 5 (16 bytes) or empty.
    """

    def seal(self, header0: bytes, plaintext: bytes, chain: bytes = b"") -> bytes:
        """The record: *header0* (48 bytes, zero token) with its token, and the body."""

    def seal_records(self, prefix: bytes, session: bytes, keys: bytes) -> SealRecord:
        """What seals records whose headers hold this constant.

        Args:
            prefix: ``magic``, ``version`` and ``cipher_id``, 6 bytes.
            session: ``session_id``, 6 bytes.
            keys: ``kpos``, ``kval`` and ``kid``, 4 bytes.
        """

    def open(self, record: bytes, chain: bytes = b"") -> bytes:
        """The plaintext of a whole record.

        Raises:
            AuthError: the token does not verify.
            PaddingError: CBC only; the token verifies, the padding is wrong.
            ValueError: fewer than 48 bytes.
        """

    def decrypt(self, record: bytes) -> bytes:
        """The plaintext of a whole record, nothing verified (for observers)."""


_AFTER_TOKEN = TOKEN_OFFSET + TOKEN_LEN
_IV_BLOCK = slice(8, 24)
"""Of a record: ``timestamp || nonce``."""
_LENGTH = slice(6, 8)
"""Of a record: ``transport_len``."""
_ZERO_BLOCK = bytes(BLOCK_LEN)


def _records_of(sealer: Sealer, prefix: bytes, session: bytes, keys: bytes) -> SealRecord:
    """What :meth:`Sealer.seal_records` gives where making a header costs next to nothing."""
    template = make_template(prefix, session, keys)

    def seal(
        plaintext: bytes, timestamp: int, counter: int, flags: int, chain: bytes = b""
    ) -> bytes:
        header0, _ = begin(template, len(plaintext), timestamp, counter, flags)
        return sealer.seal(header0, plaintext, chain)

    return seal


class Gcm:
    """GCM with any block cipher (NIST SP 800-38D, RFC 8998)."""

    __slots__ = ("_algorithm", "_salt")

    def __init__(self, algorithm: Callable[[bytes], CipherAlgorithm], key: bytes, salt: bytes):
        self._algorithm = algorithm(key)
        self._salt = salt

    def seal(self, header0: bytes, plaintext: bytes, chain: bytes = b"") -> bytes:
        _, iv, _ = split(header0, self._salt)
        encryptor = Cipher(self._algorithm, modes.GCM(iv)).encryptor()
        encryptor.authenticate_additional_data(header0 + chain)
        body = encryptor.update(plaintext)
        encryptor.finalize()
        return join(header0, body + encryptor.tag)

    def seal_records(self, prefix: bytes, session: bytes, keys: bytes) -> SealRecord:
        return _records_of(self, prefix, session, keys)

    def open(self, record: bytes, chain: bytes = b"") -> bytes:
        header0, iv, _ = split(record, self._salt)
        token = record[TOKEN_OFFSET:_AFTER_TOKEN]
        decryptor = Cipher(self._algorithm, modes.GCM(iv, token)).decryptor()
        decryptor.authenticate_additional_data(header0 + chain)
        plaintext = decryptor.update(record[HEADER_LEN:])
        try:
            decryptor.finalize()
        except InvalidTag:
            raise AuthError from None
        return plaintext

    def decrypt(self, record: bytes) -> bytes:
        # GCM's keystream is CTR from the counter block after the tag's (SP 800-38D, 7.2).
        _, iv, _ = split(record, self._salt)
        decryptor = Cipher(self._algorithm, modes.CTR(iv + b"\0\0\0\2")).decryptor()
        return decryptor.update(record[HEADER_LEN:]) + decryptor.finalize()


class AesGcm(Gcm):
    """AES-256-GCM by the library's AEAD object, ten times as fast as its cipher contexts.

    That object takes half a microsecond, so every step around it counts.
    """

    __slots__ = ("_decrypt", "_encrypt")

    def __init__(self, key: bytes, salt: bytes):
        super().__init__(algorithms.AES, key, salt)
        aead = AESGCM(key)
        self._encrypt = aead.encrypt
        self._decrypt = aead.decrypt

    def seal(self, header0: bytes, plaintext: bytes, chain: bytes = b"") -> bytes:
        _, iv, _ = split(header0, self._salt)
        return join(header0, self._encrypt(iv, plaintext, header0 + chain))

    def seal_records(self, prefix: bytes, session: bytes, keys: bytes) -> SealRecord:
        # What a closure holds is found faster than what an object or a module does.
        encrypt, make, put_together = self._encrypt, begin, join
        template = make_template(prefix, session, keys, self._salt)

        def seal(
            plaintext: bytes, timestamp: int, counter: int, flags: int, chain: bytes = b""
        ) -> bytes:
            header0, iv = make(template, len(plaintext), timestamp, counter, flags)
            return put_together(
                header0, encrypt(iv, plaintext, header0 + chain if chain else header0)
            )

        return seal

    def open(self, record: bytes, chain: bytes = b"") -> bytes:
        header0, iv, sealed = split(record, self._salt)
        try:
            return self._decrypt(iv, sealed, header0 + chain if chain else header0)
        except InvalidTag:
            raise AuthError from None


class CbcHmac:
    """AES-256-CBC or SM4-CBC, then HMAC-SHA-256 or HMAC-SM3 (SP 800-38A, RFC 2104).

    The cipher contexts are made once and go on from record to record, since making one
    takes longer than a short record: CBC only ever looks back by one block.
    """

    __slots__ = ("_cipher", "_encryptor", "_last", "_mac", "_openers")

    def __init__(
        self,
        algorithm: Callable[[bytes], CipherAlgorithm],
        key: bytes,
        mac_key: bytes,
        hash_: hashes.HashAlgorithm,
    ):
        self._cipher = Cipher(algorithm(key), modes.CBC(_ZERO_BLOCK))
        self._encryptor = self._cipher.encryptor()
        self._openers: tuple[CipherContext, CipherContext] | None = None
        """What encrypts an IV and what decrypts: many an epoch is only ever sealed under."""
        self._last = 0
        """The last block that the encryptor gave out, into which it chains the next one."""
        self._mac = HMAC(mac_key, hash_)

    def _token(self, authenticated: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(authenticated)
        return mac.finalize()[:TOKEN_LEN]

    def seal(self, header0: bytes, plaintext: bytes, chain: bytes = b"") -> bytes:
        pad = BLOCK_LEN - len(plaintext) % BLOCK_LEN
        return self.seal_padded(header0, plaintext + bytes((pad,)) * pad, chain)

    def seal_padded(self, header0: bytes, padded: bytes, chain: bytes = b"") -> bytes:
        """Like :meth:`seal`, of whole blocks whose padding, right or wrong, is the caller's.

        Raises:
            ValueError: *padded* is not whole blocks.
        """
        if len(padded) % BLOCK_LEN:
            raise ValueError(f"{len(padded)} bytes are not whole blocks")
        # With the chaining of the first block undone it comes out as E(timestamp || nonce),
        # which is the record's IV, and the rest is chained to it: IV and body in one call.
        first = int.from_bytes(header0[_IV_BLOCK]) ^ self._last
        blocks = self._encryptor.update(first.to_bytes(BLOCK_LEN) + padded)
        self._last = int.from_bytes(blocks[-BLOCK_LEN:])
        body = blocks[BLOCK_LEN:]
        token = self._token(header0 + chain + body)
        return header0[:TOKEN_OFFSET] + token + header0[_AFTER_TOKEN:] + body

    def seal_records(self, prefix: bytes, session: bytes, keys: bytes) -> SealRecord:
        return _records_of(self, prefix, session, keys)

    def open(self, record: bytes, chain: bytes = b"") -> bytes:
        if len(record) < HEADER_LEN:
            raise ValueError(f"a record is {HEADER_LEN} bytes or more, got {len(record)}")
        token = self._token(zero_token(record) + chain + record[HEADER_LEN:])
        if not hmac.compare_digest(token, record[TOKEN_OFFSET:_AFTER_TOKEN]):
            raise AuthError
        padded = self._padded(record)
        length = int.from_bytes(record[_LENGTH])
        pad = len(padded) - length
        if not 1 <= pad <= BLOCK_LEN or padded[length:] != bytes((pad,)) * pad:
            raise PaddingError
        return padded[:length]

    def decrypt(self, record: bytes) -> bytes:
        return self._padded(record)[: int.from_bytes(record[_LENGTH])]

    def _padded(self, record: bytes) -> bytes:
        if len(record) % BLOCK_LEN:  # the header is three of them
            raise ValueError(f"a record of {len(record)} bytes is not whole blocks")
        # What the IV itself comes out as depends on the record before; nothing after it does.
        if self._openers is None:
            block = Cipher(self._cipher.algorithm, modes.ECB())
            self._openers = block.encryptor(), self._cipher.decryptor()
        block_cipher, decryptor = self._openers
        iv = block_cipher.update(record[_IV_BLOCK])
        return decryptor.update(iv + record[HEADER_LEN:])[BLOCK_LEN:]


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
            salt = okm[64:68]
            if self.algorithm is algorithms.AES:
                return AesGcm(enc_key, salt)
            return Gcm(self.algorithm, enc_key, salt)
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


def record_len(stream: bytes) -> int:
    """Length of the record that a stream begins with, by its header; 0 if that tells none."""
    if len(stream) < HEADER_LEN:
        return 0
    header = Header.unpack(stream)
    suite = SUITES.get(header.cipher_id)
    return HEADER_LEN + suite.body_len(header.transport_len) if suite else 0
