# SPDX-License-Identifier: GPL-2.0-or-later
"""The module's counters, /proc/net/nst_stat."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

STAT = Path("/proc/net/nst_stat")


def read() -> Counter[str]:
    """All of it: ``stream.OK``, ``dgram_local_in.MAGIC``, ``multicast``, ..."""
    title, *lines = STAT.read_text().splitlines()
    columns = title.split()[1:]
    counters: Counter[str] = Counter()
    for line in lines:
        name, *values = line.split()
        if len(values) == len(columns):
            counters.update({f"{c}.{name}": int(v) for c, v in zip(columns, values, strict=True)})
        else:
            counters[name] = int(values[0])
    return counters


class Counted:
    """What has been counted since it was made, verdicts and multicast."""

    def __init__(self) -> None:
        self._before = read()

    def so_far(self) -> dict[str, int]:
        return {
            name: count
            for name, count in (read() - self._before).items()
            if "." in name or name == "multicast"
        }

    def expect(self, timeout_s: float = 10.0, **columns: dict[str, int]) -> None:
        """Wait until exactly these were counted, e.g. ``stream={"OK": 2}``."""
        wanted = {
            f"{column}.{name}": count
            for column, names in columns.items()
            for name, count in names.items()
        }
        end = time.monotonic() + timeout_s
        while (found := self.so_far()) != wanted and time.monotonic() < end:
            time.sleep(0.02)
        assert found == wanted
