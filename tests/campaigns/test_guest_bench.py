# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark of campaigns drives one guest by both ways."""

from __future__ import annotations

from pathlib import Path

from fuzz.bench import fuzzing
from fuzz.guest.kernel import Kernel


def test_both_ways_into_one_guest(kernel: Kernel, nst_ko: Path) -> None:
    rounds: list[None] = []
    speeds = list(fuzzing.guest(kernel, nst_ko, 1, 6, lambda: rounds.append(None)))
    assert len(rounds) == 1
    assert [speed.name for speed in speeds] == [f"guest, {name}" for name in fuzzing.CAMPAIGNS]
    # boofuzz waited for its answers, but not for one that did not come: that takes 5 s.
    assert all(speed.peer_rates[0] > 6 / 30 for speed in speeds)
    assert all(speed.rates[0] > 0 for speed in speeds)
