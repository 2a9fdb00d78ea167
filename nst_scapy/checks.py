# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks 2 to 9, which need no key and no state (specification, sections 8 and 10).

Each function returns the verdict of the first check that fails, or ``None``.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from .header import (
    ALL_FLAGS,
    BOUND,
    CLOSE,
    DGRAM,
    HEADER_LEN,
    MAGIC,
    MAGIC_VERSION_LEN,
    MAX_KPOS,
    MAX_STREAM_PAYLOAD,
    REPLY,
    VERSION,
    Header,
    Role,
)
from .suite import SUITES
from .verdict import Verdict

ALL_SUITES: frozenset[int] = frozenset(SUITES)


@dataclass(frozen=True)
class Policy:
    """What a socket lets through.

    Attributes:
        suites: the ``cipher_id`` values that it allows.
        kids: the ``kid`` values that it accepts besides being in the key box; ``None``
            for every one.
    """

    suites: frozenset[int] = ALL_SUITES
    kids: Container[int] | None = None


def check_prefix(data: bytes | bytearray) -> Verdict | None:
    """Checks 2 and 3 on the first 5 bytes (or more) of a record."""
    if int.from_bytes(data[:4]) != MAGIC:
        return Verdict.MAGIC
    if data[MAGIC_VERSION_LEN - 1] != VERSION:
        return Verdict.VERSION
    return None


def check_suite(header: Header, policy: Policy) -> Verdict | None:
    """Check 4."""
    return None if header.cipher_id in policy.suites else Verdict.CIPHER


def dgram_flags_and_length(header: Header, udp_payload: int) -> Verdict | None:
    """Checks 5 and 6 for a datagram with *udp_payload* bytes."""
    if header.flags != DGRAM:
        return Verdict.FLAGS
    if udp_payload != HEADER_LEN + SUITES[header.cipher_id].body_len(header.transport_len):
        return Verdict.LENGTH
    return None


def stream_flags_and_length(header: Header, receiver: Role) -> Verdict | None:
    """Checks 5 and 6 for a record that arrives at the *receiver* side of a stream."""
    flags = header.flags
    reply = bool(flags & REPLY)
    if (
        flags & ~ALL_FLAGS
        or flags & DGRAM
        or reply != (receiver is Role.INITIATOR)
        or (flags & BOUND and not reply)
    ):
        return Verdict.FLAGS
    if header.transport_len > MAX_STREAM_PAYLOAD or (header.transport_len == 0) != bool(
        flags & CLOSE
    ):
        return Verdict.LENGTH
    return None


def check_perturbation(header: Header) -> Verdict | None:
    """Check 7."""
    if header.kpos > MAX_KPOS or (header.kpos == 0) != (header.kval == 0):
        return Verdict.PERTURB
    return None


def check_kid(header: Header, box: Container[int], policy: Policy) -> Verdict | None:
    """Check 8."""
    if header.kid not in box or (policy.kids is not None and header.kid not in policy.kids):
        return Verdict.KID
    return None


def check_timestamp(header: Header, now: int, window_ns: int) -> Verdict | None:
    """Check 9, for the records that it applies to; times in nanoseconds."""
    return Verdict.TIMESTAMP if abs(now - header.timestamp) > window_ns else None
