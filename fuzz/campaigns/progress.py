# SPDX-License-Identifier: GPL-2.0-or-later
"""How far a run is to go, how far it has got, and who is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from fuzz.finding import Finding
from fuzz.report import summary_of
from fuzz.stored import StoredRun


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


@dataclass(frozen=True)
class Shard:
    """A part of a campaign, which one guest at a time runs.

    Attributes:
        campaign: its name.
        number: of the shard, from 0.
        count: how many the campaign has.
    """

    campaign: str
    number: int = 0
    count: int = 1

    def __str__(self) -> str:
        if self.count == 1:
            return self.campaign
        return f"{self.campaign} {self.number + 1}/{self.count}"

    @property
    def folder(self) -> str:
        """Where in the run's directory its guests' console is kept."""
        return f"{self.campaign}-{self.number + 1}" if self.number else self.campaign


@dataclass
class Progress:
    """How far a shard has got.

    `findings` are those that it was the first to show. `edges` of the module's code are those
    taken by then, by anybody; `None` if they are not counted.
    """

    cases: int = 0
    seconds: float = 0.0
    authenticated: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    findings: int = 0
    edges: int | None = None

    @property
    def rate(self) -> float:
        """Cases per second."""
        return self.cases / self.seconds if self.seconds else 0.0

    def reached(self, limits: Limits) -> bool:
        """Whether one of the limits is."""
        return (
            _reached(self.cases, limits.cases)
            or _reached(self.seconds, limits.seconds)
            or _reached(self.findings, limits.findings)
        )

    @classmethod
    def total(cls, parts: Sequence[Progress]) -> Self:
        """Of several shards together."""
        verdicts: Counter[str] = Counter()
        for part in parts:
            verdicts.update(part.verdicts)
        return cls(
            sum(part.cases for part in parts),
            sum(part.seconds for part in parts),
            sum(part.authenticated for part in parts),
            verdicts,
            sum(part.findings for part in parts),
            # Each of them knows the others' but for the last second's.
            max((part.edges for part in parts if part.edges is not None), default=None),
        )


def _reached(value: float, limit: float | None) -> bool:
    return limit is not None and value >= limit


@dataclass(frozen=True)
class Past:
    """What was done of a shard before, with the same seed.

    Attributes:
        progress: how far it got.
        outcomes: of each case, in order: `agree` or a finding's kind.
        boots: of its guest.
    """

    progress: Progress = field(default_factory=Progress)
    outcomes: tuple[str, ...] = ()
    boots: int = 0

    @classmethod
    def of(cls, store: StoredRun, shard: Shard) -> Self:
        """Read it."""
        for campaign, name, _ in store.campaigns():
            if name == shard.campaign:
                done = summary_of(store, name, shard.number)
                progress = Progress(done.cases, done.seconds, done.authenticated)
                for (_, verdict), count in done.module.items():
                    progress.verdicts[verdict] += count
                progress.findings = store.firsts(campaign, shard.number)
                outcomes = store.past(campaign, shard.number)
                return cls(progress, tuple(outcomes), store.boots(campaign, shard.number))
        return cls()


class Watcher(Protocol):
    """Who is told how a run goes."""

    def booting(self, shard: Shard, again: bool) -> None:
        """A guest is being booted, for the first time or after a finding."""

    def progress(self, shard: Shard, progress: Progress) -> None:
        """A shard got further."""

    def found(self, shard: Shard, finding: Finding, case: int) -> None:
        """A case showed something not seen before."""

    def ended(self, shard: Shard) -> None:
        """A shard is through."""
