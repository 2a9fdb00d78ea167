# SPDX-License-Identifier: GPL-2.0-or-later
"""Damage to a sealed record, and faults in the sealing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nst_scapy.header import HEADER_LEN, TOKEN_LEN, TOKEN_OFFSET
from nst_scapy.suite import BLOCK_LEN


@dataclass(frozen=True)
class Damage:
    """A change to the bytes of a sealed record."""

    name: str
    apply: Callable[[bytes], bytes]


def _flip(offset: int, mask: int) -> Callable[[bytes], bytes]:
    def apply(record: bytes) -> bytes:
        position = offset if offset >= 0 else len(record) + offset
        if not 0 <= position < len(record):
            return record
        return record[:position] + bytes((record[position] ^ mask,)) + record[position + 1 :]

    return apply


def _keep(end: int) -> Callable[[bytes], bytes]:
    return lambda record: record[:end]


def _add(count: int) -> Callable[[bytes], bytes]:
    return lambda record: record + bytes(count)


def _with_token(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def apply(record: bytes) -> bytes:
        end = TOKEN_OFFSET + TOKEN_LEN
        return record[:TOKEN_OFFSET] + change(record[TOKEN_OFFSET:end]) + record[end:]

    return apply


def _damages() -> Iterator[Damage]:
    for offset in (*range(TOKEN_OFFSET), *range(TOKEN_OFFSET + TOKEN_LEN, HEADER_LEN)):
        yield Damage(f"flip {offset}", _flip(offset, 1 << offset % 8))
    for offset in (HEADER_LEN, HEADER_LEN + 15, HEADER_LEN + 16, -1, -2, -16, -17):
        yield Damage(f"flip body {offset}", _flip(offset, 1 << offset % 8))
    for kept in (0, 1, 4, 5, 7, 8, 24, 40, 47, 48, 49):
        yield Damage(f"keep {kept}", _keep(kept))
    for lost in (1, 15, 16, 17):
        yield Damage(f"lose {lost}", _keep(-lost))
    for added in (1, 15, 16, 48):
        yield Damage(f"add {added}", _add(added))
    yield Damage("twice", lambda record: record * 2)
    yield Damage("lose first byte", lambda record: record[1:])
    yield Damage("add first byte", lambda record: b"\xbe" + record)
    yield Damage("header only, twice", lambda record: record[:HEADER_LEN] * 2)
    yield Damage("body reversed", lambda record: record[:HEADER_LEN] + record[HEADER_LEN:][::-1])


def _token_damages() -> Iterator[Damage]:
    for offset in range(TOKEN_LEN):
        yield Damage(f"flip {offset}", _flip(TOKEN_OFFSET + offset, 1 << offset % 8))
        yield Damage(f"flip high {offset}", _flip(TOKEN_OFFSET + offset, 0x80))
    yield Damage("zero", _with_token(lambda _: bytes(TOKEN_LEN)))
    yield Damage("ones", _with_token(lambda _: b"\xff" * TOKEN_LEN))
    yield Damage("reversed", _with_token(lambda token: token[::-1]))
    yield Damage("halves swapped", _with_token(lambda token: token[8:] + token[:8]))
    for kept in (4, 8, 12):
        yield Damage(f"first {kept} bytes", _with_token(_only(kept)))


def _only(kept: int) -> Callable[[bytes], bytes]:
    return lambda token: token[:kept] + bytes(byte ^ 0xFF for byte in token[kept:])


DAMAGES = tuple(_damages())
"""Changes to a record after sealing, its token apart."""
TOKEN_DAMAGES = tuple(_token_damages())
"""Changes to its token."""


@dataclass(frozen=True)
class WrongPadding:
    """Seal a CBC record with padding that is wrong, under a token that is right."""

    name: str
    change: Callable[[bytes, int], bytes]
    """From right padding of the plaintext's last block, and its length, to wrong padding."""


@dataclass(frozen=True)
class WrongChain:
    """Seal as if another token came before (section 5's T)."""

    name: str
    change: Callable[[bytes], bytes]


@dataclass(frozen=True)
class WrongKey:
    """Seal under the key of another `kid` or perturbation than the header says."""

    name: str
    kid: int = 0
    kval: int = 0


def _padding(name: str, change: Callable[[bytes, int], bytes]) -> WrongPadding:
    return WrongPadding(name, change)


WRONG_PADDINGS = (
    _padding("zeros", lambda pad, _: bytes(len(pad))),
    _padding("last byte zero", lambda pad, _: pad[:-1] + b"\0"),
    _padding("last byte 17", lambda pad, _: pad[:-1] + b"\x11"),
    _padding("last byte 255", lambda pad, _: pad[:-1] + b"\xff"),
    _padding("last byte one more", lambda pad, n: pad[:-1] + bytes(((n + 1) & 0xFF,))),
    _padding("last byte one less", lambda pad, n: pad[:-1] + bytes((n - 1,))),
    _padding("first byte inverted", lambda pad, _: bytes((pad[0] ^ 0xFF,)) + pad[1:]),
    _padding("a whole block's", lambda pad, n: bytes((BLOCK_LEN,)) * n if n < 16 else b"\1" * n),
    _padding("one bit", lambda pad, _: pad[:-1] + bytes((pad[-1] ^ 0x80,))),
    _padding("ANSI X.923", lambda pad, n: bytes(n - 1) + bytes((n if n > 1 else 2,))),
)
WRONG_CHAINS = (
    WrongChain("none", lambda _: b""),
    WrongChain("zeros", lambda _: bytes(TOKEN_LEN)),
    WrongChain(
        "one bit", lambda token: bytes((token[0] ^ 1,)) + token[1:] if token else b"\1" * 16
    ),
    WrongChain("half", lambda token: token[:8]),
)
WRONG_KEYS = (
    WrongKey("next kid", kid=1),
    WrongKey("one bit of kval", kval=1),
    WrongKey("kval inverted", kval=255),
)
