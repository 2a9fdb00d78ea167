# SPDX-License-Identifier: GPL-2.0-or-later
"""Replies that belong to what the guest sent first, which is not known before (section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fuzz.script import DIALS, OPENS, Action, Step
from nst_scapy.header import BOUND, HEADER_LEN, TOKEN_LEN, TOKEN_OFFSET, Header


def is_bound(record: bytes) -> bool:
    """Whether a record says that it is bound."""
    return len(record) >= HEADER_LEN and bool(Header.unpack(record).flags & BOUND)


def heard(
    cases: Iterable[Sequence[Step]],
    bound_records: Iterable[bytes],
    streams: Iterable[bytes | bytearray],
) -> list[list[Step]]:
    """The steps of cases as they were done, with what was heard meanwhile.

    `bound_records` are those of all BIND steps in order, `streams` what the guest sent on each
    connection.
    """
    records, heard_on = iter(bound_records), iter(streams)
    return [[_heard(step, records, heard_on) for step in steps] for steps in cases]


def _heard(step: Step, records: Iterator[bytes], streams: Iterator[bytes | bytearray]) -> Step:
    if step.action is Action.BIND:
        return Step(Action.SEGMENT, 0, next(records))
    if step.action in OPENS:
        token = token_in(next(streams))
        return step._replace(data=token) if step.action in DIALS else step
    return step


def token_in(stream: bytes | bytearray) -> bytes:
    """The token of the first record of a stream; empty if that is not there yet."""
    token = bytes(stream[TOKEN_OFFSET : TOKEN_OFFSET + TOKEN_LEN])
    return token if len(token) == TOKEN_LEN else b""
