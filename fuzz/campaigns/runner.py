# SPDX-License-Identifier: GPL-2.0-or-later
"""Running campaigns: boofuzz on one side, a guest and the model on the other."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from boofuzz import BaseMonitor, ITargetConnection, Target

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.plan import Plan, Planned
from fuzz.campaigns.session import CampaignSession, context_of
from fuzz.campaigns.values import CaseValues, canonical
from fuzz.coverage import kept
from fuzz.finding import Finding, FindingKind
from fuzz.guest.kernel import Kernel
from fuzz.lab import Lab, Lost
from fuzz.oracles.monitors import ConsoleOracle, Current, LivenessOracle, VerdictOracle
from fuzz.report import summary_of
from fuzz.store import KEYBOX, MODULE, Store
from nst_scapy.keybox import KeyBox
from nst_scapy.verdict import Verdict

KIDS = (0, 1, 2, 255, 256, 65535)
"""The `kid`s in a campaign's key box."""
_PATIENCE = 3
"""Findings after which an element of the grammar is not mutated any more."""
_FINDINGS = frozenset(FindingKind)
_NOTE_SECONDS = 1.0
"""How often the time that a campaign has taken is stored."""
_AUTHENTICATED = frozenset({Verdict.OK, Verdict.PADDING})


@dataclass(frozen=True)
class Limits:
    """When a run ends: whichever comes first; `None` is no limit.

    Attributes:
        cases: of each campaign.
        seconds: of the whole run, shared evenly by its campaigns.
        findings: different ones in the whole run.
    """

    cases: int | None = None
    seconds: float | None = None
    findings: int | None = None


@dataclass
class Progress:
    """How far a campaign has got."""

    campaign: str
    cases: int = 0
    seconds: float = 0.0
    authenticated: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    findings: int = 0

    @property
    def rate(self) -> float:
        """Cases per second."""
        return self.cases / self.seconds if self.seconds else 0.0


class Watcher(Protocol):
    """Who is told how a run goes."""

    def booting(self, campaign: str, again: bool) -> None:
        """A guest is being booted, for the first time or after a finding."""

    def progress(self, progress: Progress) -> None:
        """A case is done."""

    def found(self, campaign: str, finding: Finding, case: int) -> None:
        """A case showed something not seen before."""


def run_keybox(seed: str) -> KeyBox:
    """The key box of a run: test keys that follow from its seed, so that runs repeat."""
    draw = random.Random(f"{seed}|keybox")
    return KeyBox({kid: draw.randbytes(32) for kid in KIDS})


def run(
    store: Store,
    campaigns: Sequence[Campaign],
    *,
    kernel: Kernel,
    module: Path,
    seed: str,
    limits: Limits,
    watcher: Watcher,
) -> None:
    """Run campaigns one after another and store what happens.

    Raises:
        GuestError: a guest does not come up.
    """
    keybox = store.path / KEYBOX
    run_keybox(seed).save(keybox)
    if module != store.path / MODULE:
        _keep(module, store.path / MODULE)
    ended = "stopped"
    left = limits.seconds
    found = 0
    try:
        for index, campaign in enumerate(campaigns):
            if limits.findings is not None and found >= limits.findings:
                break
            past = _Past.of(store, campaign)
            share = None if left is None else left / (len(campaigns) - index)
            spare = None if limits.findings is None else limits.findings - found
            if past.reached(own := Limits(limits.cases, share, spare)):
                found += past.progress.findings
                left = None if left is None else max(0.0, left - past.progress.seconds)
                continue
            lab = Lab(
                kernel,
                module=module,
                keybox=keybox,
                workdir=store.path / campaign.name,
                tables=campaign.tables,
                gcov=kept.folder_of(store.path, campaign.name),
            )
            watcher.booting(campaign.name, again=False)
            with lab:
                run_ = _CampaignRun(store, campaign, lab, seed, own, watcher, past)
                run_.run()
            found += run_.progress.findings
            left = None if left is None else max(0.0, left - run_.progress.seconds)
        ended = "finished"
    except KeyboardInterrupt:
        ended = "interrupted"
        raise
    finally:
        store.note(ended=ended, finished=str(time.time()))


def _keep(module: Path, path: Path) -> None:
    """Have the module with the run when the cache has forgotten it, without a copy if possible."""
    try:
        path.hardlink_to(module)
    except OSError:
        shutil.copyfile(module, path)


@dataclass
class _Past:
    """What an earlier run of a campaign, with the same seed, has done already."""

    progress: Progress
    outcomes: list[str]
    """Of each case, in order."""
    boots: int

    @classmethod
    def of(cls, store: Store, campaign: Campaign) -> _Past:
        """Read it."""
        for number, name, _ in store.campaigns():
            if name == campaign.name:
                done = summary_of(store, name)
                progress = Progress(name, done.cases, done.seconds, done.authenticated)
                for (_, verdict), count in done.module.items():
                    progress.verdicts[verdict] += count
                progress.findings = sum(f.campaign == name for f in store.findings())
                return cls(progress, store.past(number), store.boots(number))
        return cls(Progress(campaign.name), [], 0)

    def reached(self, limits: Limits) -> bool:
        """Whether there is nothing left to do."""
        return bool(self.outcomes) and _any_reached(self.progress, limits)


class _CampaignRun:
    """One campaign: what boofuzz calls back into."""

    def __init__(
        self,
        store: Store,
        campaign: Campaign,
        lab: Lab,
        seed: str,
        limits: Limits,
        watcher: Watcher,
        past: _Past,
    ) -> None:
        self._store = store
        self._campaign = campaign
        self._lab = lab
        self._seed = f"{seed}|{campaign.name}"
        self._limits = limits
        self._watcher = watcher
        self._id = store.begin_campaign(campaign.name)
        self._kids = sorted(lab.keybox)
        self._current = Current("", 0)
        self._blame: Counter[str] = Counter()
        self.progress = past.progress
        self._past = past
        self._started = self._noted = time.monotonic() - past.progress.seconds
        self._booting = 0.0
        requests = campaign.requests(lab.keybox, lab.suites)
        self._plan = Plan(requests, self._seed, self._canonical_bytes)

        def current() -> Current:
            return self._current

        target = Target(
            connection=_Connection(self),
            monitors=[
                ConsoleOracle(current, lab),
                LivenessOracle(current, lab),
                VerdictOracle(current),
                _Bookkeeper(self),
            ],
        )
        target.vmcontrol = self
        self._session = CampaignSession(requests, target, cases=self._cases(), values=self._values)

    def run(self) -> None:
        """Run until a limit is reached."""
        try:
            self._session.fuzz()
        finally:
            self._store.time_campaign(self._id, self._seconds())
            self._store.commit()

    def _cases(self) -> Iterator[Planned]:
        plan = iter(self._plan)
        for outcome, planned in zip(self._past.outcomes, plan, strict=False):
            # What was dropped then has to be dropped now, or the plan would be another.
            if outcome in _FINDINGS:
                self._hold_against(planned, FindingKind(outcome))
        for planned in plan:
            self.progress.seconds = self._seconds()
            if _any_reached(self.progress, self._limits):
                return
            yield planned

    def _seconds(self) -> float:
        return time.monotonic() - self._started - self._booting

    def _values(self, name: str) -> CaseValues:
        self._current = Current(name, 0)
        seed = f"{self._seed}|{name}"
        return CaseValues(seed, self._kids, self._lab.now(), self._lab.creation)

    def _canonical_bytes(self, planned: Planned) -> bytes:
        name: str = planned.request.name
        script: bytes = planned.request.render(context_of(planned, canonical(self._kids)))
        return name.encode() + script

    # Called by boofuzz.

    def send(self, script: bytes) -> None:
        """Carry out a case."""
        case = self._current
        case.number = self._store.begin_case(
            self._id,
            boot=self._past.boots + self._lab.boots,
            name=case.name,
            script=script,
            earliest=self._lab.now(),
            creation=self._lab.creation,
        )
        try:
            case.execution = self._lab.execute(script)
        except Lost as error:
            case.lost = str(error)

    def judged(self) -> None:
        """Write down what the oracles made of the case."""
        case, progress = self._current, self.progress
        outcome = case.finding.kind.value if case.finding else "agree"
        if case.execution is None:
            self._store.end_case(case.number, outcome)
        else:
            counted = case.execution.seen.verdicts
            authenticated = any(verdict in _AUTHENTICATED for _, verdict in counted)
            self._store.end_case(
                case.number,
                outcome,
                latest=case.execution.moment.judged.latest,
                expected=case.execution.expected.verdicts,
                counted=counted,
                authenticated=authenticated,
                strict=case.execution.strict,
            )
            progress.authenticated += authenticated
            for (_, verdict), count in counted.items():
                progress.verdicts[verdict] += count
        progress.cases += 1
        if case.finding:
            self._found(case.finding)
        progress.seconds = self._seconds()
        if progress.seconds - self._noted >= _NOTE_SECONDS:
            self._noted = progress.seconds
            self._store.time_campaign(self._id, progress.seconds)
        self._watcher.progress(progress)

    def _found(self, finding: Finding) -> None:
        case = self._current
        if self._store.add_finding(self._id, case.number, finding):
            self.progress.findings += 1
            self._watcher.found(self._campaign.name, finding, case.number)
        planned = self._session.planned
        assert planned is not None
        self._hold_against(planned, finding.kind)

    def _hold_against(self, planned: Planned, kind: FindingKind) -> None:
        """Drop from the plan what has shown findings often enough."""
        self._blame.update(planned.elements)
        if kind is not FindingKind.DISAGREEMENT:
            self._blame.update(planned.leaves)  # every one costs the boot of a guest
        self._plan.drop([e for e, count in self._blame.items() if count >= _PATIENCE])

    def restart_target(self) -> None:
        """Boot a fresh guest if the one at hand is no longer fit, and there is more to do."""
        if _any_reached(self.progress, self._limits):
            return
        finding = self._current.finding
        crashed = finding is not None and finding.kind is not FindingKind.DISAGREEMENT
        if not (crashed or self._lab.crowded):
            return
        began = time.monotonic()
        self._watcher.booting(self._campaign.name, again=True)
        self._lab.restart()
        self._booting += time.monotonic() - began


class _Connection(ITargetConnection):  # type: ignore[misc]
    """boofuzz's way to the target; what comes back is the oracles' business."""

    def __init__(self, run_: _CampaignRun) -> None:
        self._run = run_

    @property
    def info(self) -> str:
        """boofuzz's hook: a name for the target."""
        return "target guest"

    def open(self) -> None:
        """boofuzz's hook: nothing to do, a case makes its own connections."""

    def close(self) -> None:
        """boofuzz's hook: nothing to do."""

    def recv(self, max_bytes: int) -> bytes:
        """boofuzz's hook: nothing comes back this way."""
        return b""

    def send(self, data: bytes) -> int:
        """boofuzz's hook: carry out a case."""
        self._run.send(data)
        return len(data)


class _Bookkeeper(BaseMonitor):  # type: ignore[misc]
    """The last monitor: when it is asked, the others have spoken."""

    def __init__(self, run_: _CampaignRun) -> None:
        super().__init__()
        self._run = run_

    def post_send(self, *_: object, **__: object) -> bool:
        """boofuzz's hook: write the case down."""
        self._run.judged()
        return True

    def get_crash_synopsis(self) -> str:
        """boofuzz's hook: nothing of its own."""
        return ""


def _any_reached(progress: Progress, limits: Limits) -> bool:
    return (
        _reached(progress.cases, limits.cases)
        or _reached(progress.seconds, limits.seconds)
        or _reached(progress.findings, limits.findings)
    )


def _reached(value: float, limit: float | None) -> bool:
    return limit is not None and value >= limit
