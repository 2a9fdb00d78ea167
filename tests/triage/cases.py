# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of campaigns, as they would be stored."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from fuzz.binding import heard
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.plan import Plan, Planned
from fuzz.campaigns.session import context_of
from fuzz.campaigns.values import CaseValues
from fuzz.script import Action, Step
from nst_scapy.epoch import bound
from nst_scapy.header import TOKEN_LEN, TOKEN_OFFSET
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId

NOW = 1_800_000_000_000_000_000
"""When they are sent, ns since 1970."""


def told(steps: Sequence[Step], box: KeyBox) -> list[Step]:
    """Steps as if the guest had sent the same token first on every connection of its own."""
    token = bytes(range(TOKEN_LEN))
    records = [bound(step.data, token, box) for step in steps if step.action is Action.BIND]
    (done,) = heard([steps], records, itertools.repeat(bytes(TOKEN_OFFSET) + token))
    return done


def scripts(campaign: Campaign, box: KeyBox) -> Iterator[bytes]:
    """The cases of a campaign, in order."""
    requests = campaign.requests(box, list(SuiteId))

    def render(planned: Planned) -> bytes:
        values = CaseValues(f"seed|{planned.elements}", sorted(box), NOW, NOW - 10**9)
        script: bytes = planned.request.render(context_of(planned, values))
        return script

    for planned in Plan(requests, "records", render):
        yield render(planned)
