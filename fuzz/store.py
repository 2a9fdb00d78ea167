# SPDX-License-Identifier: GPL-2.0-or-later
"""The record of a run: a directory with an SQLite database, consoles and the key box.

    RUN/run.db        the database described by `SCHEMA`
    RUN/keybox        the key box of its guests, mode 0600
    RUN/nst.ko        the module that was tested, for triage
    RUN/lock          locked while the run goes on
    RUN/CAMPAIGN/     console.log of the campaign's guests

A case is written before it is sent and its outcome when it is known, in one
transaction with the next case. In WAL mode a committed transaction is in the
operating system's hands, so killing the runner loses nothing: every case that was
sent is there, and at most the last one lacks its outcome.
"""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from fuzz.errors import UserError
from fuzz.finding import Finding, FindingKind
from fuzz.oracles.course import Verdicts
from nst_scapy.header import Transport
from nst_scapy.verdict import Verdict

VERSION = "1"
DATABASE = "run.db"
KEYBOX = "keybox"
MODULE = "nst.ko"
LOCK = "lock"

SCHEMA = """
-- What was run: version (of this schema), seed, kernel, module, campaigns (their names),
-- limits (of cases, seconds and findings, as JSON), started and finished (seconds since
-- 1970), ended (why the run ended; not there if it was killed).
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE campaign (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    started REAL NOT NULL,      -- seconds since 1970; when the first guest was up
    seconds REAL NOT NULL       -- how long cases were run, without booting
);

CREATE TABLE cases (
    id INTEGER PRIMARY KEY,     -- what 'replay' takes
    campaign INTEGER NOT NULL REFERENCES campaign (id),
    boot INTEGER NOT NULL,      -- which boot of the campaign's guest, from 1
    name TEXT NOT NULL,         -- request and mutations
    script BLOB NOT NULL,       -- exact bytes: the steps of fuzz/script.py
    earliest INTEGER NOT NULL,  -- the guest's clock when it was sent, ns since 1970
    latest INTEGER,             -- and when it had been judged
    creation INTEGER NOT NULL,  -- when the guest's replay tables had been made
    expected TEXT,              -- the model's verdicts: 'dgram OK 2, dgram REPLAY 1'
    counted TEXT,               -- the module's
    authenticated INTEGER,      -- 1 if the module authenticated a record of it
    strict INTEGER,             -- 0 if the clock left two outcomes open
    outcome TEXT                -- 'agree' or a finding's kind; NULL if never known
);

CREATE TABLE finding (
    id INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL REFERENCES campaign (id),
    kind TEXT NOT NULL,         -- crash, hang, disagreement
    title TEXT NOT NULL,
    detail TEXT NOT NULL,       -- of the first case
    log TEXT NOT NULL,          -- the console's report, if there is one
    first INTEGER NOT NULL REFERENCES cases (id),
    count INTEGER NOT NULL,     -- how many cases showed it
    UNIQUE (campaign, kind, title)
);
"""

_CASE = (
    "SELECT cases.id, campaign.name, cases.name, cases.script, cases.earliest,"
    " cases.creation, cases.expected, cases.counted, cases.outcome"
    " FROM cases JOIN campaign ON campaign.id = cases.campaign"
)


class StoreError(UserError):
    """A run that cannot be read or written."""


@dataclass(frozen=True)
class StoredCase:
    """A case as stored."""

    id: int
    campaign: str
    name: str
    script: bytes
    earliest: int
    creation: int
    expected: str | None
    counted: str | None
    outcome: str | None


@dataclass(frozen=True)
class StoredFinding:
    """A finding as stored."""

    campaign: str
    finding: Finding
    first: int
    name: str
    count: int


def verdicts_text(verdicts: Verdicts) -> str:
    """Verdicts as stored."""
    return ", ".join(
        f"{transport.value} {verdict} {count}"
        for (transport, verdict), count in sorted(
            verdicts.items(), key=lambda entry: (entry[0][0].value, entry[0][1].number)
        )
    )


def parse_verdicts(text: str) -> Verdicts:
    """Read verdicts as stored."""
    verdicts: Verdicts = Counter()
    for part in text.split(", ") if text else ():
        transport, verdict, count = part.split()
        verdicts[Transport(transport), Verdict(verdict)] = int(count)
    return verdicts


class Store:
    """An open run."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database
        self._lock: TextIO | None = None

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
        database = sqlite3.connect(path / DATABASE, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(SCHEMA)
        store = cls(path, database)
        store._lock = lock  # closing it unlocks
        store.note(version=VERSION, started=str(time.time()), **meta)
        return store

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Open a run to go on with it.

        The case that was being run when the runner was killed is taken out: it will be
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
        store._database.execute("DELETE FROM cases WHERE outcome IS NULL")
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
            database = sqlite3.connect(path / DATABASE, isolation_level=None)
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

    # What the runner writes.

    def note(self, **meta: str) -> None:
        """Set lines of `meta`."""
        self._database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())

    def begin_campaign(self, name: str) -> int:
        """Add a campaign, if it is not there from before; return its id."""
        for number, known, _ in self.campaigns():
            if known == name:
                return number
        cursor = self._database.execute(
            "INSERT INTO campaign (name, started, seconds) VALUES (?, ?, 0)", (name, time.time())
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def begin_case(
        self,
        campaign: int,
        *,
        boot: int,
        name: str,
        script: bytes,
        earliest: int,
        creation: int,
    ) -> int:
        """Write a case that is about to be sent, and commit; return its id."""
        self._begin()
        cursor = self._database.execute(
            "INSERT INTO cases (campaign, boot, name, script, earliest, creation)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (campaign, boot, name, script, earliest, creation),
        )
        self.commit()
        assert cursor.lastrowid is not None
        return cursor.lastrowid

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
        """Write what became of a case; committed with the next one or by `commit`."""
        self._begin()
        self._database.execute(
            "UPDATE cases SET outcome = ?, latest = ?, expected = ?, counted = ?,"
            " authenticated = ?, strict = ? WHERE id = ?",
            (
                outcome,
                latest,
                None if expected is None else verdicts_text(expected),
                None if counted is None else verdicts_text(counted),
                authenticated,
                strict,
                case,
            ),
        )

    def add_finding(self, campaign: int, case: int, finding: Finding) -> bool:
        """Write a finding, and commit; return whether it is the first of its kind."""
        self._begin()
        self._database.execute(
            "INSERT INTO finding (campaign, kind, title, detail, log, first, count)"
            " VALUES (?, ?, ?, ?, ?, ?, 1)"
            " ON CONFLICT (campaign, kind, title) DO UPDATE SET count = count + 1",
            (campaign, finding.kind, finding.title, finding.detail, finding.log, case),
        )
        row = self._database.execute(
            "SELECT count FROM finding WHERE campaign = ? AND kind = ? AND title = ?",
            (campaign, finding.kind, finding.title),
        ).fetchone()
        self.commit()
        return bool(row[0] == 1)

    def time_campaign(self, campaign: int, seconds: float) -> None:
        """Note how long a campaign's cases have taken so far."""
        self._database.execute("UPDATE campaign SET seconds = ? WHERE id = ?", (seconds, campaign))

    def commit(self) -> None:
        """End the transaction that is open, if one is."""
        if self._database.in_transaction:
            self._database.execute("COMMIT")

    def _begin(self) -> None:
        if not self._database.in_transaction:
            self._database.execute("BEGIN")

    # What reports read.

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
        """Id, name and seconds of each campaign, in order."""
        return list(self._database.execute("SELECT id, name, seconds FROM campaign ORDER BY id"))

    def outcomes(self, campaign: int) -> Iterator[tuple[str | None, str | None, int, int, int]]:
        """Verdicts of model and module, their cases, how many authenticated, how many loose."""
        yield from self._database.execute(
            "SELECT expected, counted, count(*), total(authenticated), total(strict = 0)"
            " FROM cases WHERE campaign = ? GROUP BY expected, counted",
            (campaign,),
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

    def past(self, campaign: int) -> list[str]:
        """What became of each case so far, in order: ``agree`` or a finding's kind."""
        rows = self._database.execute(
            "SELECT outcome FROM cases WHERE campaign = ? ORDER BY id", (campaign,)
        )
        return [outcome for (outcome,) in rows]

    def boots(self, campaign: int) -> int:
        """How often the campaign's guest was booted."""
        row = self._database.execute(
            "SELECT max(boot) FROM cases WHERE campaign = ?", (campaign,)
        ).fetchone()
        return row[0] or 0

    def before(self, number: int, count: int) -> list[StoredCase]:
        """At most `count` cases that the same boot of the same guest was sent before one."""
        rows = self._database.execute(
            f"{_CASE} JOIN cases AS one ON one.id = ? AND one.campaign = cases.campaign"
            " AND one.boot = cases.boot WHERE cases.id < one.id ORDER BY cases.id DESC LIMIT ?",
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


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Store]:
    """An open run, closed when the body ends; errors of SQLite become `StoreError`."""
    try:
        with Store.open(path) as store:
            yield store
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path / DATABASE}: {error}") from None
