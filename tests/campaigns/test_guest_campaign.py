# SPDX-License-Identifier: GPL-2.0-or-later
"""Campaigns against the real module in a real guest."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fuzz.campaigns.catalogue import CAMPAIGNS
from fuzz.campaigns.plan import Plan, Planned
from fuzz.campaigns.progress import Shard
from fuzz.campaigns.runner import run_keybox
from fuzz.campaigns.session import context_of
from fuzz.campaigns.values import canonical
from fuzz.guest.module import SOURCE
from fuzz.oracles.leaks import BATCH
from fuzz.planted import find, plant
from fuzz.planted.measure import CASES
from fuzz.together import MOST_CASES
from nst_scapy.suite import SuiteId

pytestmark = pytest.mark.timeout(600)
RECORDS = ["stream-record", "dgram-record"]


def run(nst_fuzz: str, *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    """Run nst-fuzz with --json; return its exit status and what it printed."""
    done = subprocess.run(
        [nst_fuzz, *map(str, arguments), "--json"], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_model_and_module_agree(nst_fuzz: str, nst_ko: Path, tmp_path: Path) -> None:
    code, summary = run(
        nst_fuzz, "run", *RECORDS, "--cases", "250", "--seed", "test", "--module", nst_ko,
        "--output", tmp_path / "run",
    )  # fmt: skip
    assert summary["findings"] == []
    assert code == 0
    assert [campaign["name"] for campaign in summary["campaigns"]] == RECORDS
    for campaign in summary["campaigns"]:
        assert campaign["cases"] == 250
        assert campaign["lost"] == 0
        assert campaign["authenticated"] > 100
        counted = {entry["verdict"] for entry in campaign["verdicts"] if entry["module"]}
        assert counted == set(CAMPAIGNS[campaign["name"]].reaches)

    code, replayed = run(nst_fuzz, "replay", tmp_path / "run", "37")
    assert code == 0
    assert replayed["finding"] is None
    assert replayed["replayed"] == {
        name: replayed["recorded"][name] for name in ("model", "module")
    }


def test_they_agree_on_everything_else(nst_fuzz: str, nst_ko: Path, tmp_path: Path) -> None:
    # Those that need more than Debian's kernel have tests of their own.
    others = [name for name, one in CAMPAIGNS.items() if name not in RECORDS and not one.needs]
    code, summary = run(
        nst_fuzz, "run", *others, "--cases", "100", "--seed", "test", "--module", nst_ko,
        "--output", tmp_path / "run",
    )  # fmt: skip
    assert summary["findings"] == []
    assert code == 0
    assert [campaign["name"] for campaign in summary["campaigns"]] == others
    for campaign in summary["campaigns"]:
        assert (campaign["cases"], campaign["lost"]) == (100, 0)
        assert campaign["authenticated"] > 20


def test_a_planted_bug_is_found(nst_fuzz: str, tmp_path: Path) -> None:
    """Without the limit on kpos the module perturbs memory beyond the key."""
    source = tmp_path / "kmod"
    shutil.copytree(SOURCE, source)
    planted = [
        file
        for file in source.glob("*.c")
        if (text := file.read_text()) != (bug := text.replace("hdr->kpos <= NST_KPOS_MAX && ", ""))
        and file.write_text(bug)
    ]
    assert len(planted) == 1
    code, summary = run(
        nst_fuzz, "run", "dgram-record", "--cases", "400", "--max-findings", "1",
        "--seed", "test", "--module", source, "--output", tmp_path / "run",
    )  # fmt: skip
    assert code == 1
    finding = summary["findings"][0]
    assert "PERTURB was missed" in finding["title"] or finding["kind"] == "crash"
    assert ".kpos:" in finding["name"]
    assert finding["replay"].startswith("nst-fuzz replay ")

    code, replayed = run(nst_fuzz, "replay", tmp_path / "run", str(finding["case"]))
    assert code == 1
    assert replayed["finding"] is not None


def test_a_planted_leak_is_found(nst_fuzz: str, tmp_path: Path) -> None:
    bug = find("keys-kept")
    code, summary = run(
        nst_fuzz, "run", bug.campaign, "--cases", str(CASES), "--max-findings", "1",
        "--seed", "planted", "--module", plant(bug, tmp_path / "kmod"),
        "--output", tmp_path / "run",
    )  # fmt: skip
    assert code == 1
    (finding,) = summary["findings"]
    assert finding["kind"] == "leak"
    assert re.fullmatch(r"kmalloc-\S+ grows", finding["title"])
    # Two intervals between readings have to show it.
    assert 2 * BATCH < finding["case"] < CASES


def test_kill_9_leaves_no_guest_and_every_case(nst_fuzz: str, nst_ko: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    runner = subprocess.Popen(
        [nst_fuzz, "run", "dgram-record", "--cases", "100000", "--module", str(nst_ko),
         "--output", str(path)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    children: list[int] = []
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        time.sleep(1)
        assert runner.poll() is None
        if not (path / "run.db").exists():
            continue
        _, summary = run(nst_fuzz, "report", path)
        if sum(campaign["cases"] for campaign in summary["campaigns"]) >= 50:
            children = _children(runner.pid)
            break
    assert children
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    for pid in children:
        while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
            time.sleep(0.1)
        assert not Path(f"/proc/{pid}").exists()

    code, after = run(nst_fuzz, "report", path)
    assert code == 0
    assert after["state"] == "killed"
    (before,), (campaign,) = summary["campaigns"], after["campaigns"]
    assert campaign["cases"] >= before["cases"]
    assert campaign["lost"] <= 2 * MOST_CASES

    names = _case_names(path)
    goal = len(names) + 40
    code, resumed = run(nst_fuzz, "resume", path, "--cases", str(goal))
    assert code == 0, resumed["findings"]
    assert resumed["state"] == "finished"
    (campaign,) = resumed["campaigns"]
    assert (campaign["cases"], campaign["lost"]) == (goal, 0)
    assert len(set(_case_names(path))) == goal
    assert set(names) <= set(_case_names(path))

    assert _case_names(path) == _planned(Shard("dgram-record"), resumed["seed"], goal)


def test_whoever_is_killed_no_case_is_lost_or_run_twice(
    nst_fuzz: str, nst_ko: Path, tmp_path: Path
) -> None:
    """With two guests: first a QEMU, then a worker, then the runner."""
    path = tmp_path / "run"
    runner = subprocess.Popen(
        [nst_fuzz, "run", "dgram-record", "--jobs", "2", "--cases", "100000",
         "--seed", "kills", "--module", str(nst_ko), "--output", str(path)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip

    def boots(shard: int) -> int:
        """Of its guest, such that cases were run."""
        if not (path / "run.db").exists():
            return 0
        with contextlib.closing(sqlite3.connect(path / "run.db")) as database:
            try:
                ((count,),) = database.execute(
                    "SELECT count(*) FROM (SELECT boot FROM cases WHERE shard = ? AND"
                    " outcome NOT NULL GROUP BY boot HAVING count(*) >= 20)",
                    (shard,),
                )
            except sqlite3.OperationalError:  # its tables come a moment after the file
                return 0
        return int(count)

    def wait_until(reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 250
        while not reached():
            assert runner.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)

    wait_until(lambda: min(boots(0), boots(1)) == 1)
    guests = {worker: _children(worker)[0] for worker in _children(runner.pid) if _children(worker)}
    (_, machine), (worker, _) = guests.items()
    os.kill(machine, signal.SIGKILL)
    wait_until(lambda: max(boots(0), boots(1)) == 2)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: min(boots(0), boots(1)) == 2)
    left = _children(runner.pid)
    runner.kill()
    runner.wait()
    for pid in left:
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.1)
    with contextlib.closing(sqlite3.connect(path / "run.db")) as database:
        before = dict(database.execute("SELECT name, script FROM cases WHERE outcome NOT NULL"))

    goal = len(before) + 30
    code, resumed = run(nst_fuzz, "resume", path, "--cases", str(goal))
    assert code == 0, resumed["findings"]
    (campaign,) = resumed["campaigns"]
    assert campaign["lost"] == 0
    assert campaign["cases"] >= goal
    with contextlib.closing(sqlite3.connect(path / "run.db")) as database:
        after = dict(database.execute("SELECT name, script FROM cases"))
    assert len(after) == campaign["cases"]
    assert before.items() <= after.items()
    for number in range(2):
        names = _case_names(path, number)
        assert names == _planned(Shard("dgram-record", number, 2), "kills", len(names))


def test_ctrl_c_ends_with_a_summary(nst_fuzz: str, nst_ko: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    runner = subprocess.Popen(
        [nst_fuzz, "run", "stream-record", "--time", "10m", "--module", str(nst_ko),
         "--output", str(path), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert runner.stderr is not None
    for line in runner.stderr:
        if " cases, " in line:
            break
    runner.send_signal(signal.SIGINT)
    printed, _ = runner.communicate(timeout=120)
    assert runner.returncode == 130
    summary = json.loads(printed)
    assert summary["state"] == "interrupted"
    assert summary["campaigns"][0]["cases"] > 0


def _case_names(path: Path, shard: int = 0) -> list[str]:
    """Of all cases of a shard, in the order in which they were run."""
    database = sqlite3.connect(path / "run.db")
    with contextlib.closing(database):
        rows = database.execute("SELECT name FROM cases WHERE shard = ? ORDER BY id", (shard,))
        return [name for (name,) in rows]


def _planned(shard: Shard, seed: str, count: int) -> list[str]:
    """The names of a shard's first cases, as long as nothing is found."""
    keybox = run_keybox(seed)

    def render(planned: Planned) -> bytes:
        script: bytes = planned.request.render(context_of(planned, canonical(sorted(keybox))))
        return planned.request.name.encode() + script

    requests = CAMPAIGNS[shard.campaign].requests(keybox, frozenset(SuiteId))
    plan = Plan(requests, f"{seed}|{shard.campaign}", render, (shard.number, shard.count))
    return [planned.name for planned in itertools.islice(plan, count)]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "no-such-campaign"], "no campaign 'no-such-campaign'"),
        (["run", "--kernel", "no-such-kernel"], "no kernel 'no-such-kernel'"),
        (["run", "--kmemleak"], "kernel debian-6.12 has no CONFIG_DEBUG_KMEMLEAK"),
        (["run", "--time", "soon"], "'soon' is not a time"),
        (["run", "--cases", "0"], "0 is not in the range"),
        (["report", "/nonexistent"], "/nonexistent is not a run"),
        (["resume", "/nonexistent"], "/nonexistent is not a run"),
        (["replay", "/nonexistent", "1"], "/nonexistent is not a run"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    nst_fuzz: str, arguments: list[str], complaint: str
) -> None:
    done = subprocess.run([nst_fuzz, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
