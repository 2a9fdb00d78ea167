# SPDX-License-Identifier: GPL-2.0-or-later
"""Running one shard of a campaign: its cases, a batch after another, in a guest.

Cases of which each goes its own way whatever the others do (`fuzz/together.py`) are sent in
one batch, and judged together; all others are a batch of their own. While the guest works on
a batch the next one is planned and rendered, and the one before judged and written down. If
what a batch did is not in order, its cases are taken back and sent again one by one, in a fresh
guest, so that a finding has its case.
"""

from __future__ import annotations

import dataclasses
import gc
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.catalogue import campaign as campaign_of
from fuzz.campaigns.plan import Planned
from fuzz.campaigns.progress import Limits, Past, Progress, Shard, Watcher
from fuzz.campaigns.schedule import Task
from fuzz.campaigns.upcoming import Batch, Source, Upcoming
from fuzz.corpus.keeper import Keeper
from fuzz.corpus.run import keeper_of
from fuzz.coverage import kept
from fuzz.finding import Finding, FindingKind
from fuzz.flight import Execution, Flight
from fuzz.guest.errors import GuestError
from fuzz.guest.kernel import Kernel
from fuzz.lab import Lab
from fuzz.oracles.monitors import Current, Oracle, oracles_of
from fuzz.rig import Lost, Rig
from fuzz.store import KEYBOX, KMEMLEAK, Store
from fuzz.triage import outside
from nst_scapy.keybox import KeyBox
from nst_scapy.verdict import Verdict

_NOTE_SECONDS = 1.0
"""How often it is stored how far a campaign has got."""
_AUTHENTICATED = frozenset({Verdict.OK, Verdict.PADDING})


class Subject(Source, Protocol):
    """What cases are sent to; `Lab` says what its parts are."""

    boots: int
    overlaps: bool

    @property
    def crowded(self) -> bool: ...
    @property
    def killed(self) -> bool: ...
    def prepare(self, *scripts: bytes) -> Flight: ...
    def take_off(self, flight: Flight) -> None: ...
    def touch_down(self, flight: Flight) -> None: ...
    def land(self, flight: Flight, *, followed: bool = False) -> Execution: ...
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
        self._limits = limits
        self._watcher = watcher
        self._campaign = store.begin_campaign(campaign.name, shard.count)
        self._current = Current("", 0)
        self._oracles = oracles(lambda: self._current)
        self.progress = dataclasses.replace(past.progress)
        self._past = past
        self._started = self._noted = time.monotonic() - past.progress.seconds
        self._aside = 0.0  # seconds of other things than cases
        self._killed: Planned | None = None
        self._suspect: tuple[Finding, int] | None = None
        self._upcoming = Upcoming(
            campaign,
            f"{seed}|{campaign.name}",
            (shard.number, shard.count),
            lab,
            past.outcomes,
        )

    def run(self) -> None:
        """Run until a limit is reached, or there is nothing new any more.

        Raises:
            GuestError: a guest does not come up.
        """
        flying: Batch | None = None
        # The grammar stays: there is no point in looking through it for garbage ever again.
        gc.freeze()
        try:
            while True:
                ready = self._next(flying)
                followed = self._follow(flying, ready)
                if flying is not None:
                    self._land(flying, followed=followed)
                    if self._upset(flying):
                        self._come_to_terms(flying, ready)
                        flying = None
                        continue
                if ready is not None and not followed:
                    self._begin(ready)
                    self._take_off(ready)
                if flying is not None:
                    self._write_down(flying)
                flying = ready
                if flying is None:
                    self._conclude()
                    return
        finally:
            gc.unfreeze()
            self.progress.seconds = self._seconds()
            self._note()

    def _next(self, flying: Batch | None) -> Batch | None:
        """The next batch, rendered; `None` if there is none."""
        cases = self.progress.cases + (len(flying.cases) if flying else 0)
        room = sys.maxsize if self._limits.cases is None else self._limits.cases - cases
        return self._upcoming.batch(room, self._enough)

    def _enough(self) -> bool:
        """Whether a limit was reached, and nothing is suspected that is to be found first."""
        self.progress.seconds = self._seconds()
        return self._suspect is None and self.progress.reached(self._limits)

    def _seconds(self) -> float:
        return time.monotonic() - self._started - self._aside

    # A batch.

    def _follow(self, flying: Batch | None, ready: Batch | None) -> bool:
        """Send a batch before the one under way is judged, if both allow; tell whether it was.

        All that comes of it if that one is not right ends in a fresh guest.
        """
        if flying is None or ready is None or flying.flight is None or not self._lab.overlaps:
            return False
        if len(flying.cases) == 1 or not (flying.shared and ready.shared):
            return False
        if any(oracle.asks(len(flying.cases)) for oracle in self._oracles):
            return False
        self._begin(ready)
        try:
            self._lab.touch_down(flying.flight)
        except Lost as error:
            flying.current.lost = str(error)
            flying.flight = None
            return False
        self._take_off(ready)
        return True

    def _begin(self, batch: Batch) -> None:
        """Store what is going to be sent, and make it ready; the guest may still be busy."""
        numbers = self._store.begin_cases(
            self._campaign,
            [(case.planned.name, case.script) for case in batch.cases],
            shard=self._shard.number,
            boot=self._past.boots + self._lab.boots,
            earliest=self._lab.now(),
            creation=self._lab.creation,
        )
        for case, number in zip(batch.cases, numbers, strict=True):
            case.number = number
        batch.current.number = numbers[-1]
        try:
            batch.flight = self._lab.prepare(*(case.script for case in batch.cases))
        except Lost as error:
            batch.current.lost = str(error)

    def _take_off(self, batch: Batch) -> None:
        """Send what is ready."""
        if batch.flight is None:
            return
        try:
            self._lab.take_off(batch.flight)
        except Lost as error:
            batch.current.lost = str(error)
            batch.flight = None

    def _land(self, batch: Batch, *, followed: bool) -> None:
        """Wait for what the cases do, and have the oracles look at it."""
        current = self._current = batch.current
        if batch.flight is not None:
            try:
                current.execution = self._lab.land(batch.flight, followed=followed)
            except Lost as error:
                current.lost = str(error)
        if self._not_to_blame(batch):
            return
        for oracle in self._oracles:
            oracle.post_send()
        if self._not_to_blame(batch):
            current.finding = None  # an oracle asked the guest when it was killed
            return
        if self._suspect is not None and batch.cases[-1].position >= self._suspect[1]:
            finding, self._suspect = self._suspect[0], None
            current.finding = current.finding or finding

    def _not_to_blame(self, batch: Batch) -> bool:
        """Whether a batch is lost because somebody killed QEMU; not if a case is for the 2nd time.

        It is the case's own doing then.
        """
        if not (batch.current.lost and self._lab.killed):
            return False
        return len(batch.cases) > 1 or self._killed is not batch.cases[0].planned

    def _upset(self, batch: Batch) -> bool:
        """Whether something has to be done before the next batch can be sent."""
        return bool(batch.current.lost or batch.current.finding) or self._lab.crowded

    def _come_to_terms(self, batch: Batch, ready: Batch | None) -> None:
        """Write a case down that was a finding, and have a guest for the next one."""
        finding = batch.current.finding
        if ready is not None:
            if ready.current.number:  # it has been sent
                self._store.forget_cases([case.number for case in ready.cases])
            self._upcoming.put_back(ready)
        if batch.current.lost and finding is None:
            # Somebody killed QEMU, and the case is not to blame, if it is not always there.
            self._killed = batch.cases[0].planned
            self._take_back(batch)
            return
        several = len(batch.cases) > 1
        if several and finding is not None and finding.kind is not FindingKind.LEAK:
            self._suspect = self._suspicion(batch, finding)
            self._take_back(batch)
            return
        self._write_down(batch)
        if finding is not None:
            self._suspect = None
            self._upcoming.hold_against(batch.cases[-1], finding.kind)
        if self._enough():
            return
        crashed = finding is not None and finding.kind is not FindingKind.DISAGREEMENT
        if crashed or self._lab.crowded:
            self._boot()

    def _suspicion(self, batch: Batch, finding: Finding) -> tuple[Finding, int] | None:
        """What there is to tell if none of the cases shows it alone, and after which of them."""
        execution = batch.current.execution
        if finding.kind is FindingKind.DISAGREEMENT and execution and not execution.strict:
            return None  # each may have been judged at a moment of its own
        first, last = batch.cases[0], batch.cases[-1]
        detail = (
            f"{finding.detail} (of {len(batch.cases)} cases under way together, from"
            f" {first.planned.name} on; none of them showed it alone)"
        )
        return dataclasses.replace(finding, detail=detail), last.position

    def _take_back(self, batch: Batch) -> None:
        """Have cases sent again one by one, in a fresh guest."""
        self._store.forget_cases([case.number for case in batch.cases])
        self._upcoming.put_back(batch, alone=True)
        self._boot()

    def _boot(self) -> None:
        """Have a fresh guest; on a busy machine the first may take too long."""
        began = time.monotonic()
        self._upcoming.render_anew()
        self._watcher.booting(self._shard, again=True)
        try:
            self._lab.restart()
        except GuestError:
            self._lab.restart()
        self._aside += time.monotonic() - began

    def _write_down(self, batch: Batch) -> None:
        """Store what the oracles made of a batch."""
        current, progress = batch.current, self.progress
        execution = current.execution
        for index, case in enumerate(batch.cases):
            finding = current.finding if case is batch.cases[-1] else None
            outcome = finding.kind.value if finding else "agree"
            if execution is None:
                self._store.end_case(case.number, outcome)
                continue
            expected = execution.expected.each[index]
            # Of several it is their sum that was counted, and it is the model's.
            counted = execution.seen.verdicts if len(batch.cases) == 1 else expected
            authenticated = any(verdict in _AUTHENTICATED for _, verdict in counted)
            self._store.end_case(
                case.number,
                outcome,
                latest=execution.moment.judged.latest,
                expected=expected,
                counted=counted,
                authenticated=authenticated,
                strict=execution.strict,
            )
            progress.authenticated += authenticated
            for (_, verdict), count in counted.items():
                progress.verdicts[verdict] += count
            if self._keeper is not None and execution.taken is not None:
                self._keeper.look(execution.taken, case.script, case.now)
                progress.edges = len(self._keeper.known)
        progress.cases += len(batch.cases)
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
        current = self._current
        if current.lost or current.finding:
            return  # there may be no guest to ask
        began = time.monotonic()
        try:
            for oracle in self._oracles:
                # Who comes later knows better what it is.
                current.finding = oracle.conclude() or current.finding
        except Lost as error:
            if not self._lab.killed:
                silence = Finding(FindingKind.HANG, outside.LOST_CONNECTION, str(error))
                current.finding = current.finding or silence
        if current.finding is not None:
            self._found(current.finding, current.number)
        self._aside += time.monotonic() - began

    def _found(self, finding: Finding, case: int) -> None:
        if self._store.add_finding(self._campaign, case, finding):
            self.progress.findings += 1
            self._watcher.found(self._shard, finding, case)


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
    rig = Rig(
        kernel,
        module=module,
        keybox=store.path / KEYBOX,
        workdir=store.path / shard.folder,
        tables=campaign.tables,
        gcov=kept.folder_of(store.path, campaign.name),
        keeper=keeper,
        kmemleak=KMEMLEAK in store.meta(),
    )
    watcher.booting(shard, again=False)
    with rig:
        run_ = ShardRun(
            store, campaign, shard, Lab(rig), oracles=partial(oracles_of, rig),
            seed=seed, limits=task.limits, watcher=watcher, past=task.past, keeper=keeper,
        )  # fmt: skip
        run_.run()
    return run_.progress
