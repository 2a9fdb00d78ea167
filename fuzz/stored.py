# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run's store gives out: cases, findings, verdicts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fuzz.finding import Finding
from fuzz.oracles.expectation import Verdicts
from nst_scapy.header import Transport
from nst_scapy.verdict import Verdict


@dataclass(frozen=True)
class StoredCase:
    """A case as stored."""

    id: int
    campaign: str
    name: str
    script: bytes
    earliest: int
    creation: int
    expected: str | None
    counted: str | None
    outcome: str | None


@dataclass(frozen=True)
class StoredFinding:
    """A finding as stored."""

    campaign: str
    finding: Finding
    first: int
    name: str
    count: int


def verdicts_text(verdicts: Verdicts) -> str:
    """Verdicts as stored."""
    return ", ".join(
        f"{transport.value} {verdict} {count}"
        for (transport, verdict), count in sorted(
            verdicts.items(), key=lambda entry: (entry[0][0].value, entry[0][1].number)
        )
    )


def parse_verdicts(text: str) -> Verdicts:
    """Read verdicts as stored."""
    verdicts: Verdicts = Counter()
    for part in text.split(", ") if text else ():
        transport, verdict, count = part.split()
        verdicts[Transport(transport), Verdict(verdict)] = int(count)
    return verdicts
