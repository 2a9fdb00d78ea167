# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases that a shard is going to send: planned, rendered, and put together in batches."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.plan import Plan, Planned
from fuzz.campaigns.session import context_of
from fuzz.campaigns.values import NOW, CaseValues, canonical
from fuzz.finding import FindingKind
from fuzz.flight import Flight
from fuzz.oracles.monitors import Current
from fuzz.together import ALONE
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId

_PATIENCE = 3
"""Findings after which an element of the grammar is not mutated any more."""
_AHEAD = 96
"""More cases than are ever planned before it is known what became of one."""
_FINDINGS = frozenset(FindingKind)


class Source(Protocol):
    """What is asked about the guest; `fuzz.lab.Lab` says what its parts are."""

    keybox: KeyBox
    suites: frozenset[SuiteId]

    @property
    def creation(self) -> int: ...
    def now(self) -> int: ...
    def share(self, script: bytes) -> float: ...


@dataclass
class Case:
    """A case from its rendering to its end."""

    position: int
    """How many were planned before it."""
    planned: Planned
    script: bytes
    now: int
    """The time that its records were sealed for, ns since 1970."""
    share: float
    """As `fuzz.together.share_of`."""
    number: int = 0
    """In the store."""


@dataclass
class Batch:
    """Cases that are sent together, and what became of them."""

    cases: list[Case]
    current: Current = field(init=False)
    flight: Flight | None = None

    def __post_init__(self) -> None:
        self.current = Current(self.cases[-1].planned.name, 0, cases=len(self.cases))

    @property
    def shared(self) -> bool:
        """Whether none of its cases has to be alone."""
        return all(case.share < ALONE for case in self.cases)


class Upcoming:
    """What comes next in a shard.

    Batches are cut from the cases in their order, so that a seed gives the same cases in the
    same order however many are sent at a time.
    """

    def __init__(
        self,
        campaign: Campaign,
        seed: str,
        part: tuple[int, int],
        source: Source,
        outcomes: Sequence[str],
    ) -> None:
        """`part` is as for `Plan`; `outcomes` are those of the cases that were run before."""
        self._apart = campaign.apart
        self._seed = seed
        self._source = source
        self._kids = sorted(source.keybox)
        self._canonical = canonical(self._kids)
        self._constant: tuple[Planned, bytes] | None = None
        requests = campaign.requests(source.keybox, source.suites)
        self._plan = Plan(requests, seed, self._canonical_bytes, part)
        self._blame: Counter[str] = Counter()
        self._again: deque[tuple[int, Planned]] = deque()
        self._alone: set[int] = set()
        self._held: Case | None = None
        self._cases = self._after(outcomes)

    def batch(self, room: int, enough: Callable[[], bool]) -> Batch | None:
        """The next batch of `room` cases at most; `None` if there are no more.

        It is no larger than it is when there is `enough`.
        """
        cases: list[Case] = []
        taken = 0.0
        while len(cases) < room and not enough():
            case = self._held or self._next()
            self._held = None
            if case is None:
                break
            if cases and taken + case.share > ALONE:
                self._held = case
                break
            cases.append(case)
            taken += case.share
        return Batch(cases) if cases else None

    def put_back(self, batch: Batch, *, alone: bool = False) -> None:
        """Have the cases of a batch come next, rendered anew, one by one if `alone`."""
        self.render_anew()
        self._again.extendleft((case.position, case.planned) for case in reversed(batch.cases))
        if alone:
            self._alone.update(case.position for case in batch.cases)

    def render_anew(self) -> None:
        """Forget what was rendered already: the guest is another one."""
        if self._held is not None:
            self._again.appendleft((self._held.position, self._held.planned))
            self._held = None

    def hold_against(self, case: Case, kind: FindingKind) -> None:
        """Drop from the plan what has shown findings often enough."""
        self._hold(case.position, case.planned, kind)

    def _after(self, outcomes: Sequence[str]) -> Iterator[tuple[int, Planned]]:
        plan = enumerate(self._plan)
        for outcome, (position, planned) in zip(outcomes, plan, strict=False):
            # What was dropped then has to be dropped now, or the plan would be another.
            if outcome in _FINDINGS:
                self._hold(position, planned, FindingKind(outcome))
        yield from plan

    def _hold(self, position: int, planned: Planned, kind: FindingKind) -> None:
        if kind is FindingKind.LEAK:
            return  # it tells of many cases, not of this one
        self._blame.update(planned.elements)
        if kind is not FindingKind.DISAGREEMENT:
            self._blame.update(planned.leaves)  # every one costs the boot of a guest
        worn = [element for element, count in self._blame.items() if count >= _PATIENCE]
        self._plan.drop(worn, after=position + _AHEAD)

    def _next(self) -> Case | None:
        entry = self._again.popleft() if self._again else next(self._cases, None)
        if entry is None:
            return None
        position, planned = entry
        values = CaseValues(
            f"{self._seed}|{planned.name}", self._kids, self._source.now(), self._source.creation
        )
        if self._constant is not None and self._constant[0] is planned:
            script = self._constant[1]
        else:
            script = planned.request.render(context_of(planned, values))
        alone = self._apart or position in self._alone
        share = ALONE if alone else self._source.share(script)
        return Case(position, planned, script, values[NOW], share)

    def _canonical_bytes(self, planned: Planned) -> bytes:
        name: str = planned.request.name
        values = self._canonical.fresh()
        script: bytes = planned.request.render(context_of(planned, values))
        self._constant = None if values.asked else (planned, script)
        return name.encode() + script
