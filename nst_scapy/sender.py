# SPDX-License-Identifier: GPL-2.0-or-later
"""The sending side: epochs, counters and chaining (specification, sections 5 and 6).

Sans-IO: payload and the time go in, records come out. Randomness comes from the
:class:`random.Random` handed in, :class:`random.SystemRandom` unless a test or a
campaign wants runs that repeat.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .epoch import Epoch
from .header import (
    DGRAM,
    MAGIC,
    MAX_COUNTER,
    MAX_KPOS,
    MAX_SESSION_ID,
    MAX_STREAM_PAYLOAD,
    TOKEN_LEN,
    TOKEN_OFFSET,
    VERSION,
    ZERO_TOKEN,
    Flags,
    Header,
    KeyParams,
    Role,
    make_nonce,
)
from .keybox import KeyBox
from .suite import SuiteId

_TOKEN = slice(TOKEN_OFFSET, TOKEN_OFFSET + TOKEN_LEN)


@dataclass(frozen=True)
class Pins:
    """What an application fixed of the parameters drawn at each epoch; ``None`` draws."""

    kids: Sequence[int] | None = None
    """The ``kid`` values to draw from; ``None`` for the whole key box."""
    perturbation: tuple[int, int] | None = None
    """``(kpos, kval)``; ``(0, 0)`` leaves the key as it is."""


class Draft(NamedTuple):
    """A record before it is sealed, for those who want to alter it first.

    Attributes:
        epoch: its keys.
        header: as it would go out, but for the token, which is zero.
        chain: ``T`` of section 5, 16 bytes, or empty.
    """

    epoch: Epoch
    header: Header
    chain: bytes = b""


def _draft(
    epoch: Epoch, length: int, *, now: int, counter: int, flags: Flags, chain: bytes = b""
) -> Draft:
    params = epoch.params
    header = Header(
        MAGIC,
        VERSION,
        params.cipher_id,
        length,
        now,
        make_nonce(epoch.session_id, counter),
        ZERO_TOKEN,
        params.kpos,
        params.kval,
        params.kid,
        flags,
    )
    return Draft(epoch, header, chain)


class _Sender:
    """Epochs and counters of one direction."""

    def __init__(
        self,
        keybox: KeyBox,
        suite: SuiteId = SuiteId.AES_GCM,
        pins: Pins | None = None,
        rng: random.Random | None = None,
        rekey_records: int = MAX_COUNTER + 1,
    ) -> None:
        """*rekey_records* (1..65536) is how many records an epoch has at most."""
        if not 1 <= rekey_records <= MAX_COUNTER + 1:
            raise ValueError(f"rekey_records {rekey_records} is outside 1..{MAX_COUNTER + 1}")
        self.keybox = keybox
        """May be replaced; takes effect at the next epoch."""
        self.suite = suite
        """May be changed; starts an epoch."""
        self._pins = pins or Pins()
        self._rng: random.Random = rng or random.SystemRandom()
        self._rekey_records = rekey_records
        self._epoch: Epoch | None = None
        self._counter = 0

    def __getstate__(self) -> dict[str, object]:
        """Leave out the epoch: a copy that went on with it would use its counters twice."""
        state = vars(self) | {"_epoch": None}
        if isinstance(self._rng, random.SystemRandom):
            state["_rng"] = None
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._rng = self._rng or random.SystemRandom()

    @property
    def epoch(self) -> Epoch | None:
        """The epoch of the last record, ``None`` before the first."""
        return self._epoch

    def new_epoch(self) -> None:
        """Make the next record start an epoch."""
        self._epoch = None

    def _draw(self) -> Epoch:
        kids = self._pins.kids
        kid = self._rng.choice(tuple(self.keybox) if kids is None else kids)
        if self._pins.perturbation is None:
            kpos, kval = self._rng.randint(1, MAX_KPOS), self._rng.randint(1, 255)
        else:
            kpos, kval = self._pins.perturbation
        params = KeyParams(self.suite, kid, kpos, kval)
        return Epoch(self.keybox[kid], params, self._rng.randint(1, MAX_SESSION_ID))

    def _next(self) -> tuple[Epoch, int]:
        """The epoch and counter of the next record; the counter is 0 at a new epoch."""
        epoch = self._epoch
        if (
            epoch is None
            or self._counter >= self._rekey_records
            or epoch.params.cipher_id != self.suite
        ):
            epoch = self._epoch = self._draw()
            self._counter = 0
        counter = self._counter
        self._counter += 1
        return epoch, counter


class DgramSender(_Sender):
    """Seals datagrams."""

    def seal(self, payload: bytes, *, now: int) -> bytes:
        """One record: the whole UDP payload. *now* is real time in nanoseconds.

        Raises:
            ValueError: the payload does not fit ``transport_len``.
        """
        epoch, counter = self._next()
        return epoch.seal(payload, now, counter, DGRAM)

    def draft(self, length: int, *, now: int) -> Draft:
        """The next record for a payload of *length* bytes; its counter is used up."""
        epoch, counter = self._next()
        return _draft(epoch, length, now=now, counter=counter, flags=Flags.DGRAM)


class StreamSender(_Sender):
    """Seals one direction of a stream."""

    def __init__(
        self,
        role: Role,
        keybox: KeyBox,
        suite: SuiteId = SuiteId.AES_GCM,
        pins: Pins | None = None,
        rng: random.Random | None = None,
        rekey_records: int = MAX_COUNTER + 1,
    ) -> None:
        """*role* is this sender's own side."""
        super().__init__(keybox, suite, pins, rng, rekey_records)
        self._flags = Flags.REPLY if role is Role.ACCEPTOR else Flags(0)
        self._last_token: bytes | None = None
        self._bind_to: bytes | None = None
        self._closed = False
        self.first_token: bytes | None = None
        """Token of the first record sealed, for :meth:`StreamReceiver.sent_first`."""

    def bind(self, token: bytes) -> None:
        """Note that this acceptor accepted the initiator's first record, with that token.

        The first record sealed after it, if it is the first of the direction,
        carries ``BOUND``.
        """
        if not self._flags & Flags.REPLY:
            raise ValueError("only an acceptor's replies are bound")
        if self._last_token is None and self._bind_to is None:
            self._bind_to = token

    def seal(self, data: bytes, *, now: int) -> bytes:
        """The records that carry *data*, back to back; no data is no record.

        Raises:
            ValueError: the direction is closed.
        """
        return b"".join(
            self._record(data[start : start + MAX_STREAM_PAYLOAD], now, Flags(0))
            for start in range(0, len(data), MAX_STREAM_PAYLOAD)
        )

    def close(self, *, now: int) -> bytes:
        """The ``CLOSE`` record that ends the direction.

        Raises:
            ValueError: the direction is closed already.
        """
        record = self._record(b"", now, Flags.CLOSE)
        self._closed = True
        return record

    def draft(self, length: int, *, now: int) -> Draft:
        """The next record for a payload of *length* bytes; its counter is used up.

        When it has been sealed, :meth:`sealed` must be told the token.

        Raises:
            ValueError: the direction is closed.
        """
        epoch, counter, flags, chain = self._place()
        return _draft(epoch, length, now=now, counter=counter, flags=flags, chain=chain)

    def sealed(self, token: bytes) -> None:
        """Note the token of the record last drafted."""
        self._last_token = token
        if self.first_token is None:
            self.first_token = token

    def _place(self) -> tuple[Epoch, int, Flags, bytes]:
        """Epoch, counter, flags and chain of the next record."""
        if self._closed:
            raise ValueError("this direction of the stream is closed")
        epoch, counter = self._next()
        if self._last_token is not None:
            return epoch, counter, self._flags, self._last_token if counter == 0 else b""
        if self._bind_to is not None:
            return epoch, counter, self._flags | Flags.BOUND, self._bind_to
        return epoch, counter, self._flags, b""

    def _record(self, payload: bytes, now: int, flags: Flags) -> bytes:
        epoch, counter, common, chain = self._place()
        record = epoch.seal(
            payload, timestamp=now, counter=counter, flags=common | flags, chain=chain
        )
        self.sealed(record[_TOKEN])
        return record
