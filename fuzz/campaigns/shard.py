# SPDX-License-Identifier: GPL-2.0-or-later
"""Running one shard of a campaign: its cases, one after another, in a guest.

While the guest works on a case the next one is planned and rendered, and the one before
written down. What a case did is known, and found to be in order, before the next is sent.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.catalogue import campaign as campaign_of
from fuzz.campaigns.plan import Plan, Planned
from fuzz.campaigns.progress import Limits, Past, Progress, Shard, Watcher
from fuzz.campaigns.schedule import Task
from fuzz.campaigns.session import context_of
from fuzz.campaigns.values import NOW, CaseValues, canonical
from fuzz.corpus.keeper import Keeper
from fuzz.corpus.run import keeper_of
from fuzz.coverage import kept
from fuzz.finding import Finding, FindingKind
from fuzz.guest.errors import GuestError
from fuzz.guest.kernel import Kernel
from fuzz.lab import Execution, Flight, Lab, Lost
from fuzz.oracles.monitors import Current, Oracle, oracles_of
from fuzz.store import KEYBOX, Store
from fuzz.triage import outside
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_PATIENCE = 3
"""Findings after which an element of the grammar is not mutated any more."""
_FINDINGS = frozenset(FindingKind)
_NOTE_SECONDS = 1.0
"""How often it is stored how far a campaign has got."""
_AUTHENTICATED = frozenset({Verdict.OK, Verdict.PADDING})


@dataclass
class _Case:
    """A case from its rendering to its end."""

    planned: Planned
    script: bytes
    now: int
    """The time that its records were sealed for, ns since 1970."""
    current: Current
    flight: Flight | None = None


class Subject(Protocol):
    """What cases are sent to; `Lab` says what its parts are."""

    keybox: KeyBox
    suites: frozenset[SuiteId]
    boots: int

    @property
    def creation(self) -> int: ...
    @property
    def crowded(self) -> bool: ...
    @property
    def killed(self) -> bool: ...
    def now(self) -> int: ...
    def launch(self, script: bytes) -> Flight: ...
    def land(self, flight: Flight) -> Execution: ...
    def restart(self) -> None: ...


class ShardRun:
    """One shard being run."""

    def __init__(
        self,
        store: Store,
        campaign: Campaign,
        shard: Shard,
        lab: Subject,
        *,
        oracles: Callable[[Callable[[], Current]], Sequence[Oracle]],
        seed: str,
        limits: Limits,
        watcher: Watcher,
        past: Past,
        keeper: Keeper | None = None,
    ) -> None:
        """`lab` has been started; `past` is what an earlier run of the shard has done."""
        self._store = store
        self._shard = shard
        self._lab = lab
        self._keeper = keeper
        self._seed = f"{seed}|{campaign.name}"
        self._limits = limits
        self._watcher = watcher
        self._campaign = store.begin_campaign(campaign.name, shard.count)
        self._kids = sorted(lab.keybox)
        self._canonical = canonical(self._kids)
        self._constant: tuple[Planned, bytes] | None = None
        self._current = Current("", 0)
        self._oracles = oracles(lambda: self._current)
        self._blame: Counter[str] = Counter()
        self.progress = dataclasses.replace(past.progress)
        self._past = past
        self._started = self._noted = time.monotonic() - past.progress.seconds
        self._booting = 0.0
        self._again: deque[Planned] = deque()
        self._killed: Planned | None = None
        requests = campaign.requests(lab.keybox, lab.suites)
        part = (shard.number, shard.count)
        self._plan = Plan(requests, self._seed, self._canonical_bytes, part)

    def run(self) -> None:
        """Run until a limit is reached, or there is nothing new any more.

        Raises:
            GuestError: a guest does not come up.
        """
        plan = self._planned()
        flying: _Case | None = None
        try:
            while True:
                ready = self._next(plan, flying)
                if flying is not None:
                    self._land(flying)
                    if self._upset(flying):
                        self._come_to_terms(flying, ready)
                        flying = None
                        continue
                if ready is not None:
                    self._launch(ready)
                if flying is not None:
                    self._write_down(flying)
                flying = ready
                if flying is None:
                    self._conclude()
                    return
        finally:
            self.progress.seconds = self._seconds()
            self._note()

    # What comes next.

    def _planned(self) -> Iterator[Planned]:
        plan = iter(self._plan)
        for outcome, planned in zip(self._past.outcomes, plan, strict=False):
            # What was dropped then has to be dropped now, or the plan would be another.
            if outcome in _FINDINGS:
                self._hold_against(planned, FindingKind(outcome))
        yield from plan

    def _next(self, plan: Iterator[Planned], flying: _Case | None) -> _Case | None:
        """The next case, rendered; `None` if there is none."""
        self.progress.seconds = self._seconds()
        ahead = dataclasses.replace(self.progress, cases=self.progress.cases + bool(flying))
        if ahead.reached(self._limits):
            return None
        planned = self._again.popleft() if self._again else next(plan, None)
        if planned is None:
            return None
        values = CaseValues(
            f"{self._seed}|{planned.name}", self._kids, self._lab.now(), self._lab.creation
        )
        if self._constant is not None and self._constant[0] is planned:
            script = self._constant[1]
        else:
            script = planned.request.render(context_of(planned, values))
        return _Case(planned, script, values[NOW], Current(planned.name, 0))

    def _canonical_bytes(self, planned: Planned) -> bytes:
        name: str = planned.request.name
        values = self._canonical.fresh()
        script: bytes = planned.request.render(context_of(planned, values))
        self._constant = None if values.asked else (planned, script)
        return name.encode() + script

    def _seconds(self) -> float:
        return time.monotonic() - self._started - self._booting

    # A case.

    def _launch(self, case: _Case) -> None:
        current = case.current
        current.number = self._store.begin_case(
            self._campaign,
            shard=self._shard.number,
            boot=self._past.boots + self._lab.boots,
            name=current.name,
            script=case.script,
            earliest=self._lab.now(),
            creation=self._lab.creation,
        )
        try:
            case.flight = self._lab.launch(case.script)
        except Lost as error:
            current.lost = str(error)

    def _land(self, case: _Case) -> None:
        """Wait for what the case does, and have the oracles look at it."""
        current = self._current = case.current
        if case.flight is not None:
            try:
                current.execution = self._lab.land(case.flight)
            except Lost as error:
                current.lost = str(error)
        if self._not_to_blame(case):
            return
        for oracle in self._oracles:
            oracle.post_send()
        if self._not_to_blame(case):
            current.finding = None  # an oracle asked the guest when it was killed

    def _not_to_blame(self, case: _Case) -> bool:
        """Whether the case is lost because somebody killed QEMU, and not for the second time."""
        return bool(case.current.lost and self._lab.killed and self._killed is not case.planned)

    def _upset(self, case: _Case) -> bool:
        """Whether something has to be done before the next case can be sent."""
        return bool(case.current.lost or case.current.finding) or self._lab.crowded

    def _come_to_terms(self, case: _Case, ready: _Case | None) -> None:
        """Write a case down that was a finding, and have a guest for the next one."""
        finding = case.current.finding
        if ready is not None:
            self._again.appendleft(ready.planned)
        if case.current.lost and finding is None:
            # Somebody killed QEMU, and the case is not to blame, if it is not always there.
            self._killed = case.planned
            self._store.forget_case(case.current.number)
            self._again.appendleft(case.planned)
            self._boot()
            return
        self._write_down(case)
        if finding is not None:
            self._hold_against(case.planned, finding.kind)
            if ready is not None and self._plan.withdrawn(ready.planned):
                self._again.popleft()
        self.progress.seconds = self._seconds()
        if self.progress.reached(self._limits):
            return
        crashed = finding is not None and finding.kind is not FindingKind.DISAGREEMENT
        if crashed or self._lab.crowded:
            self._boot()

    def _boot(self) -> None:
        """Have a fresh guest; on a busy machine the first may take too long."""
        began = time.monotonic()
        self._watcher.booting(self._shard, again=True)
        try:
            self._lab.restart()
        except GuestError:
            self._lab.restart()
        self._booting += time.monotonic() - began

    def _write_down(self, case: _Case) -> None:
        """Store what the oracles made of a case."""
        current, progress = case.current, self.progress
        outcome = current.finding.kind.value if current.finding else "agree"
        if current.execution is None:
            self._store.end_case(current.number, outcome)
        else:
            counted = current.execution.seen.verdicts
            authenticated = any(verdict in _AUTHENTICATED for _, verdict in counted)
            self._store.end_case(
                current.number,
                outcome,
                latest=current.execution.moment.judged.latest,
                expected=current.execution.expected.verdicts,
                counted=counted,
                authenticated=authenticated,
                strict=current.execution.strict,
            )
            progress.authenticated += authenticated
            for (_, verdict), count in counted.items():
                progress.verdicts[verdict] += count
            if self._keeper is not None and current.execution.taken is not None:
                self._keeper.look(current.execution.taken, case.script, case.now)
                progress.edges = len(self._keeper.known)
        progress.cases += 1
        if current.finding:
            self._found(current.finding, current.number)
        progress.seconds = self._seconds()
        if progress.seconds - self._noted >= _NOTE_SECONDS:
            self._note()
        self._watcher.progress(self._shard, progress)

    def _note(self) -> None:
        """Store how far the campaign has got."""
        progress = self.progress
        self._noted = progress.seconds
        self._store.time_campaign(self._campaign, progress.seconds, self._shard.number)
        if progress.edges is not None:
            self._store.add_coverage(self._campaign, progress.edges)

    def _conclude(self) -> None:
        """Look once more for what only shows in all cases together; the last one stands for it."""
        if self._current.lost or self._current.finding:
            return  # there may be no guest to ask
        for oracle in self._oracles:
            try:
                finding = oracle.conclude()
            except Lost as error:
                if self._lab.killed:
                    return
                finding = Finding(FindingKind.HANG, outside.LOST_CONNECTION, str(error))
            if finding is not None:
                self._found(finding, self._current.number)

    def _found(self, finding: Finding, case: int) -> None:
        if self._store.add_finding(self._campaign, case, finding):
            self.progress.findings += 1
            self._watcher.found(self._shard, finding, case)

    def _hold_against(self, planned: Planned, kind: FindingKind) -> None:
        """Drop from the plan what has shown findings often enough."""
        if kind is FindingKind.LEAK:
            return  # it tells of batches of cases, not of this one
        self._blame.update(planned.elements)
        if kind is not FindingKind.DISAGREEMENT:
            self._blame.update(planned.leaves)  # every one costs the boot of a guest
        self._plan.drop([e for e, count in self._blame.items() if count >= _PATIENCE])


def run_shard(
    store: Store, task: Task, *, kernel: Kernel, module: Path, seed: str, watcher: Watcher
) -> Progress:
    """Run one shard and store what happens.

    Raises:
        GuestError: a guest does not come up.
    """
    shard = task.shard
    campaign = campaign_of(shard.campaign, store.path)
    keeper = keeper_of(store.path, module, KeyBox.load(store.path / KEYBOX))
    lab = Lab(
        kernel,
        module=module,
        keybox=store.path / KEYBOX,
        workdir=store.path / shard.folder,
        tables=campaign.tables,
        gcov=kept.folder_of(store.path, campaign.name),
        keeper=keeper,
    )
    watcher.booting(shard, again=False)
    with lab:
        run_ = ShardRun(
            store, campaign, shard, lab, oracles=partial(oracles_of, lab),
            seed=seed, limits=task.limits, watcher=watcher, past=task.past, keeper=keeper,
        )  # fmt: skip
        run_.run()
    return run_.progress
