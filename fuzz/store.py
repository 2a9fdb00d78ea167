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
from typing import Self, TextIO

from fuzz.finding import Finding
from fuzz.oracles.expectation import Verdicts
from fuzz.schema import SCHEMA, VERSION
from fuzz.stored import LOCK, StoredRun, StoreError, connect, verdicts_text

KEYBOX = "keybox"
MODULE = "nst.ko"
KMEMLEAK = "kmemleak"
"""The line of `meta` that has guests ask kmemleak."""


class Store(StoredRun):
    """A run that is open for writing."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        super().__init__(path, database)
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
        database = connect(path)
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

    def close(self) -> None:
        """Commit and close."""
        self.commit()
        super().close()
        if self._lock is not None:
            self._lock.close()

    @property
    def lock(self) -> int:
        """The descriptor that holds the lock of a run that was created or resumed."""
        assert self._lock is not None, "the run was opened for reading"
        return self._lock.fileno()

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
