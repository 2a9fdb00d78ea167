# SPDX-License-Identifier: GPL-2.0-or-later
"""A run as stored: what is read of it, and how cases, findings and verdicts come out."""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fuzz.errors import UserError
from fuzz.finding import Finding, FindingKind
from fuzz.oracles.expectation import Verdicts
from fuzz.schema import VERSION
from nst_scapy.header import Transport
from nst_scapy.verdict import Verdict

DATABASE = "run.db"
LOCK = "lock"
_BUSY_SECONDS = 60.0
"""How long a writer waits for the others."""

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


class StoredRun:
    """A run that is open for reading."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run, also one that is going on or was killed.

        Raises:
            StoreError: there is none, or it is of another version.
        """
        if not (path / DATABASE).is_file():
            raise StoreError(f"{path} is not a run: it has no {DATABASE}")
        try:
            database = connect(path)
            run = cls(path, database)
            version = run.meta().get("version")
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{path / DATABASE}: {error}") from None
        if version != VERSION:
            raise StoreError(f"{path / DATABASE}: version {version}, this reads {VERSION}")
        return run

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
        """Close the database."""
        self._database.close()

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


def connect(path: Path) -> sqlite3.Connection:
    """Connect to the database of a run, which is made if there is none."""
    database = sqlite3.connect(path / DATABASE, isolation_level=None, timeout=_BUSY_SECONDS)
    database.execute("PRAGMA synchronous = NORMAL")
    return database


@contextlib.contextmanager
def reading(path: Path) -> Iterator[StoredRun]:
    """An open run, closed when the body ends; errors of SQLite become `StoreError`."""
    try:
        with StoredRun.open(path) as run:
            yield run
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path / DATABASE}: {error}") from None


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
