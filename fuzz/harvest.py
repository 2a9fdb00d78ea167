# SPDX-License-Identifier: GPL-2.0-or-later
"""What was run of a shard elsewhere, taken out of one store and put into another."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz.corpus import away
from fuzz.coverage import kept
from fuzz.finding import Finding, FindingKind
from fuzz.store import Store
from fuzz.stored import StoreError

_CASE = (
    "boot", "sent", "name", "script", "earliest", "latest", "creation", "expected", "counted",
    "authenticated", "strict", "outcome",
)  # fmt: skip
_FINDING = ("kind", "title", "detail", "log", "first", "count")


@dataclass(frozen=True)
class Harvest:
    """New cases and findings of one shard.

    Attributes:
        campaign: its campaign.
        shard: its number.
        after: how many of its cases had been run before these.
        seconds: that all its cases have taken.
        cases: id and columns of each.
        findings: columns of each; the first case is given by its id above.
        corpus: what it found for the corpus; `None` if the run has none.
        edges: when how many edges had been taken.
        boots: gcov's data files of each boot of its guest, if the run measures coverage.
    """

    campaign: str
    shard: int
    after: int
    seconds: float
    cases: list[tuple[Any, ...]]
    findings: list[tuple[Any, ...]]
    corpus: away.Parcel | None = None
    edges: list[tuple[float, int]] = field(default_factory=list)
    boots: list[dict[str, bytes]] = field(default_factory=list)


def reap(
    store: Store, module: Path, campaign: str, shard: int, after: int, seconds: float
) -> Harvest:
    """Take all that is kept, which has to be of this shard of a run of `module`; see `Harvest`."""
    cases = store.select(
        f"SELECT id, {', '.join(_CASE)} FROM cases WHERE outcome NOT NULL ORDER BY id"
    )
    findings = store.select(f"SELECT {', '.join(_FINDING)} FROM finding ORDER BY id")
    edges = store.select("SELECT sent, edges FROM coverage ORDER BY id")
    return Harvest(
        campaign, shard, after, seconds, list(cases), list(findings),
        away.homeward(store.path, module), [(sent, count) for sent, count in edges],
        kept.boots_of(store.path, campaign),
    )  # fmt: skip


def merge(store: Store, harvest: Harvest) -> list[tuple[Finding, int]]:
    """Put a harvest into a run; return the findings that are new to it, with their first cases.

    All rows are written, or none; before them the files, which are the same if it comes again.

    Raises:
        StoreError: it is in there already.
    """
    campaign = store.begin_campaign(harvest.campaign)
    with store.transaction() as database:
        ((known,),) = database.execute(
            "SELECT count(*) FROM cases WHERE campaign = ? AND shard = ?",
            (campaign, harvest.shard),
        )
        if known != harvest.after:
            raise StoreError(
                f"{store.path}: {harvest.campaign}, shard {harvest.shard}: {known} cases are"
                f" there, these come after {harvest.after}"
            )
        ids = {
            old: _insert(
                database, "cases", ("campaign", "shard", *_CASE), (campaign, harvest.shard, *row)
            )
            for old, *row in harvest.cases
        }
        fresh = []
        for kind, title, detail, log, first, count in harvest.findings:
            ((total,),) = database.execute(
                "INSERT INTO finding (campaign, kind, title, detail, log, first, count)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (campaign, kind, title) DO UPDATE SET count = count + excluded.count"
                " RETURNING count",
                (campaign, kind, title, detail, log, ids[first], count),
            ).fetchall()
            if total == count:
                fresh.append((Finding(FindingKind(kind), title, detail, log), ids[first]))
        database.execute(
            "UPDATE shard SET seconds = ? WHERE campaign = ? AND number = ?",
            (harvest.seconds, campaign, harvest.shard),
        )
        database.executemany(
            "INSERT INTO coverage (campaign, sent, edges) VALUES (?, ?, ?)",
            [(campaign, *row) for row in (*harvest.edges, *_take_in(store.path, harvest))],
        )
    return fresh


def _take_in(run: Path, harvest: Harvest) -> list[tuple[float, int]]:
    """Put a harvest's files into a run; when how many edges had been taken by all."""
    folder = kept.folder_of(run, harvest.campaign)
    if folder is not None:
        for index, boot in enumerate(harvest.boots):
            kept.take_in(boot, folder, f"{harvest.shard}-{harvest.after}-{index}")
    if harvest.corpus is None:
        return []
    return [(time.time(), away.take_in(run, harvest.corpus))]


def _insert(
    database: sqlite3.Connection, table: str, columns: tuple[str, ...], row: tuple[Any, ...]
) -> int:
    marks = ", ".join("?" * len(columns))
    cursor = database.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", row)
    assert cursor.lastrowid is not None
    return cursor.lastrowid
