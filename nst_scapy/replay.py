# SPDX-License-Identifier: GPL-2.0-or-later
"""Replay tables of one network namespace (specification, section 9).

Clock-free: ``now`` is the real-time clock in nanoseconds, ``age`` the time
since the table was created by a clock that is never set, both handed in.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from .epoch import Epoch
from .header import Header, KeyParams

WINDOW_COUNTERS = 1024
_WINDOW = (1 << WINDOW_COUNTERS) - 1
STREAM_TABLE_SIZE = 65536
DGRAM_TABLE_SIZE = 4096
MAX_DERIVED = 4096
"""Datagram sessions whose keys are kept; others' are derived again when needed."""
DEFAULT_WINDOW_NS = 30_000_000_000


@dataclass(slots=True)
class StreamEntry:
    """A direction's first record."""

    timestamp: int


@dataclass(slots=True)
class DgramEntry:
    """One session: its key parameters and which of its counters were accepted."""

    timestamp: int
    """The newest accepted, ns."""
    params: KeyParams
    base: int
    """The Floor against which the session's first record was checked, ns."""
    highest: int
    """Highest accepted counter."""
    accepted: int = 1
    """Bit i is set when counter ``highest - i`` was accepted, i < 1024."""
    epoch: Epoch | None = None
    """Derived keys, kept because a token verified under them."""
    box: object = None
    """The key box that :attr:`epoch` was derived from."""
    policy: object = None
    """What the newest record was checked against."""

    def seen(self, counter: int, timestamp: int) -> bool:
        """Whether the record is a replay within this session."""
        behind = self.highest - counter
        return (
            behind >= WINDOW_COUNTERS
            or (behind >= 0 and bool(self.accepted >> behind & 1))
            or timestamp <= self.base
        )

    def accept(self, counter: int, timestamp: int) -> bool:
        """Mark the record as accepted; whether it is the newest."""
        ahead = counter - self.highest
        if ahead > 0:
            self.accepted = (self.accepted << ahead | 1) & _WINDOW
            self.highest = counter
        else:
            self.accepted |= 1 << -ahead
        newest = timestamp > self.timestamp
        if newest:
            self.timestamp = timestamp
        return newest


Entry = TypeVar("Entry", StreamEntry, DgramEntry)


@dataclass
class _Table(Generic[Entry]):
    """A bounded map from ``session_id`` to entry, with a floor that only rises.

    *size* is the most entries it holds, ``None`` for no bound (observers).
    """

    size: int | None
    window_ns: int = DEFAULT_WINDOW_NS
    floor: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)
    # (timestamp, session_id) of every entry, perhaps with older timestamps too:
    # a datagram session's entry moves up, and its stale tuples are dropped when met.
    _oldest: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise ValueError(f"a replay table of {self.size} entries")

    def effective_floor(self, now: int, age: int) -> int:
        """``Floor`` of section 9, ns."""
        return max(self.floor, now - age)

    @property
    def full(self) -> bool:
        return self.size is not None and len(self.entries) >= self.size

    def refuses_new(self, timestamp: int, now: int, age: int) -> bool:
        """Whether a record of a session not in the table is a replay."""
        if timestamp <= self.effective_floor(now, age):
            return True
        return self.full and timestamp <= self._peek_oldest()[0]

    def insert(self, session_id: int, entry: Entry, now: int) -> None:
        """Add an entry, dropping others first if the table is full."""
        if self.full:
            self._make_room(now)
        self.entries[session_id] = entry
        self.moved(session_id)

    def moved(self, session_id: int) -> None:
        """Note that the entry's timestamp has changed."""
        if self.size is not None:
            heapq.heappush(self._oldest, (self.entries[session_id].timestamp, session_id))
            if len(self._oldest) > 64 + 4 * len(self.entries):
                self._oldest = [(e.timestamp, sid) for sid, e in self.entries.items()]
                heapq.heapify(self._oldest)

    def _peek_oldest(self) -> tuple[int, int]:
        while True:
            timestamp, session_id = self._oldest[0]
            entry = self.entries.get(session_id)
            if entry is not None and entry.timestamp == timestamp:
                return timestamp, session_id
            heapq.heappop(self._oldest)

    def _make_room(self, now: int) -> None:
        room = False
        while self.entries and now - self._peek_oldest()[0] > self.window_ns:
            self._drop_oldest()
            room = True
        if not room:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        timestamp, session_id = self._peek_oldest()
        heapq.heappop(self._oldest)
        del self.entries[session_id]
        self.floor = max(self.floor, timestamp)


class StreamTable(_Table[StreamEntry]):
    """Which streams' first records were accepted."""

    def replayed(self, header: Header, now: int, age: int) -> bool:
        """The REPLAY check of a direction's first record."""
        if header.session_id in self.entries:
            return True
        return self.refuses_new(header.timestamp, now, age)

    def accept(self, header: Header, now: int) -> None:
        """Enter a verified first record."""
        self.insert(header.session_id, StreamEntry(header.timestamp), now)


@dataclass
class DgramTable(_Table[DgramEntry]):
    """Which datagrams were accepted."""

    _derived: deque[int] = field(default_factory=deque)
    """The sessions whose keys are kept, the oldest first."""

    def replayed(self, header: Header, now: int, age: int) -> bool:
        """The REPLAY check of a datagram."""
        entry = self.entries.get(header.session_id)
        if entry is not None:
            return entry.seen(header.counter, header.timestamp)
        return self.refuses_new(header.timestamp, now, age)

    def accept(
        self,
        header: Header,
        now: int,
        age: int,
        epoch: Epoch,
        box: object,
        policy: object = None,
    ) -> None:
        """Enter a verified datagram."""
        session_id = header.session_id
        entry = self.entries.get(session_id)
        if entry is None:
            entry = DgramEntry(
                timestamp=header.timestamp,
                params=header.params,
                base=self.effective_floor(now, age),
                highest=header.counter,
            )
            self.insert(session_id, entry, now)
        else:
            self.accept_next(session_id, entry, header.counter, header.timestamp)
        if entry.epoch is None:
            self._keep_keys_of(session_id)
        entry.epoch, entry.box, entry.policy = epoch, box, policy

    def accept_next(self, session_id: int, entry: DgramEntry, counter: int, timestamp: int) -> None:
        """Enter a verified datagram of the session that *entry* is of."""
        if entry.accept(counter, timestamp) and self.size is not None:
            self.moved(session_id)

    def _keep_keys_of(self, session_id: int) -> None:
        """Make room for one more session's keys, which take more than the rest of an entry."""
        self._derived.append(session_id)
        if len(self._derived) > MAX_DERIVED:
            entry = self.entries.get(self._derived.popleft())
            if entry is not None:
                entry.epoch = None
