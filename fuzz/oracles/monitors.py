# SPDX-License-Identifier: GPL-2.0-or-later
"""The oracles as boofuzz monitors: each looks at the case that was just carried out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from boofuzz import BaseMonitor

from fuzz.finding import Finding, FindingKind
from fuzz.lab import Execution, Lab
from fuzz.oracles import console
from fuzz.triage import outside

_REPORT_SECONDS = 5.0


@dataclass
class Current:
    """The case at hand.

    Attributes:
        name: of the case.
        number: in the store.
        execution: `None` if it could not be carried out to its end.
        lost: why not.
        finding: what an oracle found; the first that speaks has it.
    """

    name: str
    number: int
    execution: Execution | None = None
    lost: str = ""
    finding: Finding | None = None


class Oracle(BaseMonitor):  # type: ignore[misc]
    """Judges the case at hand."""

    def __init__(self, current: Callable[[], Current]) -> None:
        super().__init__()
        self._current = current

    def post_send(self, *_: Any, **__: Any) -> bool:
        """boofuzz's hook: False if the case is a finding."""
        case = self._current()
        if case.finding is not None:
            return True  # told by another oracle
        case.finding = self.judge(case)
        return case.finding is None

    def get_crash_synopsis(self) -> str:
        """boofuzz's hook: the finding in words."""
        finding = self._current().finding
        return f"{finding.kind}: {finding.title}" if finding else ""

    def judge(self, case: Current) -> Finding | None:
        """What it finds."""
        raise NotImplementedError


class ConsoleOracle(Oracle):
    """Kernel reports."""

    def __init__(self, current: Callable[[], Current], lab: Lab) -> None:
        super().__init__(current)
        self._lab = lab

    def judge(self, case: Current) -> Finding | None:
        """A finding if the kernel reported something or tainted itself."""
        report = self._lab.reports.look()
        # Console lines come later than replies; taint and silence say that some are due.
        deadline = time.monotonic() + _REPORT_SECONDS
        while not report and (case.lost or self._lab.tainted) and time.monotonic() < deadline:
            time.sleep(0.1)
            report = self._lab.reports.look()
        if report:
            time.sleep(0.5)
            report += self._lab.reports.rest()
            log = "\n".join(line.text for line in report[: console.CONTEXT_LINES])
            return Finding(FindingKind.CRASH, console.title(report), report[0].text, log)
        if self._lab.tainted:
            return Finding(FindingKind.CRASH, outside.TAINTED, "without a report")
        return None


class LivenessOracle(Oracle):
    """Guest and target still answer."""

    def __init__(self, current: Callable[[], Current], lab: Lab) -> None:
        super().__init__(current)
        self._lab = lab

    def judge(self, case: Current) -> Finding | None:
        """A finding if the case was lost."""
        if not case.lost:
            return None
        if self._lab.guest.alive():
            return Finding(FindingKind.HANG, self._silence(), case.lost)
        return Finding(FindingKind.CRASH, outside.QEMU_ENDED, case.lost)

    def _silence(self) -> str:
        """What to call it that nothing answers."""
        said = len(self._lab.guest.console) > self._lab.guest.boot_line
        return outside.LOST_CONNECTION if said else outside.NO_OUTPUT


class VerdictOracle(Oracle):
    """Module and model agree."""

    def judge(self, case: Current) -> Finding | None:
        """A finding if they do not."""
        if case.execution is None or case.execution.difference is None:
            return None
        difference = case.execution.difference
        return Finding(FindingKind.DISAGREEMENT, difference.signature, difference.text)


def oracles_of(lab: Lab, current: Callable[[], Current]) -> list[Oracle]:
    """All oracles of a lab, in the order in which they are asked."""
    return [ConsoleOracle(current, lab), LivenessOracle(current, lab), VerdictOracle(current)]
