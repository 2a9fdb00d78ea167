# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading 272 console logs of which the titles, types and frames are known.

The corpus is syzkaller's (corpus/NOTICE); the truth is each log's first report.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fuzz.triage.read import Report, read

CORPUS = Path(__file__).parent / "corpus"
CASES: list[dict[str, Any]] = json.loads((CORPUS / "index.json").read_text())["cases"]
GUILTY: list[dict[str, Any]] = json.loads((CORPUS / "guilty.json").read_text())["cases"]


@pytest.fixture(scope="module")
def predicted() -> dict[str, list[Report]]:
    return {case["id"]: read((CORPUS / case["file"]).read_bytes()) for case in CASES}


def test_first_reports(predicted: dict[str, list[Report]]) -> None:
    right: Counter[str] = Counter()
    bases: Counter[str] = Counter()
    wrong = []
    for case in CASES:
        reports = predicted[case["id"]]
        if not case["expect_crash"]:
            assert not reports, f"{case['id']}: {reports[0].title}"
            right["strict"] += 1
            continue
        assert reports, f"{case['id']}: no report, but {case['title']}"
        first = reports[0]
        hits = {
            "title": first.title == case["title"],
            "type": first.type == case["type"],
            "corrupted": bool(first.corrupted) == case["corrupted"],
            "alts": sorted(first.alt_titles) == sorted(case["alt_titles"]),
        }
        hits["strict"] = hits["title"] and hits["type"] and hits["corrupted"]
        if case["frame"]:
            bases["frame"] += 1
            right["frame"] += first.frame == case["frame"]
        if not hits["strict"]:
            wrong.append(f"{case['id']}: {case['title']} is called {first.title}")
        right.update(name for name, hit in hits.items() if hit)
    positives = sum(case["expect_crash"] for case in CASES)
    least = {"title": 0.99, "type": 0.99, "corrupted": 0.99, "alts": 0.98, "frame": 0.98}
    for name, share in least.items():
        assert right[name] >= share * (bases[name] or positives), (name, wrong)
    assert right["strict"] >= 0.99 * len(CASES), wrong


def test_guilty_files() -> None:
    wrong = [
        (case["id"], case["guilty_file"])
        for case in GUILTY
        if [one.guilty_file for one in read((CORPUS / case["file"]).read_bytes())[:1]]
        != [case["guilty_file"]]
    ]
    assert len(wrong) <= 0.1 * len(GUILTY), wrong


STAMP = re.compile(rb"^\[ *\d+\.\d+\](?=\[| )", re.MULTILINE)
OFFSET = re.compile(rb"\+0x[0-9a-f]+/0x[0-9a-f]+( \[[\w-]+\])?(?! [\w./-]+:\d)")
PLACE = rb" (./include/linux/lock.h:3 (discriminator 2) kernel/fork.c:12)\1"


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        (STAMP, b"[Mon Nov 23 01:02:03 2026]"),
        (STAMP, b"Nov 23 01:02:03 host kernel: [    1.5]"),
        (OFFSET, PLACE),
    ],
    ids=["dmesg -T", "syslog", "decode_stacktrace.sh"],
)
def test_first_reports_read_the_same_from_elsewhere(
    part: re.Pattern[bytes], instead: bytes, predicted: dict[str, list[Report]]
) -> None:
    whole = [c for c in CASES if c["expect_crash"] and not c["corrupted"]][::8]
    for case in whole:
        reports = read(part.sub(instead, (CORPUS / case["file"]).read_bytes()))
        assert reports[0].title == predicted[case["id"]][0].title, case["id"]
