# SPDX-License-Identifier: GPL-2.0-or-later
"""What a campaign finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FindingKind(StrEnum):
    """Which oracle spoke."""

    CRASH = "crash"
    """The kernel reported something on the console, or ended."""
    HANG = "hang"
    """The guest or its target no longer answers."""
    DISAGREEMENT = "disagreement"
    """Module and model differ."""
    LEAK = "leak"
    """Cases leave something behind; the one that is named is the last of them."""


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: which oracle spoke.
        title: names the bug; findings of equal kind and title count as one.
        detail: one line on this very case.
        log: the kernel's report, empty if there is none.
    """

    kind: FindingKind
    title: str
    detail: str
    log: str = ""

    @property
    def by_kmemleak(self) -> bool:
        """Whether only kmemleak can show it again; no other oracle has a report of a leak."""
        return self.kind is FindingKind.LEAK and bool(self.log)
