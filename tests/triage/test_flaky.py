# SPDX-License-Identifier: GPL-2.0-or-later
"""What does not come every time: how often to try it, and what a silence is called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.finding import FindingKind
from fuzz.oracles.monitors import Current, LivenessOracle
from fuzz.triage import outside
from fuzz.triage.minimise import repeats


def test_what_comes_every_time_is_tried_once() -> None:
    assert repeats(1.0) == 1


@given(st.floats(0.01, 0.99), st.floats(0.001, 0.5))
def test_tries_are_as_few_as_miss_it_seldom_enough(rate: float, missed: float) -> None:
    count = repeats(rate, missed=missed, most=10**6)
    assert (1 - rate) ** count <= missed * (1 + 1e-9)
    assert (1 - rate) ** (count - 1) > missed * (1 - 1e-9)


def test_what_never_came_is_tried_up_to_the_limit() -> None:
    assert repeats(0.0, most=7) == 7
    assert repeats(0.01, most=7) == 7


@pytest.mark.parametrize(
    ("saved", "lines", "title"),
    [
        (True, 0, outside.LOST_CONNECTION),
        (False, 1, outside.LOST_CONNECTION),
        (False, 0, outside.NO_OUTPUT),
    ],
)
def test_a_guest_that_came_up_as_saved_falls_silent_as_one_that_booted(
    saved: bool, lines: int, title: str
) -> None:
    guest = SimpleNamespace(saved=saved, console=[""] * lines, boot_line=0, alive=lambda: True)
    rig: Any = SimpleNamespace(guest=guest)
    case = Current("a case", 1, lost="no answer")
    finding = LivenessOracle(lambda: case, rig).judge(case)
    assert finding is not None
    assert (finding.kind, finding.title) == (FindingKind.HANG, title)
