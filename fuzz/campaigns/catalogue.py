# SPDX-License-Identifier: GPL-2.0-or-later
"""All campaigns by name."""

from __future__ import annotations

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.dgram import DGRAM_RECORD
from fuzz.campaigns.dgram_ip import DGRAM_IP
from fuzz.campaigns.keys import KEYS
from fuzz.campaigns.receive_api import RECEIVE_API
from fuzz.campaigns.replay import REPLAY
from fuzz.campaigns.send_api import SEND_API
from fuzz.campaigns.stream import STREAM_RECORD
from fuzz.campaigns.stream_lifecycle import STREAM_LIFECYCLE
from fuzz.campaigns.stream_segments import STREAM_SEGMENTS
from fuzz.errors import UserError

CAMPAIGNS = {
    campaign.name: campaign
    for campaign in (
        STREAM_RECORD,
        STREAM_SEGMENTS,
        STREAM_LIFECYCLE,
        DGRAM_RECORD,
        DGRAM_IP,
        REPLAY,
        KEYS,
        RECEIVE_API,
        SEND_API,
    )
}


def campaign(name: str) -> Campaign:
    """The campaign of a name; UserError if there is none."""
    try:
        return CAMPAIGNS[name]
    except KeyError:
        raise UserError(f"no campaign {name!r}; known: {', '.join(CAMPAIGNS)}") from None
