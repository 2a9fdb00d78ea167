# SPDX-License-Identifier: GPL-2.0-or-later
"""All campaigns by name."""

from __future__ import annotations

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.dgram import DGRAM_RECORD
from fuzz.campaigns.stream import STREAM_RECORD
from fuzz.errors import UserError

CAMPAIGNS = {campaign.name: campaign for campaign in (STREAM_RECORD, DGRAM_RECORD)}


def campaign(name: str) -> Campaign:
    """The campaign of a name; UserError if there is none."""
    try:
        return CAMPAIGNS[name]
    except KeyError:
        raise UserError(f"no campaign {name!r}; known: {', '.join(CAMPAIGNS)}") from None
