# SPDX-License-Identifier: GPL-2.0-or-later
"""The primitives against the vectors that their own standards publish.

The suites lean on the library for these; should a build of it lack or break one,
this says which, where a failing NST vector would only say that something is wrong.
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

unhex = bytes.fromhex
SM4_KEY = unhex("0123456789abcdeffedcba9876543210")


def digest(hash_: hashes.HashAlgorithm, data: bytes) -> str:
    context = hashes.Hash(hash_)
    context.update(data)
    return context.finalize().hex()


def test_sm4_one_block() -> None:
    """GB/T 32907-2016, appendix A.1."""
    encryptor = Cipher(algorithms.SM4(SM4_KEY), modes.ECB()).encryptor()
    assert encryptor.update(SM4_KEY).hex() == "681edf34d206965e86b3e94f536e4246"


def test_sm4_a_million_blocks() -> None:
    """GB/T 32907-2016, appendix A.2."""
    encryptor = Cipher(algorithms.SM4(SM4_KEY), modes.ECB()).encryptor()
    block = SM4_KEY
    for _ in range(1_000_000):
        block = encryptor.update(block)
    assert block.hex() == "595298c7c6fd271f0402f804c33d3f66"


def test_sm4_cbc() -> None:
    """draft-ribose-cfrg-sm4-10, appendix A.2.2.1."""
    cbc = modes.CBC(bytes(range(16)))
    plain = unhex("aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeeffffffffaaaaaaaabbbbbbbb")
    sealed = Cipher(algorithms.SM4(SM4_KEY), cbc).encryptor().update(plain)
    assert sealed.hex() == "78ebb11cc40b0a48312aaeb2040244cb4cb7016951909226979b0d15dc6a8f6d"


def test_sm4_gcm() -> None:
    """RFC 8998, appendix A.1."""
    cipher = Cipher(algorithms.SM4(SM4_KEY), modes.GCM(unhex("00001234567800000000abcd")))
    encryptor = cipher.encryptor()
    encryptor.authenticate_additional_data(unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"))
    plain = "".join(digit * 16 for digit in "aabbccddeeffeeaa"[::2])
    sealed = encryptor.update(unhex(plain)) + encryptor.finalize()
    assert sealed.hex() == (
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
        "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
    )
    assert encryptor.tag.hex() == "83de3541e4c2b58177e065a9bf7b62ec"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
        (b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
    ],
)
def test_sm3(data: bytes, expected: str) -> None:
    """GB/T 32905-2016, appendix A."""
    assert digest(hashes.SM3(), data) == expected


def test_aes_256_cbc() -> None:
    """NIST SP 800-38A, F.2.5."""
    key = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    cbc = modes.CBC(bytes(range(16)))
    plain = unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    sealed = Cipher(algorithms.AES(key), cbc).encryptor().update(plain)
    assert sealed.hex() == "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"


def test_aes_256_gcm() -> None:
    """The GCM submission to NIST (McGrew, Viega), test case 16."""
    key = unhex("feffe9928665731c6d6a8f9467308308" * 2)
    plain = unhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    aad = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    assert AESGCM(key).encrypt(unhex("cafebabefacedbaddecaf888"), plain, aad).hex() == (
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b"
    )


def test_hmac_sha_256() -> None:
    """RFC 4231, test case 2."""
    mac = HMAC(b"Jefe", hashes.SHA256())
    mac.update(b"what do ya want for nothing?")
    assert mac.finalize().hex() == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def test_hkdf_expand_sha_256() -> None:
    """RFC 5869, appendix A.1."""
    prk = unhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
    okm = HKDFExpand(hashes.SHA256(), 42, bytes(range(0xF0, 0xFA))).derive(prk)
    assert okm.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
