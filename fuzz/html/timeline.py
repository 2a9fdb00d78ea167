# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run's store tells of its course."""

from __future__ import annotations

from fuzz.stored import StoredRun


def cases(store: StoredRun, since: float, points: int) -> dict[str, list[tuple[float, float]]]:
    """Of each campaign, at most so many points: seconds since a time, and cases until then."""
    ((end,),) = store.select("SELECT max(sent) FROM cases")
    width = max((end or since) - since, 1e-3) / points
    rows = store.select(
        "SELECT campaign.name, CAST((sent - ?) / ? AS INTEGER) AS slot, count(*)"
        " FROM cases JOIN campaign ON campaign.id = campaign"
        " GROUP BY campaign, slot ORDER BY campaign, slot",
        since,
        width,
    )
    found: dict[str, list[tuple[float, float]]] = {}
    for name, slot, count in rows:
        line = found.setdefault(name, [(0.0, 0)])
        before = line[-1][1]
        if line[-1][0] < slot * width:
            line.append((slot * width, before))  # nothing came in between
        line.append(((slot + 1) * width, before + count))
    return found


def findings(store: StoredRun) -> list[tuple[str, float]]:
    """Kind of each finding, and when its first case was sent, in that order."""
    rows = store.select(
        "SELECT kind, sent FROM finding JOIN cases ON cases.id = first ORDER BY sent"
    )
    return [(kind, sent) for kind, sent in rows]


def edges(store: StoredRun) -> list[tuple[str, float, int]]:
    """Campaign, time, and how many edges had been taken until then, in order of time.

    What one guest takes is known to those of other machines only when its shard is through.
    """
    rows = store.select(
        "SELECT name, sent, max(edges) OVER (ORDER BY sent, coverage.id)"
        " FROM coverage JOIN campaign ON campaign.id = campaign ORDER BY sent, coverage.id"
    )
    return list(rows)
