# SPDX-License-Identifier: GPL-2.0-or-later
"""A shard goes on when somebody kills its guest, whatever the runner was doing then."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

from fuzz.campaigns.catalogue import CAMPAIGNS
from fuzz.campaigns.progress import Limits, Past, Shard
from fuzz.campaigns.runner import run_keybox
from fuzz.campaigns.shard import ShardRun
from fuzz.finding import Finding, FindingKind
from fuzz.store import Store
from nst_scapy.suite import SuiteId

SHARD = Shard("dgram-record")
DONE = SimpleNamespace(
    seen=SimpleNamespace(verdicts=Counter()),
    expected=SimpleNamespace(verdicts=Counter()),
    moment=SimpleNamespace(judged=SimpleNamespace(latest=2)),
    strict=True,
    taken=None,
)


class KilledLab:
    """A lab without a guest, which tells of one that was killed until it is booted anew."""

    keybox = run_keybox("shard")
    suites = frozenset(SuiteId)
    creation = 1
    crowded = False

    def __init__(self) -> None:
        self.boots = 1
        self.asked_in_vain = False

    @property
    def killed(self) -> bool:
        return self.asked_in_vain and self.boots == 1

    def now(self) -> int:
        return 10**18

    def launch(self, script: bytes) -> bytes:
        return script

    def land(self, flight: bytes) -> SimpleNamespace:
        return DONE

    def restart(self) -> None:
        self.boots += 1


class Asking:
    """An oracle that finds the guest silent when it asks after the second case."""

    def __init__(self, current, lab: KilledLab) -> None:
        self.current, self.lab, self.cases = current, lab, []

    def post_send(self) -> None:
        case = self.current()
        self.cases.append(case.name)
        if len(self.cases) == 2:
            self.lab.asked_in_vain = True
            case.lost = "no answer"
            case.finding = Finding(FindingKind.HANG, "lost connection", "no answer")

    def conclude(self) -> None:
        return None


def test_a_guest_killed_while_an_oracle_asks_it_is_no_finding(tmp_path: Path) -> None:
    lab, asking = KilledLab(), []

    def oracles(current):
        asking.append(Asking(current, lab))
        return asking

    watcher = SimpleNamespace(
        booting=lambda *_, **__: None, progress=lambda *_: None, found=lambda *_: None
    )
    with Store.create(tmp_path / "run", seed="s", kernel_name="debian-6.12") as store:
        ShardRun(
            store, CAMPAIGNS[SHARD.campaign], SHARD, lab, oracles=oracles,
            seed="s", limits=Limits(cases=4), watcher=watcher, past=Past(),
        ).run()  # fmt: skip
        assert store.findings() == []
        names = [name for (name,) in store.select("SELECT name FROM cases ORDER BY id")]
    # The second case was run again, in a fresh guest, and is there once.
    assert lab.boots == 2
    assert len(set(names)) == len(names) == 4
    assert asking[0].cases[1] == asking[0].cases[2]
