# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run shows while it goes on."""

from __future__ import annotations

import io
from collections import Counter

from rich.console import Console

from fuzz.campaigns.progress import Limits, Progress, Shard
from fuzz.finding import Finding, FindingKind
from fuzz.view import view

ONE, OTHER = Shard("keys", 0, 2), Shard("keys", 1, 2)
FOUND = Finding(FindingKind.CRASH, "BUG: [bold]it", "")


def shown(*, terminal: bool, edges: int | None = None) -> list[str]:
    """The lines left at the end of a run of two guests, on a terminal or not."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=120, color_system=None)
    with view(console, Limits(cases=100)) as watcher:
        watcher.booting(ONE, again=False)
        watcher.booting(OTHER, again=False)
        watcher.progress(ONE, Progress(50, 0.5, 25, Counter({"OK": 40, "KID": 10})))
        watcher.found(OTHER, FOUND, 77)
        watcher.progress(
            OTHER, Progress(50, 0.25, 50, Counter({"OK": 1960}), findings=1, edges=edges)
        )
        watcher.ended(ONE)
        watcher.booting(OTHER, again=True)
    return [line.rstrip() for line in text.getvalue().splitlines()]


def test_a_log_gets_whole_lines() -> None:
    lines = shown(terminal=False)
    assert lines[:2] == ["keys 1/2: booting the guest", "keys 2/2: booting the guest"]
    assert "keys: 50/100 cases, 100/s, 50% authenticated, 0 findings" in lines
    assert "keys 2/2: case 77: crash: BUG: [bold]it" in lines
    # The rates of guests that run side by side add up.
    assert "keys: 100/100 cases, 300/s, 75% authenticated, 1 finding" in lines
    assert lines[-1] == "keys 2/2: booting a fresh guest"


def test_a_terminal_gets_a_table() -> None:
    last = "\n".join(shown(terminal=True)).rpartition("campaign")[2]
    row = next(line for line in last.splitlines() if line.startswith("keys"))
    cells = row.split()
    # The guest that is through counts no longer to the rate.
    assert [cell for cell in cells if cell[0].isdigit()] == ["100", "200", "75%", "1", "1", "1"]
    assert row.endswith("1 rebooting, 1 done")
    assert "OK 2,000  KID 10" in last
    assert "crash in keys 2/2, case 77: BUG: [bold]it" in last


def test_edges_are_shown_where_they_are_counted() -> None:
    assert "keys: 100/100 cases, 300/s, 75% authenticated, 1 finding, 5432 edges" in shown(
        terminal=False, edges=5432
    )
    last = "\n".join(shown(terminal=True, edges=5432)).rpartition("campaign")[2]
    assert "edges" in last.splitlines()[0]
    assert "5,432" in last
