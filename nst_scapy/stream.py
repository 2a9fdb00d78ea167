# SPDX-License-Identifier: GPL-2.0-or-later
"""One direction of a stream, from bytes to records to verdicts (section 8, STREAM)."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import (
    Policy,
    check_kid,
    check_perturbation,
    check_prefix,
    check_suite,
    check_timestamp,
    stream_flags_and_length,
)
from .epoch import Epoch
from .header import (
    BOUND,
    CLOSE,
    HEADER_LEN,
    MAGIC,
    MAGIC_VERSION_LEN,
    MAX_COUNTER,
    MAX_STREAM_PAYLOAD,
    REPLY,
    VERSION,
    Header,
    Role,
)
from .keybox import KeyBox
from .receiver import Outcome, Receiver
from .suite import SUITES, AuthError, PaddingError
from .verdict import Verdict


@dataclass(slots=True)
class _Previous:
    """The record before, as far as the next one depends on it."""

    header: Header
    epoch: Epoch | None
    """``None`` if the record was not opened (:meth:`StreamReceiver.resume`)."""
    box: KeyBox
    policy: Policy
    """What :attr:`header` was checked against."""


class StreamReceiver:
    """The receiving end of one connection.

    Reassembles records from bytes that come in any pieces; verdicts depend on the
    pieces only as far as ``now`` does. After a verdict other than ``OK``, or the
    end, everything is ignored.
    """

    def __init__(self, shared: Receiver, role: Role) -> None:
        """*role* is this receiver's own side."""
        self._shared = shared
        self._role = role
        self._plain_flags = REPLY if role is Role.INITIATOR else 0
        """What all records have but the first and the last."""
        self._buffer = bytearray()
        self._header: Header | None = None
        """The record being received, once its 48 bytes have passed checks 4 to 12."""
        self._box = shared.keybox
        self._previous: _Previous | None = None
        self._sent_first: bytes | None = None
        self._closed = False
        self._dead = False

    @property
    def closed(self) -> bool:
        """Whether an authentic ``CLOSE`` has come."""
        return self._closed

    @property
    def dead(self) -> bool:
        """Whether nothing more will be judged."""
        return self._dead

    @property
    def pending(self) -> int:
        """Bytes received of a record that is not whole yet."""
        return len(self._buffer)

    def sent_first(self, token: bytes) -> None:
        """Note the token (16 bytes) of the first record that this side sent."""
        if self._sent_first is None:
            self._sent_first = token

    def receive(self, data: bytes, *, now: int, age: int) -> list[Outcome]:
        """Judge what the next bytes of the connection complete."""
        outcomes: list[Outcome] = []
        if self._dead or not data:
            return outcomes
        self._buffer += data
        while not self._dead and (outcome := self._step(now, age)) is not None:
            outcomes.append(outcome)
            if outcome.verdict is not Verdict.OK:
                self._die()
        return outcomes

    def end(self) -> list[Outcome]:
        """Judge TCP's FIN."""
        truncated = not (self._dead or self._closed)
        header = self._header
        self._die()
        return [Outcome(Verdict.TRUNCATED, header=header)] if truncated else []

    def _die(self) -> None:
        self._dead = True
        self._buffer.clear()

    def _step(self, now: int, age: int) -> Outcome | None:
        """Judge one record if enough of it is there to do so."""
        if self._closed:
            return Outcome(Verdict.SEQUENCE) if self._buffer else None
        if self._header is None:
            if len(self._buffer) < MAGIC_VERSION_LEN:
                return None
            if (verdict := check_prefix(self._buffer)) is not None:
                return Outcome(verdict)
            if len(self._buffer) < HEADER_LEN:
                return None
            header = Header.unpack(self._buffer)
            if (verdict := self.check(header, now, age)) is not None:
                return Outcome(verdict, header=header)
            self._header = header
        return self._complete(now, age)

    def check(self, header: Header, now: int, age: int) -> Verdict | None:
        """Checks 4 to 12 of the next record, from its header.

        :meth:`receive` does this by itself; this is for those who find records another way.
        """
        shared = self._shared
        previous = self._previous
        # A replaced key box takes effect at the next epoch. One ends with its session_id
        # or any of its key parameters (section 6), so that a record of the running
        # session with another kid is not judged by the box that the session began with.
        self._box = shared.keybox
        if (
            previous is not None
            and previous.header.same_session(header)
            and previous.header.params == header.params
        ):
            self._box = previous.box
        verdict = (
            check_suite(header, shared.policy)
            or stream_flags_and_length(header, self._role)
            or check_perturbation(header)
            or check_kid(header, self._box, shared.policy)
        )
        if verdict is None and previous is None:
            verdict = check_timestamp(header, now, shared.window_ns)
        if verdict is None:
            verdict = self._check_sequence(header)
        if verdict is None and previous is None and shared.stream_table.replayed(header, now, age):
            verdict = Verdict.REPLAY
        return verdict

    def _check_sequence(self, header: Header) -> Verdict | None:
        previous = self._previous
        if header.session_id == 0:
            return Verdict.SEQUENCE
        if previous is not None and previous.header.same_session(header):
            if header.nonce != previous.header.nonce + 1:
                return Verdict.SEQUENCE
            if header.params != previous.header.params:
                return Verdict.SEQUENCE
        elif header.counter != 0:
            return Verdict.SEQUENCE
        if header.flags & BOUND and (previous is not None or self._sent_first is None):
            return Verdict.SEQUENCE
        return None

    def _complete(self, now: int, age: int) -> Outcome | None:
        """Checks 13 and 14, and the replay check once more, when the body is there."""
        header = self._header
        assert header is not None
        end = HEADER_LEN + SUITES[header.cipher_id].body_len(header.transport_len)
        if len(self._buffer) < end:
            return None
        record = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._header = None
        return self.open(header, record, now, age)

    def next_of_epoch(self, data: bytes, at: int) -> tuple[Header, bytes, int] | None:
        """The whole record at *at*, if it is a plain continuation of its epoch and ``OK``.

        Returns its header, its plaintext and where it ends; else ``None``, and nothing has
        changed: :meth:`check` and :meth:`open` tell what the matter is. All that a record
        before was checked for and that is alike in this one holds for it too, so nearly
        every record of a long stream goes this short way.
        """
        previous = self._previous
        if previous is None or len(data) - at < HEADER_LEN:
            return None
        header = Header.unpack(data, at)
        magic, version, cipher_id, length, _, nonce, _, kpos, kval, kid, flags = header
        epoch = previous.epoch
        if (
            nonce != previous.header.nonce + 1
            or not nonce & MAX_COUNTER
            or epoch is None
            or (cipher_id, kid, kpos, kval) != epoch.params
            or (magic, version, flags) != (MAGIC, VERSION, self._plain_flags)
            or not 0 < length <= MAX_STREAM_PAYLOAD
            or previous.policy is not self._shared.policy
        ):
            return None
        end = at + HEADER_LEN + epoch.suite.body_len(length)
        if end > len(data):
            return None
        try:
            plaintext = epoch.open(data[at:end])
        except (AuthError, PaddingError):
            return None
        previous.header = header
        return header, plaintext, end

    def open(self, header: Header, record: bytes, now: int, age: int) -> Outcome:
        """Checks 13, 14 and REPLAY once more, of the record that :meth:`check` passed.

        *record* is the whole of it, header and body.
        """
        previous = self._previous
        same_epoch = previous is not None and previous.header.same_session(header)
        chain = b""
        if previous is not None and not same_epoch:
            chain = previous.header.token
        if header.flags & BOUND and self._sent_first is not None:
            chain = self._sent_first
        epoch = previous.epoch if previous is not None and same_epoch else None
        if epoch is None:
            key = self._box[header.kid]
            epoch = self._shared.derive(key, header.params, header.session_id)
        try:
            plaintext = epoch.open(record, chain)
        except AuthError:
            return Outcome(Verdict.AUTH, header=header)
        except PaddingError:
            return Outcome(Verdict.PADDING, header=header)
        if previous is None:
            table = self._shared.stream_table
            if table.replayed(header, now, age):
                return Outcome(Verdict.REPLAY, header=header)
            table.accept(header, now)
        self._previous = _Previous(header, epoch, self._box, self._shared.policy)
        self._closed = bool(header.flags & CLOSE)
        return Outcome(Verdict.OK, plaintext, header)

    def resume(self, header: Header) -> None:
        """Take *header* as the record before, although it was not judged (for observers).

        What was not captured cannot be judged, but what follows can.
        """
        self._previous = _Previous(header, None, self._shared.keybox, self._shared.policy)
