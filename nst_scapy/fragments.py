# SPDX-License-Identifier: GPL-2.0-or-later
"""IP fragments put together again, in bounded memory (RFC 791, RFC 8200, RFC 5722)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

MAX_PENDING = 256
"""Packets being put together at once; past that the oldest is given up."""
TIMEOUT_NS = 30_000_000_000
MAX_PACKET = 65535

Key = tuple[bytes, int, int]
"""Source and destination together, protocol, identification."""


class Fragment(NamedTuple):
    """A piece of an IP packet's payload; *offset* in bytes."""

    key: Key
    offset: int
    more: bool
    payload: bytes


@dataclass(slots=True)
class _Pending:
    time: int
    pieces: dict[int, bytes] = field(default_factory=dict)
    have: int = 0
    total: int | None = None


class Reassembly:
    """Packets whose fragments have come in part."""

    def __init__(self) -> None:
        self._pending: dict[Key, _Pending] = {}
        self._given_up = 0

    @property
    def incomplete(self) -> int:
        """Packets given up or still not whole."""
        return self._given_up + len(self._pending)

    def add(self, fragment: Fragment, time: int) -> bytes | None:
        """The whole payload, if this fragment completes it. *time* in nanoseconds."""
        key, offset, more, payload = fragment
        pending = self._pending.get(key)
        if pending is not None and time - pending.time > TIMEOUT_NS:
            self._give_up(key)
            pending = None
        if pending is None:
            if len(self._pending) >= MAX_PENDING:
                self._give_up(next(iter(self._pending)))
            pending = self._pending[key] = _Pending(time)
        end = offset + len(payload)
        if pending.pieces.get(offset) == payload:
            return None  # a retransmission
        if (
            end > MAX_PACKET
            or not payload
            or (more and len(payload) % 8)
            or offset in pending.pieces
            or (not more and pending.total is not None)
        ):
            self._give_up(key)
            return None
        pending.pieces[offset] = payload
        pending.have += len(payload)
        if not more:
            pending.total = end
        if pending.total is None or pending.have < pending.total:
            return None
        return self._join(key)

    def _join(self, key: Key) -> bytes | None:
        """The pieces in order, unless they overlap: those no host puts together."""
        pending = self._pending[key]
        whole = bytearray()
        for offset in sorted(pending.pieces):
            if offset != len(whole):
                self._give_up(key)
                return None
            whole += pending.pieces[offset]
        del self._pending[key]
        return bytes(whole)

    def _give_up(self, key: Key) -> None:
        del self._pending[key]
        self._given_up += 1
