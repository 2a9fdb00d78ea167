# SPDX-License-Identifier: GPL-2.0-or-later
"""The oracles as boofuzz monitors: each looks at the case that was just carried out."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from boofuzz import BaseMonitor

from fuzz.finding import Finding, FindingKind
from fuzz.flight import Execution
from fuzz.oracles import console
from fuzz.oracles.leaks import BATCH, MOST, WARM_UP, Holdings, grown, leak_in
from fuzz.rig import Lost, Rig
from fuzz.triage import outside

_REPORT_SECONDS = 5.0
_LATE_SECONDS = 6.0
"""What the kernel frees in batches (kfree_rcu) may wait so long."""


@dataclass
class Current:
    """The case at hand.

    Attributes:
        name: of the case.
        number: in the store.
        execution: `None` if it could not be carried out to its end.
        lost: why not.
        finding: what an oracle found; the first that speaks has it.
        cases: how many there are, if several are at hand; name and number are the last one's.
    """

    name: str
    number: int
    execution: Execution | None = None
    lost: str = ""
    finding: Finding | None = None
    cases: int = 1


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

    def asks(self, cases: int) -> bool:
        """Whether it will ask the guest something when so many more cases are judged."""
        return False

    def conclude(self) -> Finding | None:
        """What it finds when there are no more cases.

        Raises:
            Lost: the guest or the target does not answer.
        """
        return None


class ConsoleOracle(Oracle):
    """Kernel reports."""

    def __init__(self, current: Callable[[], Current], rig: Rig) -> None:
        super().__init__(current)
        self._rig = rig

    def judge(self, case: Current) -> Finding | None:
        """A finding if the kernel reported something or tainted itself."""
        report = self._rig.reports.look()
        # Console lines come later than replies; taint and silence say that some are due.
        deadline = time.monotonic() + _REPORT_SECONDS
        while not report and (case.lost or self._rig.tainted) and time.monotonic() < deadline:
            time.sleep(0.1)
            report = self._rig.reports.look()
        if report:
            time.sleep(0.5)
            report += self._rig.reports.rest()
            log = "\n".join(line.text for line in report[: console.CONTEXT_LINES])
            return Finding(FindingKind.CRASH, console.title(report), report[0].text, log)
        if self._rig.tainted:
            return Finding(FindingKind.CRASH, outside.TAINTED, "without a report")
        return None


class LivenessOracle(Oracle):
    """Guest and target still answer."""

    def __init__(self, current: Callable[[], Current], rig: Rig) -> None:
        super().__init__(current)
        self._rig = rig

    def judge(self, case: Current) -> Finding | None:
        """A finding if the case was lost."""
        if not case.lost:
            return None
        if self._rig.guest.alive():
            return Finding(FindingKind.HANG, self._silence(), case.lost)
        return Finding(FindingKind.CRASH, outside.QEMU_ENDED, case.lost)

    def _silence(self) -> str:
        """What to call it that nothing answers."""
        guest = self._rig.guest
        # What came up as it was saved has said its part before.
        said = guest.saved or len(guest.console) > guest.boot_line
        return outside.LOST_CONNECTION if said else outside.NO_OUTPUT


class VerdictOracle(Oracle):
    """Module and model agree."""

    def judge(self, case: Current) -> Finding | None:
        """A finding if they do not."""
        if case.execution is None or case.execution.difference is None:
            return None
        difference = case.execution.difference
        return Finding(FindingKind.DISAGREEMENT, difference.signature, difference.text)


class LeakOracle(Oracle):
    """Nothing grows from batch to batch."""

    def __init__(self, current: Callable[[], Current], rig: Rig) -> None:
        super().__init__(current)
        self._rig = rig
        self._cases = 0
        self._boot = 0
        self._due = WARM_UP
        self._readings: list[Holdings] = []
        self._quick = Holdings({})

    def asks(self, cases: int) -> bool:
        """Whether a reading is due."""
        if self._boot != self._rig.boots:
            return cases >= WARM_UP
        return self._cases + cases >= self._due

    def judge(self, case: Current) -> Finding | None:
        """A finding at the end of a batch if it left behind as much as the one before."""
        if case.lost:
            return None
        if self._boot != self._rig.boots:
            self._boot, self._cases, self._readings = self._rig.boots, 0, []
            self._due = WARM_UP
        self._cases += case.cases
        if self._cases < self._due:
            return None
        # As many cases again as there were, but for the first readings and in the long run.
        self._due += min(max(BATCH, self._due - WARM_UP), MOST)
        try:
            return self._read()
        except Lost as error:
            case.lost = str(error)
            return Finding(FindingKind.HANG, outside.LOST_CONNECTION, case.lost)

    def conclude(self) -> Finding | None:
        """A finding if the last batch, which may be a short one, shows a leak."""
        return self._read() if self._readings and self._boot == self._rig.boots else None

    def _read(self) -> Finding | None:
        """Take a reading, and a second one for what is only late.

        An exact one takes a tenth of a second. It is only taken when quick ones, which count what
        is about to be freed, have grown since the last.
        """
        quick = self._reading(at_once=True)
        if self._readings and not grown([self._quick, quick]):
            return None
        self._quick = quick
        self._readings.append(self._reading())
        if leak_in(self._readings, hoards=self._rig.hoards) is None:
            return None
        time.sleep(_LATE_SECONDS)
        self._readings[-1] = self._reading()
        leak = leak_in(self._readings, hoards=self._rig.hoards)
        if leak is None:
            return None
        more = " and ".join(map(str, leak.grown))
        cases = " and ".join(
            str(after.after - before.after)
            for before, after in itertools.pairwise(self._readings[-len(leak.grown) - 1 :])
        )
        detail = f"{leak.name}: {more} more with the last {cases} cases"
        return Finding(FindingKind.LEAK, f"{leak.name} grows", detail)

    def _reading(self, *, at_once: bool = False) -> Holdings:
        return dataclasses.replace(self._rig.holdings(at_once=at_once), after=self._cases)


class KmemleakOracle(Oracle):
    """Nothing that the module allocated is lost when all cases are through."""

    def __init__(self, current: Callable[[], Current], rig: Rig) -> None:
        super().__init__(current)
        self._rig = rig

    def post_send(self, *_: Any, **__: Any) -> bool:
        """boofuzz's hook: gives what grows a name, as its guest is about to be replaced.

        All else has to wait: it takes half a minute to look.
        """
        case = self._current()
        if case.finding is not None and case.finding.kind is FindingKind.LEAK:
            with contextlib.suppress(Lost):
                case.finding = self._search() or case.finding
        return True

    def conclude(self) -> Finding | None:
        """A finding if something is lost, by whatever case since the guest came up."""
        return self._search() if self._current().number else None

    def _search(self) -> Finding | None:
        losses = self._rig.losses()
        if not losses.objects:
            return None
        detail = f"objects that nobody refers to, since the guest came up: {losses.objects}"
        if (grows := self._current().finding) is not None:
            detail = f"{grows.detail}; {detail}"
        return Finding(FindingKind.LEAK, losses.title, detail, losses.report)


def oracles_of(rig: Rig, current: Callable[[], Current]) -> list[Oracle]:
    """All oracles of a rig, in the order in which they are asked."""
    oracles = [
        ConsoleOracle(current, rig),
        LivenessOracle(current, rig),
        VerdictOracle(current),
        LeakOracle(current, rig),
    ]
    return [*oracles, KmemleakOracle(current, rig)] if rig.kmemleak else oracles


def judge_last(rig: Rig, current: Current) -> None:
    """Have all oracles of a rig judge a case that none follows."""
    oracles = oracles_of(rig, lambda: current)
    for oracle in oracles:
        oracle.post_send()
    try:
        for oracle in oracles:
            if current.finding is None:
                current.finding = oracle.conclude()
    except Lost as error:
        current.finding = Finding(FindingKind.HANG, outside.LOST_CONNECTION, str(error))
