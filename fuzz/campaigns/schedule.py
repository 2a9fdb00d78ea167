# SPDX-License-Identifier: GPL-2.0-or-later
"""Which shards a run has, and how long each of them is run."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.progress import Limits, Past, Shard
from fuzz.store import Store


@dataclass(frozen=True)
class Task:
    """A shard, how long to run it, and what was done of it before."""

    shard: Shard
    limits: Limits
    past: Past


class Schedule:
    """Deals out a run's shards, and gives each its share of what is left."""

    def __init__(
        self,
        store: Store,
        campaigns: Sequence[Campaign],
        limits: Limits,
        jobs: int,
        slices: int = 1,
    ) -> None:
        """`jobs` shards are run at a time, and there are so many times `slices` if possible.

        A campaign has several shards if there are fewer campaigns than that.
        """
        self._limits = limits
        self._left = None if limits.seconds is None else limits.seconds * jobs
        self._given: dict[Shard, float] = {}
        self._found = 0
        self._waiting: deque[tuple[Shard, Past]] = deque()
        wanted = -(-jobs * slices // len(campaigns))
        for one in campaigns:
            number = store.begin_campaign(one.name, wanted)
            for index, count, _ in store.shards(number):
                shard = Shard(one.name, index, count)
                past = Past.of(store, shard)
                self._found += past.progress.findings
                if self._left is not None:
                    self._left -= past.progress.seconds
                self._waiting.append((shard, past))

    @property
    def enough(self) -> bool:
        """Whether there are as many findings as are wanted."""
        return self._limits.findings is not None and self._found >= self._limits.findings

    def found(self) -> None:
        """Note that something new was found."""
        self._found += 1

    def next(self) -> Task | None:
        """A shard to run now, `None` if there is no other."""
        while self._waiting and not self.enough:
            share = self._share()
            shard, past = self._waiting.popleft()
            limits = Limits(
                self._cases(shard),
                None if share is None else past.progress.seconds + share,
                self._findings(past),
            )
            if past.outcomes and past.progress.reached(limits):
                continue
            if share is not None and self._left is not None:
                self._left -= share
                self._given[shard] = share
            return Task(shard, limits, past)
        return None

    def done(self, task: Task, seconds: float) -> None:
        """Take back what a shard has not used of its time; `seconds` are those of its cases."""
        if self._left is not None:
            used = seconds - task.past.progress.seconds
            self._left += max(0.0, self._given.pop(task.shard) - used)

    def _share(self) -> float | None:
        return None if self._left is None else max(0.0, self._left) / len(self._waiting)

    def _cases(self, shard: Shard) -> int | None:
        if self._limits.cases is None:
            return None
        each, more = divmod(self._limits.cases, shard.count)
        return each + (shard.number < more)

    def _findings(self, past: Past) -> int | None:
        """Its own and as many as are wanted beyond those of all shards."""
        if self._limits.findings is None:
            return None
        return past.progress.findings + self._limits.findings - self._found
