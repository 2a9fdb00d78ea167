# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports of the module's own, planted bugs: one log for each that the kernel shows."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from fuzz import planted
from fuzz.triage import outside
from fuzz.triage.read import read
from fuzz.triage.understand import understand

FOLDER = Path(__file__).parent / "planted"
LOGS = sorted(FOLDER.glob("*/*.log"))
# What a kernel calls them that calls them otherwise, by kernel and bug.
ELSEWHERE: dict[str, dict[str, str]] = tomllib.loads((FOLDER / "titles.toml").read_text())
BUGS = planted.load()


@pytest.mark.parametrize("log", LOGS, ids=lambda log: f"{log.parent.name}-{log.stem}")
def test_a_planted_bug_is_named_by_the_modules_own_function(log: Path) -> None:
    first, *_ = read(log.read_bytes())
    elsewhere = ELSEWHERE.get(log.parent.name, {})
    assert first.title == elsewhere.get(log.stem, BUGS[log.stem].title)
    assert not first.corrupted
    own = [frame.function for frame in first.frames if frame.module == "nst"]
    assert first.frame in own
    analysis = understand(first, remote=True)
    assert analysis.guilty is not None
    assert analysis.guilty.module == "nst"


def test_every_bug_that_the_kernel_reports_has_a_title_of_its_own() -> None:
    titles = [bug.title for bug in BUGS.values() if bug.title]
    assert len(set(titles)) == len(titles)
    assert {log.stem for log in LOGS} <= set(BUGS)


@pytest.mark.parametrize("kernel", ["debian-6.1", "debian-6.12", "sanitizer-6.12"])
def test_there_is_a_log_of_every_bug_that_the_kernel_reports(kernel: str) -> None:
    kept = {log.stem for log in LOGS if log.parent.name == kernel}
    silent = {"", outside.LOST_CONNECTION}
    assert kept == {bug.name for bug in BUGS.values() if bug.title not in silent}
