# SPDX-License-Identifier: GPL-2.0-or-later
"""Trying cases out: each in a fresh guest, at the time that it was made for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from fuzz.finding import Finding, FindingKind
from fuzz.guest.errors import GuestError
from fuzz.guest.kernel import Kernel
from fuzz.lab import Lab
from fuzz.oracles.monitors import Current, judge_last
from fuzz.replay import needed_age
from fuzz.rig import Lost, Rig
from fuzz.stored import StoredCase
from fuzz.tables import TableSizes
from fuzz.triage.read import Report, read


@dataclass(frozen=True)
class Outcome:
    """What a trial showed: a finding, or nothing."""

    finding: Finding | None

    @property
    def report(self) -> Report | None:
        """The kernel's report, if it made one."""
        return report_of(self.finding) if self.finding else None

    def same(self, wanted: Finding) -> bool:
        """Whether it is the finding that was wanted, if under another of its names."""
        if self.finding is None or self.finding.kind is not wanted.kind:
            return False
        return bool(names_of(self.finding) & names_of(wanted))


def report_of(finding: Finding) -> Report | None:
    """The first kernel report of a finding; `None` if there is none."""
    reports = read(finding.log.encode()) if finding.log else []
    return reports[0] if reports else None


def names_of(finding: Finding) -> set[str]:
    """A finding's title and alternative titles, as they read today."""
    report = report_of(finding) if finding.kind is FindingKind.CRASH else None
    if report is None or report.frame == "corrupted":
        return {finding.title}
    return {report.title, *report.alt_titles}


class Bench:
    """A guest for trials. Use as a context manager."""

    def __init__(
        self,
        kernel: Kernel,
        *,
        module: Path,
        keybox: Path,
        tables: TableSizes,
        kmemleak: bool = False,
    ) -> None:
        """Describe it; the first trial boots the guest. Each asks `kmemleak`, if that is wanted."""
        self._scratch = tempfile.TemporaryDirectory(prefix="nst-triage-")
        self._rig = Rig(
            kernel,
            module=module,
            keybox=keybox,
            workdir=Path(self._scratch.name),
            tables=tables,
            kmemleak=kmemleak,
        )
        self._lab: Lab | None = None
        self._clean = False
        self.keybox = self._rig.keybox
        self.trials = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lab is not None:
            self._rig.__exit__(kind, error, trace)
        self._scratch.cleanup()

    def trial(
        self, case: StoredCase, before: Sequence[StoredCase] = (), *, fresh: bool = True
    ) -> Outcome:
        """Send the cases before and then the case.

        The guest has seen nothing yet; unless it need not be `fresh`, then it may have
        seen cases that showed nothing.

        Raises:
            GuestError: the guest does not come up.
            ScriptError: a case is damaged.
        """
        self.trials += 1
        lab = self._freshened(fresh=fresh or not self._clean)
        self._clean = False
        current = Current(case.name, case.id)
        try:
            self._rig.grow_old(max(needed_age(one) for one in (case, *before)))
            for one in (*before, case):
                lab.set_clock(one.earliest)
                execution = lab.execute(one.script)
            current.execution = execution
        except Lost as error:
            current.lost = str(error)
        judge_last(self._rig, current)
        self._clean = current.finding is None
        return Outcome(current.finding)

    def _freshened(self, *, fresh: bool) -> Lab:
        """The lab, whose guest is another than before, if it has to be `fresh`."""
        if self._lab is None:
            self._lab = Lab(self._rig.__enter__())
        elif fresh:
            try:
                self._lab.restart()
            except GuestError:
                # A busy machine may take too long once.
                self._lab.restart()
        return self._lab
