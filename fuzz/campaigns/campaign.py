# SPDX-License-Identifier: GPL-2.0-or-later
"""What a campaign is."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from fuzz.campaigns.steps import CaseRequest
from fuzz.tables import AS_SHIPPED, TableSizes
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict


@dataclass(frozen=True)
class Campaign:
    """A grammar and what it is for.

    Attributes:
        name: as on the command line.
        summary: one line on what it does.
        reaches: the verdicts that it is sure to provoke within a thousand cases.
        requests: the grammar, for a key box and the suites that the guest provides.
        tables: sizes to give the replay tables.
        needs: options of a kernel's configuration without which it is of no use.
        apart: each case is sent alone, as what becomes of it depends on those before.
    """

    name: str
    summary: str
    reaches: tuple[Verdict, ...]
    requests: Callable[[KeyBox, Collection[SuiteId]], list[CaseRequest]]
    tables: TableSizes = AS_SHIPPED
    needs: tuple[str, ...] = ()
    apart: bool = False
