# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/fuzzing.md: its campaign works, its commands exist, and its tables are complete."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import click
import pytest

from fuzz import planted
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.catalogue import CAMPAIGNS
from fuzz.campaigns.plan import Plan, Planned
from fuzz.campaigns.runner import run_keybox
from fuzz.campaigns.session import context_of
from fuzz.campaigns.values import CaseValues
from fuzz.cli import group
from fuzz.oracles.clock import Interval
from fuzz.oracles.shadow import Moment, Shadow
from fuzz.script import unpack
from nst_scapy.suite import SuiteId

PAGE = Path(__file__).parent.parent.parent / "docs" / "fuzzing.md"
SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_campaign_keeps_its_promise() -> None:
    (block,) = blocks("python")
    assert len([line for line in block.splitlines() if line and "import" not in line]) <= 20
    names: dict[str, object] = {}
    exec(block, names)
    campaign = names["CUT_SHORT"]
    assert isinstance(campaign, Campaign)
    keybox, suites = run_keybox("docs"), list(SuiteId)
    numbers = itertools.count()

    def render(planned: Planned) -> bytes:
        values = CaseValues(str(next(numbers)), sorted(keybox), NOW, NOW - 60 * SECOND)
        return bytes(planned.request.render(context_of(planned, values)))

    model = Shadow(
        keybox, suites, window_ns=30 * SECOND, stream_sessions=65536, dgram_sessions=4096
    )
    moment = Moment(Interval(NOW, NOW), Interval(NOW - 60 * SECOND, NOW - 60 * SECOND))
    reached = set()
    plan = Plan(campaign.requests(keybox, suites), "docs", render)
    for planned in itertools.islice(plan, 200):
        (outcome, *_) = model.judge(unpack(render(planned)), moment)
        reached |= {verdict for _, verdict in outcome.verdicts}
    assert reached >= set(campaign.reaches)


@pytest.mark.parametrize(
    "line", [line for block in blocks("sh") for line in block.splitlines() if line]
)
def test_every_command_exists(line: str) -> None:
    program, name, *rest = shlex.split(line, comments=True)
    assert program == "nst-fuzz"
    command = group.get_command(click.Context(group), name)
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known


def test_the_tables_are_complete() -> None:
    rows = [
        line.split("|")[1].strip(" `") for line in PAGE.read_text().splitlines() if line[:1] == "|"
    ]
    assert set(CAMPAIGNS) <= set(rows)
    assert set(planted.load()) <= set(rows)
