# SPDX-License-Identifier: GPL-2.0-or-later
"""One direction of a captured stream: records and verdicts (section 8, Observers).

Where a capture is whole, the verdicts are those of :class:`.stream.StreamReceiver`.
Beyond it:

* Bytes that were not captured make the record in them, and the first one after them,
  ``unverified``; the next record is looked for at the end that the header gives, or
  else by its magic.
* A stream whose SYN was not captured may have begun before: its first record is judged
  as the first of its direction if its token says that it is, else it is ``unverified``.
* After a verdict other than ``OK`` a receiver has stopped for good, so nothing more of
  the direction can get one. Later records that are intact are ``unverified``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import Enum, auto
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm

from .capture import Stamp
from .checks import (
    ALL_SUITES,
    Policy,
    check_kid,
    check_perturbation,
    check_prefix,
    check_suite,
    stream_flags_and_length,
)
from .epoch import Epoch
from .header import BOUND, CLOSE, HEADER_LEN, MAGIC, MAGIC_VERSION_LEN, Header, Role, Transport
from .inet import Endpoint
from .observation import Observation
from .receiver import Receiver
from .stream import StreamReceiver
from .suite import SUITES, AuthError, PaddingError
from .tcp import End, Missing, Piece
from .verdict import Verdict

_MAGIC_BYTES = MAGIC.to_bytes(4)
_POLICY = Policy(suites=ALL_SUITES)


class _Place(Enum):
    """What is known of the place of the next record in its direction."""

    FIRST = auto()
    PERHAPS_FIRST = auto()
    NEXT = auto()
    """The record before was captured."""
    UNKNOWN = auto()
    """Something before was not captured."""
    FAILED = auto()
    """The receiver has stopped."""
    CLOSED = auto()
    DONE = auto()
    """Nothing more is looked at."""


_new = tuple.__new__
"""What a named tuple's own constructor calls, which takes longer to get there than it does."""
_OK = Verdict.OK
_STREAM = Transport.STREAM
_NEXT = _Place.NEXT
_DONE = _Place.DONE
"""Looked up once: a member of an enum takes longer to get than a record's checks to make."""


class Roles(Protocol):
    """What is known of the sides of a connection."""

    def receiver(self, header: Header) -> Role:
        """The role of the side that this direction goes to, given one of its records."""

    def settle(self, header: Header) -> None:
        """Take the roles from this record if nothing has told them yet."""


class ObservedStream:
    """One direction of a captured connection.

    :meth:`feed` it the pieces of the byte stream. While :attr:`waiting` is set it keeps
    them: its first record is bound to the other direction's, which was not captured yet.
    :meth:`proceed` when that may have changed, :meth:`give_up_waiting` when it will not.
    """

    def __init__(self, src: Endpoint, dst: Endpoint, shared: Receiver | None, roles: Roles) -> None:
        """*shared* is the receive state of the destination address, ``None`` without a key box."""
        self._src = src
        self._dst = dst
        self._shared = shared
        self._roles = roles
        self.peer: ObservedStream = self
        """The other direction; itself on a socket that is connected to itself."""
        self._place = _Place.PERHAPS_FIRST
        self._receiver: StreamReceiver | None = None
        self._queue: deque[tuple[Piece, Stamp]] = deque()
        self._buffer = bytearray()
        self._header: Header | None = None
        """The record being collected, once its header has passed the checks."""
        self._skip = 0
        """Bytes to pass over to the end of a record that was captured in part."""
        self._searching = False
        self._begun = False
        """The SYN was captured."""
        self.sent = False
        """Bytes were sent, captured or not."""
        self._epoch: Epoch | None = None
        """The last one that an unverified record was decrypted under."""
        self.first_token: bytes | None = None
        """Token of the first record, once it has been captured."""
        self._first_lost = False
        """The first record's token was not captured and will not be."""
        self._gave_up_waiting = False
        self._unbound = False
        """The record that the first one is bound to was not captured."""
        self.waiting: Stamp | None = None
        self.skipped = 0
        """Bytes passed over in search of a record."""

    @property
    def done(self) -> bool:
        """Whether nothing more of the direction is looked at."""
        return self._place is _Place.DONE

    def begin(self) -> None:
        """Note that the stream begins here: its SYN was captured."""
        if self._place is _Place.PERHAPS_FIRST:
            self._place = _Place.FIRST
            self._begun = True

    def feed(self, piece: Piece, stamp: Stamp) -> list[Observation]:
        """Judge what the next piece of the stream completes."""
        if not self.sent:
            self.sent = not isinstance(piece, End)
        found: list[Observation] = []
        if self._place is _DONE:
            return found
        if isinstance(piece, bytes):
            taken = self.next_of_epoch(piece, stamp.frame, stamp.time, found)
            if taken == len(piece):
                return found
            piece = piece[taken:]
        self._queue.append((piece, stamp))
        found += self.proceed()
        return found

    def next_of_epoch(self, data: bytes, frame: int, time: int, found: list[Observation]) -> int:
        """Open the whole records that *data* begins with, as far as nothing is odd about them.

        They go to the end of *found*. Returns how many bytes they take; nothing else of
        *data* has been looked at.
        """
        receiver = self._receiver
        at = 0
        if (
            self._place is _NEXT
            and receiver is not None
            and not (self._buffer or self._queue or self._skip or self._searching)
        ):
            while at < len(data):
                opened = receiver.next_of_epoch(data, at)
                if opened is None:
                    break
                header, plaintext, at = opened
                seen = frame, time, _STREAM, self._src, self._dst, header, _OK, plaintext, ""
                found.append(_new(Observation, seen))
        return at

    def _seen(
        self,
        stamp: Stamp,
        verdict: Verdict | None,
        header: Header | None = None,
        plaintext: bytes | None = None,
        note: str = "",
    ) -> Observation:
        frame, time = stamp
        return Observation(
            frame, time, _STREAM, self._src, self._dst, header, verdict, plaintext, note
        )

    def proceed(self) -> Iterator[Observation]:
        """Go on, if the token waited for has come."""
        if self.waiting is not None:
            if self._awaits_token():
                return
            stamp, self.waiting = self.waiting, None
            yield from self._steps(stamp)
        while self._queue and self.waiting is None:
            piece, stamp = self._queue.popleft()
            if isinstance(piece, bytes):
                self._buffer += piece
                yield from self._steps(stamp)
            elif isinstance(piece, Missing):
                yield from self._lose(piece.length, stamp)
            else:
                assert isinstance(piece, End)
                yield from self._end(stamp)

    def give_up_waiting(self) -> Iterator[Observation]:
        """Judge without the token waited for."""
        self._gave_up_waiting = True
        yield from self.proceed()

    def _awaits_token(self) -> bool:
        peer = self.peer
        return peer.first_token is None and not (peer._first_lost or self._gave_up_waiting)

    def _steps(self, stamp: Stamp) -> Iterator[Observation]:
        while (observation := self._step(stamp)) is not None:
            yield observation

    def _step(self, stamp: Stamp) -> Observation | None:
        """Judge one record if enough of it is there to do so."""
        buffer = self._buffer
        if self._place is _Place.CLOSED and buffer:
            self._done()
            return self._seen(stamp, Verdict.SEQUENCE)
        if self._place is _Place.DONE:
            buffer.clear()
            return None
        if self._skip:
            passed = min(self._skip, len(buffer))
            del buffer[:passed]
            self._skip -= passed
        if self._searching and not self._find_header():
            return None
        if self._header is None:
            if len(buffer) < MAGIC_VERSION_LEN:
                return None
            verdict = check_prefix(buffer)
            if verdict is Verdict.MAGIC and self._place is _Place.PERHAPS_FIRST:
                # The capture begins inside a record.
                self._place = _Place.UNKNOWN
                self._searching = True
                return self._step(stamp)
            header = Header.unpack(buffer) if len(buffer) >= HEADER_LEN else None
            if verdict is None:
                if header is None:
                    return None
                verdict = self._check(header, stamp)
                if self.waiting is not None:
                    return None
            if verdict is not None:
                # A header that named a suite and a key is one: look for the next behind it.
                known = verdict.number >= Verdict.KID.number
                del buffer[: HEADER_LEN if known else 1]
                return self._fail(verdict, header, stamp)
            self._header = header
        return self._complete(stamp)

    def _find_header(self) -> bool:
        """Drop all before the next header that passes checks 2 to 8."""
        buffer = self._buffer
        start = 0
        found = False
        while (at := buffer.find(_MAGIC_BYTES, start)) >= 0:
            start = at
            if len(buffer) - at < HEADER_LEN:
                break
            header = Header.unpack(buffer, at)
            if check_prefix(buffer[at : at + MAGIC_VERSION_LEN]) is None:
                found = (self._check_form(header) or self._check_key(header)) is None
            if found:
                break
            start = at + 1
        else:
            start = max(start, len(buffer) - len(_MAGIC_BYTES) + 1)
        self.skipped += start
        del buffer[:start]
        self._searching = not found
        return found

    def _check_form(self, header: Header) -> Verdict | None:
        """Checks 4 to 7."""
        return (
            check_suite(header, _POLICY)
            or stream_flags_and_length(header, self._roles.receiver(header))
            or check_perturbation(header)
        )

    def _check_key(self, header: Header) -> Verdict | None:
        """Check 8, and what of SEQUENCE holds at any place."""
        if self._shared is None:
            return None
        if (verdict := check_kid(header, self._shared.keybox, _POLICY)) is not None:
            return verdict
        return Verdict.SEQUENCE if header.session_id == 0 else None

    def _check(self, header: Header, stamp: Stamp) -> Verdict | None:
        """Checks 4 to 12, as many as apply; sets :attr:`waiting` if they cannot be made yet."""
        if self._place is _Place.NEXT and self._receiver is not None:
            return self._receiver.check(header, stamp.time, age=stamp.time)
        if (verdict := self._check_form(header)) is not None:
            return verdict
        self._roles.settle(header)
        if self._place is _Place.FIRST:
            self.first_token = header.token
        if self._shared is None:
            return None
        if self._receiver is None:
            self._receiver = StreamReceiver(self._shared, self._roles.receiver(header))
        if self._place in (_Place.FIRST, _Place.PERHAPS_FIRST) and header.flags & BOUND:
            if self._awaits_token():
                self.waiting = stamp
                return None
            token = self.peer.first_token
            if token is None and (self.peer.sent or not self.peer._begun):
                # Something was sent, or may have been, and its token is not to be had.
                token = b""
                self._unbound = True
            if token is not None:
                self._receiver.sent_first(token)
        if self._place is _Place.FIRST:
            return self._receiver.check(header, stamp.time, age=stamp.time)
        return self._check_key(header)

    def _complete(self, stamp: Stamp) -> Observation | None:
        """Open the record whose header is there, when its body is."""
        header = self._header
        assert header is not None
        end = HEADER_LEN + SUITES[header.cipher_id].body_len(header.transport_len)
        if len(self._buffer) < end:
            return None
        record = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._header = None
        try:
            return self._open(header, record, stamp)
        except UnsupportedAlgorithm:
            name = SUITES[header.cipher_id].name
            return self._unverified(header, stamp, note=f"no crypto for {name} on this system")

    def _open(self, header: Header, record: bytes, stamp: Stamp) -> Observation:
        receiver = self._receiver
        if receiver is None:
            return self._unverified(header, stamp, note="no key box")
        if self._place is _Place.PERHAPS_FIRST:
            if self._opens_as_first(header, record):
                self._place = _Place.FIRST
                self.first_token = header.token
                verdict = receiver.check(header, stamp.time, age=stamp.time)
                if verdict is not None:
                    return self._fail(verdict, header, stamp)
            else:
                self._place = _Place.UNKNOWN
        note = "the record before was not captured"
        if self._place is _Place.FAILED:
            note = "the receiver stopped at an earlier record"
        elif self._place in (_Place.FIRST, _Place.NEXT):
            if not self._unbound:
                outcome = receiver.open(header, record, stamp.time, age=stamp.time)
                if outcome.verdict is not Verdict.OK:
                    assert outcome.verdict is not None
                    return self._fail(outcome.verdict, header, stamp)
                self._place = _Place.CLOSED if header.flags & CLOSE else _Place.NEXT
                return self._seen(stamp, Verdict.OK, header, outcome.plaintext)
            self._unbound = False
            note = "the initiator's first record was not captured"
        plaintext = self._epoch_of(header).sealer.decrypt(record)
        return self._unverified(header, stamp, plaintext, note)

    def _opens_as_first(self, header: Header, record: bytes) -> bool:
        """Whether the token says that this is the first record of its direction."""
        chain = b""
        if header.counter != 0:
            return False
        if header.flags & BOUND:
            if self.peer.first_token is None:
                return False
            chain = self.peer.first_token
        try:
            self._epoch_of(header).open(record, chain)
        except AuthError:
            return False
        except PaddingError:
            pass
        return True

    def _epoch_of(self, header: Header) -> Epoch:
        assert self._shared is not None
        epoch = self._epoch
        if epoch is None or epoch.session_id != header.session_id or epoch.params != header.params:
            key = self._shared.keybox[header.kid]
            epoch = self._epoch = Epoch(key, header.params, header.session_id)
        return epoch

    def _unverified(
        self, header: Header, stamp: Stamp, plaintext: bytes | None = None, note: str = ""
    ) -> Observation:
        """The observation on a whole record without a verdict; the next one follows it."""
        self._first_lost = self.first_token is None
        if self._place is _Place.FAILED:
            self._searching = True
        elif header.flags & CLOSE:
            self._done()
        else:
            self._place = _Place.NEXT
            if self._receiver is not None:
                self._receiver.resume(header)
        return self._seen(stamp, None, header, plaintext, note)

    def _fail(self, verdict: Verdict, header: Header | None, stamp: Stamp) -> Observation:
        """The one verdict other than ``OK`` that the direction gets."""
        self._place = _Place.FAILED
        self._first_lost = self.first_token is None
        self._searching = True
        return self._seen(stamp, verdict, header)

    def _lose(self, length: int, stamp: Stamp) -> Iterator[Observation]:
        """Pass over *length* bytes that were not captured."""
        if self._place in (_Place.CLOSED, _Place.DONE):
            return
        self._first_lost = self.first_token is None
        header, self._header = self._header, None
        at_hand = len(self._buffer)
        self._buffer.clear()
        if self._place is _Place.FAILED:
            self._searching = True
            return
        self._place = _Place.UNKNOWN
        if header is not None:
            body = SUITES[header.cipher_id].body_len(header.transport_len)
            self._skip = HEADER_LEN + body - at_hand
            yield self._seen(stamp, None, header, note="a part of it was not captured")
        self._searching = self._searching or length > self._skip
        self._skip = 0 if self._searching else self._skip - length

    def _end(self, stamp: Stamp) -> Iterator[Observation]:
        """Judge TCP's FIN."""
        judged = self._place in (_Place.FAILED, _Place.CLOSED, _Place.DONE)
        # Behind a gap the CLOSE may have been in it, unless a record is cut in two.
        sure = self._place in (_Place.FIRST, _Place.NEXT) or self._header is not None
        if self._shared is not None and not judged and sure and not self._searching:
            yield self._seen(stamp, Verdict.TRUNCATED, self._header)
        self._done()

    def _done(self) -> None:
        self._place = _Place.DONE
        self._header = None
        self._receiver = self._epoch = None
        self._buffer.clear()
        self._queue.clear()
