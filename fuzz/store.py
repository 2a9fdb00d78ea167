# SPDX-License-Identifier: GPL-2.0-or-later
"""The record of a run: a directory with an SQLite database, consoles and the key box.

    RUN/run.db        the database described by `fuzz/schema.py`
    RUN/keybox        the key box of its guests, mode 0600
    RUN/nst.ko        the module that was tested, for triage
    RUN/lock          locked while the run goes on
    RUN/CAMPAIGN/     console.log of the campaign's guests; of its shard N from the second on
                      in RUN/CAMPAIGN-N/

A case is written before it is sent and its outcome when it is known, in one
transaction with the next cases. In WAL mode a committed transaction is in the
operating system's hands, so killing the runner loses nothing: every case that was
sent is there, and of each shard at most the last two batches lack their outcomes.

A campaign is run in shards, each by one guest at a time; the processes that run them
write to the one database, in transactions that hold its lock for microseconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from fuzz.errors import UserError
from fuzz.finding import Finding, FindingKind
from fuzz.oracles.expectation import Verdicts
from fuzz.schema import SCHEMA, VERSION
from fuzz.stored import StoredCase, StoredFinding, verdicts_text

DATABASE = "run.db"
KEYBOX = "keybox"
MODULE = "nst.ko"
LOCK = "lock"
KMEMLEAK = "kmemleak"
"""The line of `meta` that has guests ask kmemleak."""
_BUSY_SECONDS = 60.0
"""How long a writer waits for the others."""

_CASE = (
    "SELECT cases.id, campaign.name, cases.name, cases.script, cases.earliest,"
    " cases.creation, cases.expected, cases.counted, cases.outcome"
    " FROM cases JOIN campaign ON campaign.id = cases.campaign"
)


class StoreError(UserError):
    """A run that cannot be read or written."""


class Store:
    """An open run."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database
        self._lock: TextIO | None = None
        self._ends: list[tuple[object, ...]] = []

    @classmethod
    def create(cls, path: Path, **meta: str) -> Self:
        """Begin a run in a new directory.

        Raises:
            StoreError: it exists already, or cannot be made.
        """
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            raise StoreError(f"{path} exists already") from None
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from None
        lock = (path / LOCK).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        database = _connect(path)
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(SCHEMA)
        store = cls(path, database)
        store._lock = lock  # closing it unlocks
        store.note(version=VERSION, started=str(time.time()), **meta)
        return store

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Open a run to go on with it.

        Cases that were being run when the runner was killed are taken out: they will be
        run again.

        Raises:
            StoreError: there is none, it is of another version, or a runner is at work.
        """
        store = cls.open(path)
        lock = (path / LOCK).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            store.close()
            raise StoreError(f"{path}: the run is going on") from None
        store._lock = lock
        store.forget_unfinished()
        store._database.execute("DELETE FROM meta WHERE name IN ('ended', 'finished')")
        return store

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run for reading, also one that is going on or was killed.

        Raises:
            StoreError: there is none, or it is of another version.
        """
        if not (path / DATABASE).is_file():
            raise StoreError(f"{path} is not a run: it has no {DATABASE}")
        try:
            database = _connect(path)
            store = cls(path, database)
            version = store.meta().get("version")
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{path / DATABASE}: {error}") from None
        if version != VERSION:
            raise StoreError(f"{path / DATABASE}: version {version}, this reads {VERSION}")
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit and close."""
        self.commit()
        self._database.close()
        if self._lock is not None:
            self._lock.close()

    @property
    def lock(self) -> int:
        """The descriptor that holds the lock of a run that was created or resumed."""
        assert self._lock is not None, "the run was opened for reading"
        return self._lock.fileno()

    # What the runner writes.

    def note(self, **meta: str) -> None:
        """Set lines of `meta`."""
        self._database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())

    def begin_campaign(self, name: str, shards: int = 1) -> int:
        """Add a campaign, if it is not there from before; return its id.

        One that is there keeps the shards that it has.
        """
        with self.transaction():
            self._database.execute(
                "INSERT OR IGNORE INTO campaign (name, started) VALUES (?, ?)", (name, time.time())
            )
            ((campaign,),) = self._database.execute(
                "SELECT id FROM campaign WHERE name = ?", (name,)
            )
            if not self.shards(campaign):
                self._database.executemany(
                    "INSERT INTO shard VALUES (?, ?, ?, 0)",
                    [(campaign, number, shards) for number in range(shards)],
                )
        return int(campaign)

    def begin_case(
        self,
        campaign: int,
        *,
        boot: int,
        name: str,
        script: bytes,
        earliest: int,
        creation: int,
        shard: int = 0,
    ) -> int:
        """Write a case that is about to be sent, and commit; return its id."""
        (number,) = self.begin_cases(
            campaign, [(name, script)], boot=boot, earliest=earliest, creation=creation, shard=shard
        )
        return number

    def begin_cases(
        self,
        campaign: int,
        cases: Sequence[tuple[str, bytes]],
        *,
        boot: int,
        earliest: int,
        creation: int,
        shard: int = 0,
    ) -> list[int]:
        """The same for the names and bytes of cases that are sent together."""
        sent, numbers = time.time(), []
        with self.transaction():
            for name, script in cases:
                cursor = self._database.execute(
                    "INSERT INTO cases"
                    " (campaign, shard, boot, sent, name, script, earliest, creation)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (campaign, shard, boot, sent, name, script, earliest, creation),
                )
                assert cursor.lastrowid is not None
                numbers.append(cursor.lastrowid)
        return numbers

    def end_case(
        self,
        case: int,
        outcome: str,
        *,
        latest: int | None = None,
        expected: Verdicts | None = None,
        counted: Verdicts | None = None,
        authenticated: bool = False,
        strict: bool = True,
    ) -> None:
        """Have it written what became of a case: with the next one, or by `commit`."""
        self._ends.append(
            (
                outcome,
                latest,
                None if expected is None else verdicts_text(expected),
                None if counted is None else verdicts_text(counted),
                authenticated,
                strict,
                case,
            )
        )

    def forget_cases(self, cases: Sequence[int]) -> None:
        """Take out cases that say nothing, and commit: they will be run again."""
        with self.transaction():
            self._database.executemany(
                "DELETE FROM cases WHERE id = ?", [(case,) for case in cases]
            )

    def forget_unfinished(self, campaign: int | None = None, shard: int | None = None) -> None:
        """Take out the cases without an outcome, and commit: their runner is gone."""
        with self.transaction():
            self._database.execute(
                "DELETE FROM cases WHERE outcome IS NULL"
                " AND campaign = coalesce(?, campaign) AND shard = coalesce(?, shard)",
                (campaign, shard),
            )

    def add_finding(self, campaign: int, case: int, finding: Finding) -> bool:
        """Write a finding, and commit; return whether it is the first of its kind."""
        with self.transaction():
            ((count,),) = self._database.execute(
                "INSERT INTO finding (campaign, kind, title, detail, log, first, count)"
                " VALUES (?, ?, ?, ?, ?, ?, 1)"
                " ON CONFLICT (campaign, kind, title) DO UPDATE SET count = count + 1"
                " RETURNING count",
                (campaign, finding.kind, finding.title, finding.detail, finding.log, case),
            ).fetchall()
        return bool(count == 1)

    def add_coverage(self, campaign: int, edges: int) -> None:
        """Write how many edges have been taken until now, and commit."""
        with self.transaction():
            self._database.execute(
                "INSERT INTO coverage (campaign, sent, edges) VALUES (?, ?, ?)",
                (campaign, time.time(), edges),
            )

    def time_campaign(self, campaign: int, seconds: float, shard: int = 0) -> None:
        """Note how long a shard's cases have taken so far."""
        with self.transaction():
            self._database.execute(
                "UPDATE shard SET seconds = ? WHERE campaign = ? AND number = ?",
                (seconds, campaign, shard),
            )

    def commit(self) -> None:
        """Write what waits to be written."""
        if self._ends:
            with self.transaction():
                pass

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that begins with the outcomes that wait to be written."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany(
                "UPDATE cases SET outcome = ?, latest = ?, expected = ?, counted = ?,"
                " authenticated = ?, strict = ? WHERE id = ?",
                self._ends,
            )
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
        self._ends.clear()

    # What reports read.

    def select(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """The rows that a query of the database gives."""
        yield from self._database.execute(query, values)

    def meta(self) -> dict[str, str]:
        """The lines of `meta`."""
        return dict(self._database.execute("SELECT name, value FROM meta"))

    def running(self) -> bool:
        """Whether a runner is at work on it."""
        with (self.path / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def campaigns(self) -> list[tuple[int, str, float]]:
        """Id and name of each campaign, and the seconds of its shards' cases, in order."""
        return list(
            self._database.execute(
                "SELECT id, name, total(seconds) FROM campaign"
                " LEFT JOIN shard ON shard.campaign = id GROUP BY id ORDER BY id"
            )
        )

    def shards(self, campaign: int) -> list[tuple[int, int, float]]:
        """Number, count and seconds of each of a campaign's shards, in order."""
        return list(
            self._database.execute(
                "SELECT number, count, seconds FROM shard WHERE campaign = ? ORDER BY number",
                (campaign,),
            )
        )

    def outcomes(
        self, campaign: int, shard: int | None = None
    ) -> Iterator[tuple[str | None, str | None, int, int, int]]:
        """Verdicts of model and module, their cases, how many authenticated, how many loose.

        Of all shards, unless one is named.
        """
        yield from self._database.execute(
            "SELECT expected, counted, count(*), total(authenticated), total(strict = 0)"
            " FROM cases WHERE campaign = ? AND shard = coalesce(?, shard)"
            " GROUP BY expected, counted",
            (campaign, shard),
        )

    def case(self, number: int) -> StoredCase:
        """One case.

        Raises:
            StoreError: there is no such case.
        """
        row = self._database.execute(f"{_CASE} WHERE cases.id = ?", (number,)).fetchone()
        if row is None:
            raise StoreError(f"{self.path} has no case {number}")
        return StoredCase(*row)

    def past(self, campaign: int, shard: int = 0) -> list[str]:
        """What became of each case of a shard so far, in order: ``agree`` or a finding's kind."""
        rows = self._database.execute(
            "SELECT outcome FROM cases WHERE campaign = ? AND shard = ? ORDER BY id",
            (campaign, shard),
        )
        return [outcome for (outcome,) in rows]

    def boots(self, campaign: int, shard: int = 0) -> int:
        """How often a shard's guest was booted."""
        row = self._database.execute(
            "SELECT max(boot) FROM cases WHERE campaign = ? AND shard = ?", (campaign, shard)
        ).fetchone()
        return row[0] or 0

    def firsts(self, campaign: int, shard: int) -> int:
        """How many findings a shard was the first to show."""
        ((count,),) = self._database.execute(
            "SELECT count(*) FROM finding JOIN cases ON cases.id = first"
            " WHERE cases.campaign = ? AND shard = ?",
            (campaign, shard),
        )
        return int(count)

    def before(self, number: int, count: int) -> list[StoredCase]:
        """At most `count` cases that the same boot of the same guest was sent before one."""
        rows = self._database.execute(
            f"{_CASE} JOIN cases AS one ON one.id = ? AND one.campaign = cases.campaign"
            " AND one.shard = cases.shard AND one.boot = cases.boot"
            " WHERE cases.id < one.id ORDER BY cases.id DESC LIMIT ?",
            (number, count),
        ).fetchall()
        return [StoredCase(*row) for row in reversed(rows)]

    def findings(self) -> list[StoredFinding]:
        """All findings, in order."""
        rows = self._database.execute(
            "SELECT campaign.name, kind, title, detail, log, first, cases.name, count"
            " FROM finding JOIN campaign ON campaign.id = finding.campaign"
            " JOIN cases ON cases.id = first ORDER BY finding.id"
        )
        return [
            StoredFinding(
                campaign, Finding(FindingKind(kind), title, detail, log), first, name, count
            )
            for campaign, kind, title, detail, log, first, name, count in rows
        ]


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path / DATABASE, isolation_level=None, timeout=_BUSY_SECONDS)
    database.execute("PRAGMA synchronous = NORMAL")
    return database


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Store]:
    """An open run, closed when the body ends; errors of SQLite become `StoreError`."""
    try:
        with Store.open(path) as store:
            yield store
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path / DATABASE}: {error}") from None
