# SPDX-License-Identifier: GPL-2.0-or-later
"""The receiver model: bytes in, verdicts and plaintext out (sections 8 and 9).

:class:`Receiver` is what a network namespace holds: key box, window and the two
replay tables. Sockets hang off it: :class:`DgramReceiver` here,
:class:`~nst_scapy.stream.StreamReceiver` for one direction of a connection.
No clock and no I/O: ``now`` (real time) and ``age`` (of the replay tables) are
handed in, both in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from .checks import (
    Policy,
    check_kid,
    check_perturbation,
    check_prefix,
    check_suite,
    check_timestamp,
    dgram_flags_and_length,
)
from .epoch import Epoch
from .header import (
    COUNTER_BITS,
    DGRAM,
    HEADER_LEN,
    MAGIC,
    MAX_COUNTER,
    VERSION,
    Header,
    KeyParams,
)
from .keybox import KeyBox
from .replay import DEFAULT_WINDOW_NS, DGRAM_TABLE_SIZE, STREAM_TABLE_SIZE, DgramTable, StreamTable
from .suite import AuthError, PaddingError
from .verdict import Verdict

_OK = Verdict.OK
"""Looked up once: a member of an enum takes longer to get than a record's checks to make."""


class Outcome(NamedTuple):
    """What became of one record.

    Attributes:
        verdict: ``None`` where an observer reports ``unverified``.
        plaintext: the payload, ``None`` unless the verdict is ``OK`` (or an observer
            decrypted without being able to verify).
        header: as parsed; ``None`` if 48 bytes never came, and on a stream that fails
            check 2 or 3, which do not wait for them.
    """

    verdict: Verdict | None
    plaintext: bytes | None = None
    header: Header | None = None


@dataclass
class Receiver:
    """One network namespace's receive state.

    Attributes:
        keybox: may be replaced at any time; that is atomic, and takes effect at the
            next datagram, or at the next epoch of a stream.
        window_ns: timestamp window.
        policy: what its sockets let through.
        stream_table, dgram_table: replay tables; give them in to set their sizes.
        derive: makes an epoch; give another in that remembers those it made.
    """

    keybox: KeyBox
    window_ns: int = DEFAULT_WINDOW_NS
    policy: Policy = field(default_factory=Policy)
    stream_table: StreamTable = field(default_factory=lambda: StreamTable(STREAM_TABLE_SIZE))
    dgram_table: DgramTable = field(default_factory=lambda: DgramTable(DGRAM_TABLE_SIZE))
    derive: Callable[[bytes, KeyParams, int], Epoch] = Epoch

    def __post_init__(self) -> None:
        self.stream_table.window_ns = self.dgram_table.window_ns = self.window_ns


class DgramReceiver:
    """One datagram socket's receive path."""

    def __init__(self, shared: Receiver) -> None:
        self._shared = shared
        self._sealed_with: dict[int, int] = {}
        self._sealing_with = 0
        """The newest of them."""

    def sent(self, session_id: int, now: int) -> None:
        """Note that this socket sealed a datagram with *session_id* at *now* (for REFLECT)."""
        if session_id == self._sealing_with:
            self._sealed_with[session_id] = now
            return
        self._sealing_with = session_id
        self._sealed_with.pop(session_id, None)  # so that the dict stays in order of time
        self._sealed_with[session_id] = now
        while (oldest := next(iter(self._sealed_with))) != session_id:
            if self._sealed_with[oldest] >= now - self._shared.window_ns:
                break
            del self._sealed_with[oldest]

    def reflects(self, now: int) -> bool:
        """Whether a datagram could come back to this socket that sealed it (REFLECT)."""
        return any(at >= now - self._shared.window_ns for at in self._sealed_with.values())

    def receive(self, datagram: bytes, *, now: int, age: int) -> Outcome:
        """Judge one datagram's UDP payload."""
        if len(datagram) < HEADER_LEN:
            return Outcome(Verdict.SHORT)
        return self.judge(Header.unpack(datagram), datagram, now=now, age=age)

    def judge(self, header: Header, datagram: bytes, *, now: int, age: int) -> Outcome:
        """What :meth:`receive` does, for those who have parsed the header already."""
        plaintext = self.next_of_session(header, datagram, now=now)
        if plaintext is not None:
            return Outcome(_OK, plaintext, header)
        verdict = check_prefix(datagram) or self.check(header, len(datagram), now, age)
        if verdict is not None:
            return Outcome(verdict, header=header)
        return self._open(header, datagram, now, age)

    def next_of_session(self, header: Header, datagram: bytes, *, now: int) -> bytes | None:
        """The plaintext, if the session is known and the datagram ``OK``.

        Else ``None``, and nothing has changed. What the session's first datagram was
        checked for (4, 7 and 8) holds for all of it, so nearly every datagram goes this
        short way.
        """
        shared = self._shared
        table = shared.dgram_table
        magic, version, cipher_id, length, timestamp, nonce, _, kpos, kval, kid, flags = header
        session_id = nonce >> COUNTER_BITS
        entry = table.entries.get(session_id)
        if (
            entry is None
            or entry.epoch is None
            or entry.box is not shared.keybox
            or entry.policy is not shared.policy
            or entry.params != (cipher_id, kid, kpos, kval)
            or (magic, version, flags) != (MAGIC, VERSION, DGRAM)
            or len(datagram) != HEADER_LEN + entry.epoch.suite.body_len(length)
            or abs(now - timestamp) > shared.window_ns
            or session_id in self._sealed_with
            or entry.seen(nonce & MAX_COUNTER, timestamp)
        ):
            return None
        try:
            plaintext = entry.epoch.open(datagram)
        except (AuthError, PaddingError):
            return None
        table.accept_next(session_id, entry, nonce & MAX_COUNTER, timestamp)
        return plaintext

    def check(self, header: Header, length: int, now: int, age: int) -> Verdict | None:
        """Checks 4 to 12 of a datagram of *length* bytes, from its header.

        :meth:`receive` does this by itself; this is for those who have no more of it.
        """
        shared = self._shared
        return (
            check_suite(header, shared.policy)
            or dgram_flags_and_length(header, length)
            or check_perturbation(header)
            or check_kid(header, shared.keybox, shared.policy)
            or check_timestamp(header, now, shared.window_ns)
            or self._check_reflection(header, now)
            or self._check_sequence(header)
            or (Verdict.REPLAY if shared.dgram_table.replayed(header, now, age) else None)
        )

    def _check_reflection(self, header: Header, now: int) -> Verdict | None:
        sealed_at = self._sealed_with.get(header.session_id)
        if sealed_at is not None and sealed_at >= now - self._shared.window_ns:
            return Verdict.REFLECT
        return None

    def _check_sequence(self, header: Header) -> Verdict | None:
        entry = self._shared.dgram_table.entries.get(header.session_id)
        if header.session_id == 0 or (entry is not None and entry.params != header.params):
            return Verdict.SEQUENCE
        return None

    def _open(self, header: Header, datagram: bytes, now: int, age: int) -> Outcome:
        shared = self._shared
        box = shared.keybox
        entry = shared.dgram_table.entries.get(header.session_id)
        if entry is not None and entry.epoch is not None and entry.box is box:
            epoch = entry.epoch
        else:
            epoch = shared.derive(box[header.kid], header.params, header.session_id)
        try:
            plaintext = epoch.open(datagram)
        except AuthError:
            return Outcome(Verdict.AUTH, header=header)
        except PaddingError:
            return Outcome(Verdict.PADDING, header=header)
        shared.dgram_table.accept(header, now, age, epoch, box, shared.policy)
        return Outcome(Verdict.OK, plaintext, header)
