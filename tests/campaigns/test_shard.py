# SPDX-License-Identifier: GPL-2.0-or-later
"""A shard's cases: those that are sent together, and those of a guest that somebody kills."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

from fuzz.campaigns.catalogue import CAMPAIGNS
from fuzz.campaigns.progress import Limits, Past, Shard
from fuzz.campaigns.runner import run_keybox
from fuzz.campaigns.shard import ShardRun
from fuzz.finding import Finding, FindingKind
from fuzz.oracles.compare import Difference
from fuzz.oracles.monitors import VerdictOracle
from fuzz.store import Store
from fuzz.stored import reading
from fuzz.together import ALONE
from nst_scapy.header import Transport
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

SHARD = Shard("dgram-record")
DONE = SimpleNamespace(
    seen=SimpleNamespace(verdicts=Counter()),
    expected=SimpleNamespace(each=[Counter()]),
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
    overlaps = True

    def __init__(self) -> None:
        self.boots = 1
        self.asked_in_vain = False

    @property
    def killed(self) -> bool:
        return self.asked_in_vain and self.boots == 1

    def now(self) -> int:
        return 10**18

    def share(self, script: bytes) -> float:
        return ALONE

    def prepare(self, *scripts: bytes) -> tuple[bytes, ...]:
        return scripts

    def take_off(self, flight: tuple[bytes, ...]) -> None:
        pass

    def touch_down(self, flight: tuple[bytes, ...]) -> None:
        raise AssertionError("each of them is alone")

    def land(self, flight: tuple[bytes, ...], *, followed: bool) -> SimpleNamespace:
        assert not followed
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

    def asks(self, cases: int) -> bool:
        return False

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


class Crowd:
    """A lab without a guest that takes eight cases at a time, and finds fault with some."""

    keybox = run_keybox("shard")
    suites = frozenset(SuiteId)
    creation = 1
    crowded = killed = False
    overlaps = True

    def __init__(self, wrong: Callable[[Sequence[bytes]], bool]) -> None:
        self.boots = 1
        self.batches: list[int] = []
        self.under_way: list[tuple[bytes, ...]] = []
        self.down = 0
        self._wrong = wrong

    def now(self) -> int:
        return 10**18

    def share(self, script: bytes) -> float:
        return 1 / 8

    def prepare(self, *scripts: bytes) -> tuple[bytes, ...]:
        # While one batch is under way the next is made ready, and no third.
        assert len(self.under_way) <= 1
        return scripts

    def take_off(self, flight: tuple[bytes, ...]) -> None:
        self.batches.append(len(flight))
        assert len(self.under_way) == self.down
        self.under_way.append(flight)

    def touch_down(self, flight: tuple[bytes, ...]) -> None:
        assert self.under_way == [flight]
        self.down = 1

    def land(self, flight: tuple[bytes, ...], *, followed: bool) -> SimpleNamespace:
        assert self.under_way.pop(0) == flight
        self.down = 0
        assert bool(self.under_way) == followed
        verdicts = [Counter({(Transport.DGRAM, Verdict.OK): len(script)}) for script in flight]
        return SimpleNamespace(
            seen=SimpleNamespace(verdicts=sum(verdicts, Counter())),
            expected=SimpleNamespace(each=verdicts),
            difference=Difference("wrong", "it is") if self._wrong(flight) else None,
            moment=SimpleNamespace(judged=SimpleNamespace(latest=2)),
            strict=True,
            taken=None,
        )

    def restart(self) -> None:
        self.boots += 1
        self.under_way.clear()
        self.down = 0


def run_crowd(path: Path, lab: Crowd, cases: int) -> list[tuple[str, str, str, bytes]]:
    """Run cases; each one's name, outcome, verdicts as counted, and bytes."""
    watcher = SimpleNamespace(
        booting=lambda *_, **__: None, progress=lambda *_: None, found=lambda *_: None
    )
    with Store.create(path, seed="s", kernel_name="debian-6.12") as store:
        ShardRun(
            store, CAMPAIGNS[SHARD.campaign], SHARD, lab,
            oracles=lambda current: [VerdictOracle(current)],
            seed="s", limits=Limits(cases=cases), watcher=watcher, past=Past(),
        ).run()  # fmt: skip
        return list(store.select("SELECT name, outcome, counted, script FROM cases ORDER BY id"))


def test_of_a_batch_the_case_is_found_that_is_wrong_alone(tmp_path: Path) -> None:
    right = Crowd(lambda _: False)
    cases = run_crowd(tmp_path / "right", right, 30)
    assert right.batches == [8, 8, 8, 6]
    assert right.boots == 1
    # Which of them was counted as what is known apart.
    assert [counted for *_, counted, _ in cases] == [
        f"dgram OK {len(script)}" if script else "" for *_, script in cases
    ]

    culprit = cases[11][3]
    wrong = Crowd(lambda flight: culprit in flight)
    found = run_crowd(tmp_path / "wrong", wrong, 30)
    assert [name for name, *_ in found] == [name for name, *_ in cases]
    assert [index for index, case in enumerate(found) if case[1] == "disagreement"] == [11]
    # The third batch was under way when the second was judged, and was sent anew.
    assert wrong.batches == [8, 8, 8, *[1] * 8, 8, 6]
    assert wrong.boots == 2
    with reading(tmp_path / "wrong") as store:
        (finding,) = store.findings()
    assert (finding.name, finding.finding.detail) == (cases[11][0], "it is")


def test_what_only_cases_together_show_is_not_lost(tmp_path: Path) -> None:
    lab = Crowd(lambda flight: len(flight) > 1)
    cases = run_crowd(tmp_path / "run", lab, 16)
    assert [case[1] for case in cases] == [*["agree"] * 7, "disagreement"] * 2
    assert len({name for name, *_ in cases}) == 16
    with reading(tmp_path / "run") as store:
        (finding,) = store.findings()
    assert finding.count == 2
    assert "none of them showed it alone" in finding.finding.detail
