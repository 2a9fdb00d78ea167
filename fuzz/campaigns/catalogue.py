# SPDX-License-Identifier: GPL-2.0-or-later
"""All campaigns by name."""

from __future__ import annotations

from pathlib import Path

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.control_plane import CONTROL_PLANE
from fuzz.campaigns.dgram import DGRAM_RECORD
from fuzz.campaigns.dgram_ip import DGRAM_IP
from fuzz.campaigns.keys import KEYS
from fuzz.campaigns.memory_pressure import MEMORY_PRESSURE
from fuzz.campaigns.options import OPTIONS
from fuzz.campaigns.receive_api import RECEIVE_API
from fuzz.campaigns.replay import REPLAY
from fuzz.campaigns.send_api import SEND_API
from fuzz.campaigns.stream import STREAM_RECORD
from fuzz.campaigns.stream_initiator import STREAM_INITIATOR
from fuzz.campaigns.stream_lifecycle import STREAM_LIFECYCLE
from fuzz.campaigns.stream_segments import STREAM_SEGMENTS
from fuzz.campaigns.waiting import WAITING
from fuzz.corpus.mutants import NAME, mutants
from fuzz.corpus.run import start_of
from fuzz.errors import UserError
from fuzz.guest.errors import SetupError
from fuzz.guest.kernel import Kernel

CAMPAIGNS = {
    campaign.name: campaign
    for campaign in (
        STREAM_RECORD,
        STREAM_SEGMENTS,
        STREAM_LIFECYCLE,
        STREAM_INITIATOR,
        DGRAM_RECORD,
        DGRAM_IP,
        REPLAY,
        KEYS,
        RECEIVE_API,
        SEND_API,
        CONTROL_PLANE,
        MEMORY_PRESSURE,
        OPTIONS,
        WAITING,
    )
}


MUTANTS = NAME
"""The campaign that needs a corpus to start from; not one of the others."""


def fitting(kernel: Kernel) -> tuple[list[Campaign], list[Campaign]]:
    """All campaigns that a kernel can run, and those that need another one."""
    fit = [one for one in CAMPAIGNS.values() if not kernel.lacks(one.needs)]
    return fit, [one for one in CAMPAIGNS.values() if one not in fit]


def check_kernel(one: Campaign, kernel: Kernel) -> None:
    """Raise SetupError if a kernel lacks what a campaign needs."""
    if lacking := kernel.lacks(one.needs):
        raise SetupError(
            f"kernel {kernel.name} has no {lacking[0]}, which {one.name} needs;"
            " use --kernel sanitizer-6.12"
        )


def campaign(name: str, run: Path | None = None) -> Campaign:
    """The campaign of a name, in a run that may have a corpus; UserError if there is none."""
    if name == MUTANTS:
        return mutants(None if run is None else start_of(run))
    try:
        return CAMPAIGNS[name]
    except KeyError:
        known = ", ".join((*CAMPAIGNS, MUTANTS))
        raise UserError(f"no campaign {name!r}; known: {known}") from None
