# SPDX-License-Identifier: GPL-2.0-or-later
"""The epochs that a campaign seals under, and its model opens soon after."""

from __future__ import annotations

import functools

from nst_scapy.epoch import Epoch
from nst_scapy.header import KeyParams


@functools.lru_cache(512)
def derived(key: bytes, params: KeyParams, session_id: int) -> Epoch:
    """An epoch, as `Epoch` is made; the records of the cases under way share a few."""
    return Epoch(key, params, session_id)
