# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading takes work in proportion to the log, and next to none where nothing is wrong.

Seconds are measured by `nst-fuzz bench triage`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.triage import scan
from fuzz.triage.formats import STARTS
from fuzz.triage.lines import Log
from tests.triage.effort import Effort, effort

CORPUS = Path(__file__).parent / "corpus"
FEW = 30
"""Reports. Of ten times as many, work that is quadratic would make ten times as much again."""
SLACK = 1.05
CLEAN = b"[    2.345678][  T123] usb 1-1: new high-speed USB device number 2 using dummy_hcd\n"
SEARCHES = len(STARTS) + 8
"""Times that a log may be gone through as a whole: for each start, and to tell a reboot."""


def growth(name: str, count: int = FEW) -> tuple[Effort, Effort]:
    """What some reports cost, and ten times as many."""
    one = (CORPUS / "logs" / f"{name}.log").read_bytes()
    few, many = effort(one * count), effort(one * count * 10)
    assert (few.reports, many.reports) == (count, count * 10)
    return few, many


@pytest.mark.parametrize("name", ["r0105", "r0622"])
def test_ten_times_the_reports_are_ten_times_the_work(name: str) -> None:
    few, many = growth(name)
    assert many.steps <= 10 * SLACK * few.steps
    assert many.examined <= 10 * SLACK * few.examined


def test_bytes_searched_anew_for_each_report_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = scan.candidates

    def anew(log: Log) -> frozenset[int]:
        log.marks = None
        return candidates(log)

    monkeypatch.setattr(scan, "candidates", anew)
    few, many = growth("r0622", 3)
    assert many.examined > 20 * few.examined


def test_lines_walked_anew_for_each_report_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(log: Log, offset: int) -> None:
        for _line in log._lines:
            pass

    monkeypatch.setattr(Log, "forget", walk)
    few, many = growth("r0622")
    assert many.steps > 20 * few.steps


def test_lines_without_a_report_are_not_looked_at() -> None:
    few, many = effort(CLEAN * 1000), effort(CLEAN * 100_000)
    assert few.reports == many.reports == 0
    assert many.steps == few.steps
    assert many.examined <= SEARCHES * len(CLEAN) * 100_000


def test_a_long_line_is_no_trouble() -> None:
    data = b"BUG: KASAN: " + b"a " * 500_000 + b"\nINFO: task " + b"x" * 500_000 + b"\n" * 100_000
    assert effort(data).examined <= SEARCHES * len(data)
    log = Log(data)
    assert all(len(line.text) <= 4096 for line in (log.line_at(0), log.line_at(1_000_013)))
