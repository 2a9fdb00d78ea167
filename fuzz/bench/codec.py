# SPDX-License-Identifier: GPL-2.0-or-later
"""The byte codec against the bare primitives that it calls."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

from fuzz.bench.measure import Contest, Work
from nst_scapy.epoch import Epoch
from nst_scapy.header import DGRAM, HEADER_LEN, KeyParams
from nst_scapy.suite import BLOCK_LEN, SUITES, Suite, SuiteId

SIZES = (64, 1400, 16384)
"""Payloads, bytes: a short message, a full packet, a full stream record."""

_NOW = 1_700_000_000_123_456_789
_AAD = bytes(HEADER_LEN)
_IV = bytes(12)
_AEAD_TARGET = 0.6
_TARGET = 0.8


def contests() -> Iterator[Contest]:
    """Sealing and opening in each suite, at each size."""
    for suite in SUITES.values():
        for size in SIZES:
            yield from _of(suite, bytes(size))


def _of(suite: Suite, payload: bytes) -> Iterator[Contest]:
    epoch = Epoch(bytes(32), KeyParams(suite.id, 0, 1, 2), 77)
    seal_record, open_record = epoch.seal, epoch.open
    record = seal_record(payload, _NOW, 3, DGRAM)

    def seal() -> bytes:
        return seal_record(payload, _NOW, 3, DGRAM)

    def open_() -> bytes:
        return open_record(record)

    if suite.id == SuiteId.AES_GCM:
        target, peers = _AEAD_TARGET, ("AESGCM.encrypt",) * 2
        encrypt = decrypt = _aesgcm(payload)
    else:
        target, raw = _TARGET, "Cipher GCM" if suite.aead else "Cipher CBC + HMAC"
        peers = f"{raw} encrypt", f"{raw} decrypt"
        encrypt, decrypt = (_gcm if suite.aead else _cbc)(suite, payload)
    size = len(payload)
    yield Contest(f"{suite.name} seal", peers[0], size, target, seal, encrypt)
    yield Contest(f"{suite.name} open", peers[1], size, target, open_, decrypt)


def _aesgcm(payload: bytes) -> Work:
    encrypt = AESGCM(bytes(32)).encrypt
    return lambda: encrypt(_IV, payload, _AAD)


def _gcm(suite: Suite, payload: bytes) -> tuple[Work, Work]:
    algorithm = suite.algorithm(bytes(suite.key_len))

    def encrypt() -> tuple[bytes, bytes]:
        encryptor = Cipher(algorithm, modes.GCM(_IV)).encryptor()
        encryptor.authenticate_additional_data(_AAD)
        body = encryptor.update(payload) + encryptor.finalize()
        return body, encryptor.tag

    body, tag = encrypt()

    def decrypt() -> bytes:
        decryptor = Cipher(algorithm, modes.GCM(_IV, tag)).decryptor()
        decryptor.authenticate_additional_data(_AAD)
        return decryptor.update(body) + decryptor.finalize()

    return encrypt, decrypt


def _cbc(suite: Suite, payload: bytes) -> tuple[Work, Work]:
    algorithm = suite.algorithm(bytes(suite.key_len))
    iv = bytes(BLOCK_LEN)

    def token(body: bytes) -> bytes:
        mac = HMAC(bytes(32), suite.hash)
        mac.update(_AAD)
        mac.update(body)
        return mac.finalize()

    def encrypt() -> tuple[bytes, bytes]:
        padder = padding.PKCS7(8 * BLOCK_LEN).padder()
        encryptor = Cipher(algorithm, modes.CBC(iv)).encryptor()
        body = encryptor.update(padder.update(payload) + padder.finalize()) + encryptor.finalize()
        return body, token(body)

    body, _ = encrypt()

    def decrypt() -> bytes:
        token(body)
        decryptor = Cipher(algorithm, modes.CBC(iv)).decryptor()
        padded = decryptor.update(body) + decryptor.finalize()
        unpadder = padding.PKCS7(8 * BLOCK_LEN).unpadder()
        return unpadder.update(padded) + unpadder.finalize()

    return encrypt, decrypt
