# SPDX-License-Identifier: GPL-2.0-or-later
"""The sizes of a guest's replay tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TableSizes:
    """Entries in the DGRAM and in the STREAM table; `None` leaves the module's default.

    Small ones fill and evict within a short campaign.
    """

    dgram: int | None = None
    stream: int | None = None


AS_SHIPPED = TableSizes()
"""The module's defaults."""
