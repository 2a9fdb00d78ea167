# SPDX-License-Identifier: GPL-2.0-or-later
"""How often to try what does not come every time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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
