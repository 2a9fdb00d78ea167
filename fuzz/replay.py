# SPDX-License-Identifier: GPL-2.0-or-later
"""Sending a stored case to a fresh guest, at the time it was made for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzz.finding import Finding
from fuzz.guest.kernel import Kernel
from fuzz.lab import Lab
from fuzz.oracles.monitors import Current, judge_last
from fuzz.oracles.shadow import timestamps
from fuzz.rig import Lost, Rig
from fuzz.script import described, unpack
from fuzz.store import KEYBOX
from fuzz.stored import StoredCase, verdicts_text
from fuzz.tables import TableSizes
from nst_scapy.replay import DEFAULT_WINDOW_NS

_MARGIN_NS = 100_000_000


@dataclass(frozen=True)
class Replay:
    """What came of it; verdicts as stored, `None` if the guest was lost."""

    case: StoredCase
    steps: list[str]
    expected: str | None
    counted: str | None
    finding: Finding | None
    console: list[str]


def replay(
    case: StoredCase,
    before: Sequence[StoredCase],
    *,
    run: Path,
    kernel: Kernel,
    module: Path,
    workdir: Path,
    tables: TableSizes,
    kmemleak: bool = False,
) -> Replay:
    """Boot a guest, send the cases before and then the case; ask `kmemleak` what they lost.

    Raises:
        GuestError: the guest does not come up.
        ScriptError: a stored case is damaged.
    """
    current = Current(case.name, case.id)
    rig = Rig(
        kernel,
        module=module,
        keybox=run / KEYBOX,
        workdir=workdir,
        tables=tables,
        kmemleak=kmemleak,
    )
    with rig:
        lab = Lab(rig)
        shown = len(rig.guest.console)
        try:
            rig.grow_old(max(needed_age(one) for one in (case, *before)))
            for earlier in before:
                lab.set_clock(earlier.earliest)
                lab.execute(earlier.script)
            shown = len(rig.guest.console)
            lab.set_clock(case.earliest)
            current.execution = lab.execute(case.script)
        except Lost as error:
            current.lost = str(error)
        judge_last(rig, current)
        printed = [line.text for line in rig.guest.console.since(shown)]
    execution = current.execution
    return Replay(
        case,
        _described(case.script),
        verdicts_text(execution.expected.verdicts) if execution else None,
        verdicts_text(execution.seen.verdicts) if execution else None,
        current.finding,
        printed,
    )


def needed_age(case: StoredCase) -> int:
    """How old the replay tables must be to refuse no more of a case than they did, ns.

    What was sealed before the tables were made is refused (specification, section 9), and a
    fresh guest's tables are younger than those that the case met.
    """
    met = [
        case.earliest - timestamp
        for timestamp in timestamps(unpack(case.script))
        if case.creation < timestamp <= case.earliest
    ]
    # Beyond the window no age helps.
    return max((age for age in met if age <= DEFAULT_WINDOW_NS), default=0) + _MARGIN_NS


def _described(script: bytes) -> list[str]:
    return [described(step) for step in unpack(script)]
