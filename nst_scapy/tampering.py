# SPDX-License-Identifier: GPL-2.0-or-later
"""What a man in the middle who holds the key box does to a connection's records.

Sans-IO. Records go through byte for byte as long as nothing was altered. From then on they
are made to fit: counters follow on, epochs are chained, replies are bound to what each end
knows, and all else in the header stays as the sender made it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import NamedTuple

from .epoch import Epoch, seal_under
from .header import (
    BOUND,
    CLOSE,
    HEADER_LEN,
    MAGIC,
    MAX_COUNTER,
    MAX_KPOS,
    MAX_SESSION_ID,
    REPLY,
    TOKEN_LEN,
    TOKEN_OFFSET,
    VERSION,
    ZERO_TOKEN,
    Header,
    KeyParams,
    Role,
    make_nonce,
)
from .keybox import KeyBox
from .receiver import Outcome, Receiver
from .replay import DgramTable, StreamTable
from .stream import StreamReceiver
from .suite import SUITES, SuiteId
from .verdict import Verdict

_TOKEN = slice(TOKEN_OFFSET, TOKEN_OFFSET + TOKEN_LEN)


class Seen(NamedTuple):
    """A record on its way, or bytes of which no record can be made any more.

    Attributes:
        wire: as it came.
        outcome: what its receiver would say; ``None`` after a failure.
    """

    wire: bytes
    outcome: Outcome | None


@dataclass
class _Direction:
    """What was seen and sent of one direction."""

    receiver: StreamReceiver
    buffer: bytes = b""
    first_seen: bytes | None = None
    """Token of the first record that came: what the sender binds replies to."""
    first_sent: bytes | None = None
    """Token of the first record that went out: what the receiver binds replies to."""
    last_sent: bytes | None = None
    seen_epoch: tuple[int, KeyParams] | None = None
    params: KeyParams | None = None
    session_id: int = 0
    counter: int = 0
    """Of the next record that goes out."""
    keys: dict[tuple[int, KeyParams], Epoch] = field(default_factory=dict)


class Tampering:
    """One connection."""

    def __init__(self, keybox: KeyBox, now: int) -> None:
        """*now* is real time in nanoseconds; the records' timestamps are not judged by it."""
        self._keybox = keybox
        self._now = now
        self._directions = {role: self._direction(role) for role in Role}

    def _direction(self, sender: Role) -> _Direction:
        shared = Receiver(
            self._keybox,
            1 << 64,
            stream_table=StreamTable(None),
            dgram_table=DgramTable(None),
        )
        return _Direction(StreamReceiver(shared, sender.peer))

    def see(self, sender: Role, data: bytes) -> list[Seen]:
        """What the next bytes from *sender* complete."""
        way = self._directions[sender]
        back = self._directions[sender.peer]
        if way.receiver.dead:
            return [Seen(data, None)] if data else []
        if sender is Role.ACCEPTOR and back.first_sent is not None:
            # The acceptor knows the record that we sent in place of the initiator's.
            way.receiver.sent_first(back.first_sent)
        way.buffer += data
        found = []
        for outcome in way.receiver.receive(data, now=self._now, age=self._now):
            if outcome.verdict is Verdict.OK and outcome.header is not None:
                end = HEADER_LEN + SUITES[outcome.header.cipher_id].body_len(
                    outcome.header.transport_len
                )
                found.append(Seen(way.buffer[:end], outcome))
                way.buffer = way.buffer[end:]
                if way.first_seen is None:
                    way.first_seen = outcome.header.token
            else:
                found.append(Seen(way.buffer, outcome))
                way.buffer = b""
        return found

    def leftover(self, sender: Role) -> bytes:
        """The bytes of a record that *sender* never completed."""
        way = self._directions[sender]
        rest, way.buffer = way.buffer, b""
        return rest

    def forward(
        self,
        sender: Role,
        original: Header,
        plaintext: bytes,
        forced: dict[str, int | bytes] | None = None,
    ) -> bytes:
        """The record to send for one that came, with that *plaintext*.

        Args:
            sender: who sent the original.
            original: its header.
            plaintext: as it came, or altered.
            forced: header fields that go out so, true or not; an altered ``token`` too.
        """
        way = self._directions[sender]
        epoch = original.session_id, original.params
        if way.seen_epoch != epoch:
            way.seen_epoch = epoch
            self._begin(way, original.session_id, original.params)
        return self._send(sender, original, plaintext, forced or {})

    def inject(self, sender: Role, plaintext: bytes, now: int) -> bytes:
        """A record that *sender* never sent, in its name."""
        way = self._directions[sender]
        if way.params is None:
            kid = secrets.choice(tuple(self._keybox))
            params = KeyParams(SuiteId.AES_GCM, kid, 0, 0)
            self._begin(way, secrets.randbelow(MAX_SESSION_ID) + 1, params)
        assert way.params is not None
        flags = REPLY if sender is Role.ACCEPTOR else 0
        like = Header(
            MAGIC, VERSION, way.params.cipher_id, len(plaintext), now, 0, ZERO_TOKEN,
            way.params.kpos, way.params.kval, way.params.kid, flags,
        )  # fmt: skip
        return self._send(sender, like, plaintext, {})

    @staticmethod
    def _begin(way: _Direction, session_id: int, params: KeyParams) -> None:
        way.session_id, way.params, way.counter = session_id, params, 0

    def _send(
        self, sender: Role, like: Header, plaintext: bytes, forced: dict[str, int | bytes]
    ) -> bytes:
        way, back = self._directions[sender], self._directions[sender.peer]
        assert way.params is not None
        if way.counter > MAX_COUNTER:
            self._begin(way, secrets.randbelow(MAX_SESSION_ID) + 1, way.params)
        flags = like.flags & ~BOUND
        chain = b""
        if way.last_sent is None:
            # What the initiator sent, not what we made of it, is what it knows.
            if sender is Role.ACCEPTOR and like.flags & BOUND and back.first_seen is not None:
                flags |= BOUND
                chain = back.first_seen
        elif way.counter == 0:
            chain = way.last_sent
        header = like._replace(
            transport_len=len(plaintext) & 0xFFFF,
            nonce=make_nonce(way.session_id, way.counter),
            flags=flags & ~CLOSE if plaintext else flags,
        )._replace(**forced)  # type: ignore[arg-type]
        record = seal_under(self._epoch(way, header), header.pack(), plaintext, chain)
        if "token" in forced:
            record = record[:TOKEN_OFFSET] + header.token + record[TOKEN_OFFSET + TOKEN_LEN :]
        way.counter += 1
        way.last_sent = record[_TOKEN]
        way.first_sent = way.first_sent or way.last_sent
        return record

    def _epoch(self, way: _Direction, header: Header) -> Epoch:
        """The keys that the header names; where it names none, those of the epoch."""
        assert way.params is not None
        params = KeyParams(
            header.cipher_id if header.cipher_id in SUITES else way.params.cipher_id,
            header.kid if header.kid in self._keybox else way.params.kid,
            header.kpos if header.kpos <= MAX_KPOS else 0,
            header.kval,
        )
        key = header.session_id, params
        if key not in way.keys:
            way.keys = {key: Epoch(self._keybox[params.kid], params, header.session_id)}
        return way.keys[key]
