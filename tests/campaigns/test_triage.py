# SPDX-License-Identifier: GPL-2.0-or-later
"""Triage from end to end: a bug in the module is found, made small, and shown by a script."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from fuzz import planted
from fuzz.errors import UserError
from fuzz.guest.module import SOURCE

pytestmark = pytest.mark.timeout(900)
BUG = "out-of-bounds-write"


def test_a_planted_bug_goes_all_the_way(nst_fuzz: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [nst_fuzz, "planted", BUG, "--triage", "--trials", "12", "--output", str(tmp_path),
         "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    measured = json.loads(done.stdout)
    assert measured["title"] == planted.find(BUG).title
    assert measured["buckets"] == 1
    assert measured["hits"] == measured["tries"]
    assert measured["records"] == 1
    assert measured["verified"], done.stderr
    assert measured["program"], done.stderr
    assert done.returncode == 0

    shown = subprocess.run(
        [nst_fuzz, "triage", "show", "", "--runs", str(tmp_path), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    report = json.loads(shown.stdout)["report"]
    assert report["guilty_file"] == "kmod/dgram_rx.c"
    guilty = [frame for frame in report["stack"] if frame["function"] == "nst_dgram_open"]
    assert guilty[0]["module"] == "nst"
    assert guilty[0]["line"] > 0
    assert any(line["guilty"] for line in report["source"])


@pytest.mark.parametrize("name", list(planted.load()))
def test_every_planted_bug_has_its_place(name: str, tmp_path: Path) -> None:
    bug = planted.find(name)
    changed = planted.plant(bug, tmp_path / "kmod") / bug.file
    assert changed.read_text() != (SOURCE / bug.file).read_text()


def test_an_unknown_bug_is_refused() -> None:
    with pytest.raises(UserError, match="no planted bug 'x'"):
        planted.find("x")
