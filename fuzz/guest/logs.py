# SPDX-License-Identifier: GPL-2.0-or-later
"""Console logs of guests that belong to no run: the last ones are kept in the cache."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from fuzz.guest import cache

LOGS_KEPT = 20


def new_log() -> Path:
    """Return a path for a console log in the cache, where the last ones are kept."""
    logs = cache.cache_path("logs")
    logs.mkdir(parents=True, exist_ok=True)
    for old in sorted(logs.glob("guest-*.log"))[: -LOGS_KEPT + 1]:
        old.unlink(missing_ok=True)
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return logs / f"guest-{now}-{os.getpid()}.log"
