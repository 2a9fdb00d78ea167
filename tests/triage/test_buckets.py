# SPDX-License-Identifier: GPL-2.0-or-later
"""Buckets over real runs' databases, with real reports in them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fuzz.finding import Finding, FindingKind
from fuzz.store import Store
from fuzz.triage.buckets import bucket_id, buckets, find_bucket, similarity
from fuzz.triage.decisions import Decisions
from fuzz.triage.read import read

LOGS = Path(__file__).parent / "corpus" / "logs"
REFCOUNT, LEAK, FREED = "r0622", "r0311", "r0470"
# One bug on two kernels: its function is wrapped differently, so the titles differ.
WRAPPED = "r0623"


def add(path: Path, *names: str, started: str = "1") -> Path:
    """A run whose cases found what these logs say."""
    with Store.create(path, seed="s", kernel="k", kernel_name="debian-6.12", module="m") as store:
        store.note(started=started)
        campaign = store.begin_campaign("dgram-record")
        for name in names:
            case = store.begin_case(campaign, boot=1, name=name, script=b"", earliest=1, creation=0)
            log = (LOGS / f"{name}.log").read_text(errors="replace")
            # What an older parser called it: triage reads the log anew.
            store.add_finding(
                campaign, case, Finding(FindingKind.CRASH, f"old {name}", "detail", log)
            )
            store.end_case(case, "crash")
    return path


def decisions(folder: Path) -> Decisions:
    return Decisions.load(folder)


def test_one_bug_under_two_titles_is_one(tmp_path: Path) -> None:
    first = add(tmp_path / "a", REFCOUNT, LEAK)
    second = add(tmp_path / "b", WRAPPED, FREED, started="2")
    found = buckets([first, second], decisions(tmp_path))
    assert [bucket.title for bucket in found] == [
        "WARNING: refcount bug in memfd_secret",
        "memory leak in gfs2_sys_fs_add",
        "KASAN: use-after-free Read in bcsp_close",
    ]
    assert found[0].cases == 2
    assert found[0].titles == [
        "WARNING: refcount bug in memfd_secret",
        "WARNING: refcount bug in sys_memfd_secret",
    ]


def test_buckets_do_not_depend_on_the_order_of_runs(tmp_path: Path) -> None:
    runs = [add(tmp_path / "a", REFCOUNT), add(tmp_path / "b", WRAPPED, LEAK, started="2")]
    one = buckets(runs, decisions(tmp_path))
    other = buckets(runs[::-1], decisions(tmp_path))
    assert [(b.id, b.cases) for b in one] == [(b.id, b.cases) for b in other]
    # Any title that it was seen under finds it, whichever came first.
    for title in one[0].titles:
        assert find_bucket(one, bucket_id(title)) is one[0]


def test_what_follows_a_report_is_attached(tmp_path: Path) -> None:
    run = add(tmp_path / "a", LEAK)
    with Store.open(run) as store:
        campaign = store.begin_campaign("again")
        case = store.begin_case(campaign, boot=1, name="c", script=b"", earliest=1, creation=0)
        log = "".join(
            (LOGS / f"{name}.log").read_text(errors="replace") for name in (REFCOUNT, FREED)
        )
        store.add_finding(campaign, case, Finding(FindingKind.CRASH, "t", "d", log))
    found = buckets([run], decisions(tmp_path))
    assert len(found) == 2
    assert [r.title for r in found[1].members[0].follow_ups] == [
        "KASAN: use-after-free Read in bcsp_close"
    ]


def test_stacks_agree_as_far_as_they_are_the_same() -> None:
    (one,) = read((LOGS / f"{REFCOUNT}.log").read_bytes())
    (other,) = read((LOGS / f"{FREED}.log").read_bytes())
    assert similarity(other.frames, other.frames) == pytest.approx(1)
    assert similarity(one.frames, other.frames) < 0.2
    assert similarity(other.frames[:6], other.frames) < similarity(other.frames[:9], other.frames)


def triage(nst_fuzz: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [nst_fuzz, "triage", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_merge_and_ignore_hold_for_runs_to_come(nst_fuzz: str, tmp_path: Path) -> None:
    add(tmp_path / "a", REFCOUNT, LEAK)
    listed = json.loads(triage(nst_fuzz, "list", "--runs", tmp_path, "--json").stdout)
    first, second = (entry["id"] for entry in listed)
    assert triage(nst_fuzz, "merge", first, second, "--runs", tmp_path).returncode == 0
    (only,) = json.loads(triage(nst_fuzz, "list", "--runs", tmp_path, "--json").stdout)
    assert (only["id"], only["cases"]) == (first, 2)

    assert triage(nst_fuzz, "ignore", second[:5], "--runs", tmp_path).returncode == 0
    add(tmp_path / "b", REFCOUNT, FREED, started="9")
    (left,) = json.loads(triage(nst_fuzz, "list", "--runs", tmp_path, "--json").stdout)
    assert left["title"] == "KASAN: use-after-free Read in bcsp_close"
    everything = triage(nst_fuzz, "list", "--runs", tmp_path, "--json", "--all")
    assert len(json.loads(everything.stdout)) == 2
    difference = triage(nst_fuzz, "diff", first, left["id"], "--runs", tmp_path)
    assert "stacks agree to" in difference.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["list", "--runs", "/nonexistent"], "no runs in /nonexistent"),
        (["show", "abc", "--runs", "/nonexistent"], "no runs in /nonexistent"),
        (["read", "/nonexistent.log"], "/nonexistent.log: No such file"),
        (["read", "/etc/passwd", "--module", "/etc/passwd"], "/etc/passwd: not an ELF file"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    nst_fuzz: str, arguments: list[str], complaint: str
) -> None:
    done = triage(nst_fuzz, *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_read_prints_what_the_corpus_is_scored_by(nst_fuzz: str) -> None:
    done = triage(nst_fuzz, "read", "--json", LOGS / f"{FREED}.log", LOGS / "r0002.log")
    first, second = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert (first["id"], second) == (FREED, {"id": "r0002", "guilty_file": "", "reports": []})
    (report,) = first["reports"]
    assert report["title"] == "KASAN: use-after-free Read in bcsp_close"
    assert report["object"] == {"cache": "skbuff_head_cache", "size": 224,
                                "place": "212 bytes inside of"}  # fmt: skip
    assert report["severity"] == "high"
    assert report["allocated"]
    assert report["freed"]


def test_logs_of_any_kernel_become_sarif_and_junit(nst_fuzz: str, tmp_path: Path) -> None:
    """The same bug in two logs is one; a log without a report is none."""
    logs = [LOGS / f"{name}.log" for name in (WRAPPED, REFCOUNT, FREED, "r0002")]
    sarif_file, junit_file = tmp_path / "bugs.sarif", tmp_path / "bugs.xml"
    done = triage(nst_fuzz, "read", *logs, "--sarif", sarif_file, "--junit", junit_file)
    assert done.returncode == 1, done.stderr
    (run,) = json.loads(sarif_file.read_text())["runs"]
    seen = {r["message"]["text"]: r["occurrenceCount"] for r in run["results"]}
    assert seen == {
        "KASAN: use-after-free Read in bcsp_close": 1,
        "WARNING: refcount bug in memfd_secret": 2,
    }
    names = [case.get("name") for case in ElementTree.parse(junit_file).iter("testcase")]
    assert sorted(map(str, names)) == sorted(seen)
    missing = triage(nst_fuzz, "read", *logs, "--sarif", tmp_path / "none" / "x")
    assert missing.returncode == 2
    assert "No such file" in missing.stderr
