# SPDX-License-Identifier: GPL-2.0-or-later
"""What grows from batch to batch is a leak; what comes and goes is none."""

from __future__ import annotations

import pytest

from fuzz.oracles.counters import Counters
from fuzz.oracles.leaks import BATCH, Holdings, Leak, leak_in
from fuzz.oracles.monitors import Current, LeakOracle
from nst_scapy.verdict import Verdict

COUNTERS = Counters.parse(
    "verdict stream dgram stream_local_in dgram_local_in\n"
    + "".join(f"{verdict.value} 0 0 0 0\n" for verdict in Verdict)
    + "stream_sessions 70\ndgram_sessions 5\n"
)


def readings(name: str, *numbers: int) -> list[Holdings]:
    return [Holdings({name: number, "sockets": 9}) for number in numbers]


@pytest.mark.parametrize(
    ("numbers", "grown"),
    [
        ((100, 200, 300), (100, 100)), ((0, 100, 200, 230), (100, 30)),
        ((100, 200), None), ((100, 200, 200), None), ((100, 100, 200), None),
        ((300, 200, 100), None), ((100, 110, 120), None),
    ],
)  # fmt: skip
def test_what_two_batches_leave_behind(
    numbers: tuple[int, ...], grown: tuple[int, ...] | None
) -> None:
    expected = None if grown is None else Leak("kmalloc-512", grown)
    assert leak_in(readings("kmalloc-512", *numbers)) == expected


def test_longer_batches_have_to_leave_more_behind() -> None:
    def after(*numbers: int) -> list[Holdings]:
        cases = (0, BATCH, 3 * BATCH)
        return [Holdings({"TCP": n}, case) for n, case in zip(numbers, cases, strict=True)]

    fifth = BATCH // 5
    assert leak_in(after(0, fifth, 2 * fifth)) is None
    assert leak_in(after(0, fifth, 3 * fifth + 1)) == Leak("TCP", (fifth, 2 * fifth + 1))


def test_sizes_have_to_grow_by_records() -> None:
    assert leak_in(readings("unreclaimable", 0, BATCH, 2 * BATCH)) is None
    leak = leak_in(readings("unreclaimable", 0, 16 * BATCH, 32 * BATCH))
    assert leak is not None
    objects = [Holdings({"unreclaimable": n * 4000, "TCP": n * 40}) for n in range(3)]
    leak = leak_in(objects)
    assert leak is not None
    assert leak.name == "TCP"


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("kmalloc-cg-64 100\nkmalloc-64 50\n", {"kmalloc-cg-64": 30, "kmalloc-64": 50}),
        ("kmalloc-64 100\n", {"kmalloc-64": 30}),
    ],
)
def test_replay_tables_are_not_a_leak(text: str, counts: dict[str, int]) -> None:
    held = Holdings.parse("sockets 9\nkmalloc-256 5\n" + text, COUNTERS)
    assert {name: held.counts[name] for name in counts} == counts
    assert held.counts["kmalloc-256"] == 0


def test_a_line_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        Holdings.parse("sockets many\n", COUNTERS)


def test_a_kernel_that_keeps_what_was_freed_has_to_show_it_once_more() -> None:
    kept = readings("kmalloc-64", 0, 83, 112, 113)
    assert leak_in(kept[:3]) == Leak("kmalloc-64", (83, 29))
    assert leak_in(kept[:3], hoards=True) is None
    assert leak_in(kept, hoards=True) is None
    leaks = readings("kmalloc-64", 0, BATCH, 2 * BATCH, 3 * BATCH)
    assert leak_in(leaks, hoards=True) == Leak("kmalloc-64", (BATCH, BATCH, BATCH))


class Guest:
    """A guest that keeps some objects of every case, and some more until they are freed."""

    boots = 1
    hoards = False

    def __init__(self, kept: int) -> None:
        self.cases = 0
        self.asked: list[tuple[int, bool]] = []
        self._kept = kept

    def holdings(self, *, at_once: bool = False) -> Holdings:
        self.asked.append((self.cases, at_once))
        return Holdings({"TCP": 100 + self.cases * self._kept + (7 if at_once else 0)})


def findings(guest: Guest, cases: int, together: int = 1) -> list[tuple[int, str]]:
    """After how many cases the oracle speaks, and what it says."""
    current = Current("", 0, cases=together)
    oracle = LeakOracle(lambda: current, guest)  # type: ignore[arg-type]
    found = []
    while guest.cases < cases:
        due = oracle.asks(together)
        asked = len(guest.asked)
        guest.cases += together
        finding = oracle.judge(current)
        assert due == (len(guest.asked) > asked)
        if finding is not None:
            found.append((guest.cases, finding.detail))
    return found


def test_a_guest_is_asked_exactly_only_where_something_grew() -> None:
    guest = Guest(kept=0)
    assert findings(guest, 5000) == []
    assert [cases for cases, at_once in guest.asked if at_once] == [
        32, 160, 288, 544, 1056, 2080, 4128,
    ]  # fmt: skip
    assert [cases for cases, at_once in guest.asked if not at_once] == [32]


@pytest.mark.parametrize(("together", "at"), [(1, 288), (24, 288), (20, 300)])
def test_a_leak_is_found(monkeypatch: pytest.MonkeyPatch, together: int, at: int) -> None:
    monkeypatch.setattr("fuzz.oracles.monitors._LATE_SECONDS", 0)
    first, *_ = findings(Guest(kept=1), 600, together)
    assert first[0] == at
    assert first[1].startswith("TCP: 1")
