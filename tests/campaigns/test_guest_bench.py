# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark of campaigns drives one guest by both ways."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from fuzz.bench import fuzzing
from fuzz.campaigns.catalogue import CAMPAIGNS
from fuzz.campaigns.plan import Plan
from fuzz.campaigns.runner import run_keybox
from fuzz.campaigns.session import context_of
from fuzz.campaigns.values import canonical
from fuzz.guest.kernel import Kernel
from fuzz.script import Action, unpack
from nst_scapy.suite import SuiteId


def test_both_ways_into_one_guest(kernel: Kernel, nst_ko: Path) -> None:
    rounds: list[None] = []
    speeds = list(fuzzing.guest(kernel, nst_ko, 1, 60, lambda: rounds.append(None)))
    assert len(rounds) == 1
    assert [speed.name for speed in speeds] == [f"guest, {name}" for name in fuzzing.CAMPAIGNS]
    # boofuzz waited for its answers, but not for one that did not come: that takes 5 s.
    assert all(speed.peer_rates[0] > 60 / 300 for speed in speeds)
    assert all(speed.rates[0] > 0 for speed in speeds)


@pytest.mark.parametrize("name", fuzzing.CAMPAIGNS)
def test_a_case_sends_as_often_as_the_peer_s(name: str) -> None:
    keybox = run_keybox("bench")
    fixed = canonical(sorted(keybox))
    sent = opened = 0
    requests = CAMPAIGNS[name].requests(keybox, [SuiteId.AES_GCM, SuiteId.AES_CBC])
    plan = Plan(requests, "bench", lambda planned: planned.name.encode())
    for planned in itertools.islice(plan, 1000):
        steps = unpack(planned.request.render(context_of(planned, fixed.fresh())))
        sent += sum(step.action in (Action.SEGMENT, Action.DATAGRAM) for step in steps)
        opened += sum(step.action is Action.CONNECT for step in steps)
    assert round(sent / 1000) >= fuzzing.CAMPAIGNS[name]
    assert opened > 1000 or not opened
