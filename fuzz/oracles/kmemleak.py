# SPDX-License-Identifier: GPL-2.0-or-later
"""What kmemleak tells of the module in a guest, as the target program passes it on.

kmemleak searches the kernel's memory for pointers to each object that was allocated. So it finds
a single one that is lost, and knows who asked for it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from fuzz.guest.kmemleak import FILE, SCAN_PAUSE_SECONDS, SCANS
from fuzz.target.client import TargetClient
from fuzz.triage.read import read


@dataclass(frozen=True)
class Losses:
    """Memory of the module's that nobody refers to.

    Attributes:
        objects: how many there are.
        title: names who allocated the first; empty if there is none.
        report: what kmemleak says of it.
    """

    objects: int
    title: str = ""
    report: str = ""

    @classmethod
    def parse(cls, text: str) -> Losses:
        """Read what the target program tells.

        Raises:
            ValueError: it does not begin with a number, or no report follows.
        """
        number, _, report = text.partition("\n")
        if not (objects := int(number)):
            return cls(0)
        reports = read(report.encode())
        if not reports:
            raise ValueError(f"no report of kmemleak: {report[:80]!r}")
        return cls(objects, reports[0].title, report)


def search(client: TargetClient, timeout: float) -> Losses:
    """Have kmemleak search a guest that has nothing to do; `timeout` is in seconds, of a scan.

    Raises:
        TargetSilent: no reply in time.
        TargetRefused: kmemleak is off, or has given up.
    """
    client.holdings(timeout)  # what waits for a grace period is freed
    for _ in range(SCANS):
        time.sleep(SCAN_PAUSE_SECONDS)
        client.write(FILE, b"scan", timeout)
    return Losses.parse(client.lost_memory(timeout))
