# SPDX-License-Identifier: GPL-2.0-or-later
"""The store: nothing that was sent is lost, whatever kills the runner."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fuzz.finding import Finding, FindingKind
from fuzz.junit import junit
from fuzz.report import summarize
from fuzz.store import Store
from fuzz.stored import DATABASE, StoreError, parse_verdicts, reading, verdicts_text
from nst_scapy.header import Transport
from nst_scapy.verdict import Verdict

OK = Counter({(Transport.DGRAM, Verdict.OK): 1})
META = {"seed": "1", "kernel": "debian-6.12", "kernel_name": "debian-6.12", "module": "nst.ko"}

WRITER = """
import sys
from collections import Counter
from pathlib import Path
from fuzz.store import Store
from nst_scapy.header import Transport
from nst_scapy.verdict import Verdict

ok = Counter({(Transport.DGRAM, Verdict.OK): 1})
store = Store.create(Path(sys.argv[1]), seed="1")
campaign = store.begin_campaign("dgram-record")
for number in range(1_000_000):
    case = store.begin_case(
        campaign, boot=1, name=f"case {number}", script=number.to_bytes(4) * 50,
        earliest=number, creation=0,
    )
    print(case, flush=True)  # it is "sent" only now
    store.end_case(case, "agree", latest=number, expected=ok, counted=ok, authenticated=True)
"""


def test_kill_9_of_the_writer_loses_no_case(tmp_path: Path) -> None:
    for attempt in range(3):
        path = tmp_path / str(attempt)
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        sent = [int(writer.stdout.readline()) for _ in range(200)]
        with reading(path) as store:
            assert summarize(store).state == "running"
        time.sleep(0.05 * attempt)
        writer.send_signal(signal.SIGKILL)
        sent += [int(line) for line in writer.stdout.read().split("\n")[:-1] if line]
        writer.wait()

        with reading(path) as store:
            summary = summarize(store)
            for number in (sent[0], sent[-1]):
                stored = store.case(number)
                assert stored.name == f"case {number - 1}"
                assert stored.script == (number - 1).to_bytes(4) * 50
        assert summary.state == "killed"
        (campaign,) = summary.campaigns
        # All that was sent is there; the outcome of none but the last one is missing.
        assert campaign.cases >= len(sent)
        assert campaign.lost <= 1
        assert campaign.authenticated >= len(sent) - 1
        database = sqlite3.connect(path / DATABASE)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def begin(store: Store, campaign: int, name: str, boot: int) -> int:
    return store.begin_case(campaign, boot=boot, name=name, script=b"", earliest=1, creation=0)


def test_verdicts_survive_being_stored() -> None:
    verdicts = Counter({(t, v): n for n, v in enumerate(Verdict, start=1) for t in Transport})
    assert parse_verdicts(verdicts_text(verdicts)) == verdicts
    assert parse_verdicts(verdicts_text(Counter())) == Counter()


def test_findings_of_one_title_are_one(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", **META) as store:
        campaign = store.begin_campaign("stream-record")
        first = begin(store, campaign, "one", 1)
        assert store.add_finding(campaign, first, Finding(FindingKind.CRASH, "BUG", "a", "log"))
        second = begin(store, campaign, "two", 1)
        assert not store.add_finding(campaign, second, Finding(FindingKind.CRASH, "BUG", "b"))
        assert store.add_finding(campaign, second, Finding(FindingKind.HANG, "BUG", "b"))
        found = store.findings()
    assert [(f.first, f.name, f.count, f.finding.detail) for f in found] == [
        (first, "one", 2, "a"), (second, "two", 1, "b"),
    ]  # fmt: skip


def test_history_is_of_the_same_boot(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", **META) as store:
        one, two = (store.begin_campaign(name) for name in ("a", "b"))
        numbers = [
            begin(store, campaign, "case", boot)
            for campaign, boot in ((one, 1), (one, 2), (two, 1), (one, 2), (one, 2))
        ]
        assert [case.id for case in store.before(numbers[-1], 10)] == [numbers[1], numbers[3]]
        assert [case.id for case in store.before(numbers[-1], 1)] == [numbers[3]]


def test_the_summary_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "run"
    bad = Counter({(Transport.DGRAM, Verdict.KID): 2})
    with Store.create(path, **META) as store:
        campaign = store.begin_campaign("dgram-record")
        for expected, counted in ((OK, OK), (OK, OK), (bad, OK)):
            case = begin(store, campaign, "case", 1)
            store.end_case(case, "agree", expected=expected, counted=counted, authenticated=True)
        lost = begin(store, campaign, "deadly", 1)
        store.end_case(lost, "crash")
        store.add_finding(campaign, lost, Finding(FindingKind.CRASH, "BUG: it", "it is"))
        store.time_campaign(campaign, 2.0)
        store.note(ended="finished")
    with reading(path) as store:
        summary = summarize(store)
    data = json.loads(json.dumps(summary.as_json()))
    (only,) = data["campaigns"]
    assert (only["cases"], only["lost"], only["authenticated"]) == (4, 1, 3)
    assert only["cases_per_second"] == 2.0
    assert {(v["verdict"], v["model"], v["module"]) for v in only["verdicts"]} == {
        ("OK", 2, 3), ("KID", 2, 0),
    }  # fmt: skip
    (finding,) = data["findings"]
    assert finding["replay"] == f"nst-fuzz replay {path} {lost}"
    assert data["state"] == "finished"

    root = ElementTree.fromstring(junit(summary))
    (suite,) = root
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == (
        "dgram-record", "2", "1",
    )  # fmt: skip
    ran, failed = suite.findall("testcase")
    assert ran.find("failure") is None
    failure = failed.find("failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == ("crash", "BUG: it")
    assert finding["replay"] in (failure.text or "")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a run"), reading(tmp_path):
        pass
    (tmp_path / DATABASE).write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match=DATABASE), reading(tmp_path):
        pass
    with pytest.raises(StoreError, match="exists already"):
        Store.create(tmp_path)
    with Store.create(tmp_path / "run", **META) as store:
        store.note(version="0")
        with pytest.raises(StoreError, match="version 0"):
            Store.open(tmp_path / "run")
        with pytest.raises(StoreError, match="no case 5"):
            store.case(5)
