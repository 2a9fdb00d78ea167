# SPDX-License-Identifier: GPL-2.0-or-later
"""Which mutations a campaign runs, in which order.

boofuzz goes through a grammar element by element, so that a short run never gets
past the first field. Here every element has its turn before any has its second: a
run of any length covers the grammar evenly. When all single mutations are through,
combinations of two and three follow, until there are no new ones.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from boofuzz import Fuzzable, FuzzableBlock
from boofuzz.mutation import Mutation

from fuzz.campaigns.steps import CaseRequest

_COMBINED = 4
"""Of so many cases one combines mutations while single ones are left."""

_EXHAUSTED = 2000
"""After so many cases in a row that were there before, there are no others."""


@dataclass(frozen=True)
class Planned:
    """A case: a request and the mutations applied to it."""

    request: CaseRequest
    mutations: tuple[Mutation, ...]

    @property
    def elements(self) -> tuple[str, ...]:
        """The qualified names of what is mutated; the request's if nothing is."""
        return tuple(m.qualified_name for m in self.mutations) or (self.request.name,)

    @property
    def leaves(self) -> tuple[str, ...]:
        """What is mutated wherever it is: `kpos`, `payload` and so on."""
        return tuple(m.qualified_name.rpartition(".")[2] for m in self.mutations)

    @property
    def name(self) -> str:
        """What the case is known by: its request, and the mutations in it."""
        mutations = ", ".join(f"{m.qualified_name}:{m.index}" for m in self.mutations)
        return f"{self.request.name}:[{mutations}]"


def _elements(block: FuzzableBlock) -> Iterator[Fuzzable]:
    for item in block.stack:
        if isinstance(item, FuzzableBlock):
            yield from _elements(item)
        elif item.fuzzable:
            yield item


class Plan:
    """The cases of one campaign, without duplicates."""

    def __init__(
        self,
        requests: Sequence[CaseRequest],
        seed: str,
        render: Callable[[Planned], bytes],
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """
        Args:
            requests: the grammar.
            seed: of the order.
            render: gives a case's bytes under fixed values: equal bytes, equal cases.
            part: number and count: only cases whose digest is the number modulo the count, so
                that no case is in two parts, whatever is dropped from them.
        """
        self._draw = random.Random(f"{seed}|plan")
        self._render = render
        self._requests = list(requests)
        self._pools: dict[CaseRequest, dict[str, list[Mutation]]] = {
            request: {
                element.qualified_name: [
                    mutation for mutations in element.get_mutations() for mutation in mutations
                ]
                for element in _elements(request)
            }
            for request in self._requests
        }
        self._seen: set[bytes] = set()
        self._dropped: set[str] = set()
        self._part = part
        self._drops: list[tuple[int, Sequence[str]]] = []

    @property
    def singles(self) -> int:
        """How many single mutations there are."""
        return sum(len(pool) for pools in self._pools.values() for pool in pools.values())

    def drop(self, elements: Sequence[str], after: int = 0) -> None:
        """Plan no more cases that mutate one of these, given as elements or leaves.

        The first `after` cases of the plan stay: a run that drops something when it has planned
        ahead, and one that is resumed and knows it from the beginning, have the same cases.
        """
        self._drops.append((after, elements))

    def _wanted(self, planned: Planned) -> bool:
        return self._dropped.isdisjoint((*planned.elements, *planned.leaves))

    def __iter__(self) -> Iterator[Planned]:
        number, count = self._part
        old = planned_so_far = 0
        for planned in self._in_turn():
            old += 1
            if old > _EXHAUSTED:
                return
            self._drop_what_is_due(planned_so_far)
            if not self._wanted(planned):
                continue
            digest = hashlib.blake2b(self._render(planned), digest_size=16).digest()
            if digest in self._seen:
                continue
            self._seen.add(digest)
            old = 0
            if int.from_bytes(digest) % count == number:
                planned_so_far += 1
                yield planned

    def _drop_what_is_due(self, planned: int) -> None:
        for after, elements in self._drops:
            if after <= planned:
                self._dropped.update(elements)
        self._drops = [drop for drop in self._drops if drop[0] > planned]

    def _in_turn(self) -> Iterator[Planned]:
        for request in self._requests:
            yield Planned(request, ())
        singles = self._singles()
        combined = self._combinations()
        for count, planned in enumerate(singles, start=1):
            yield planned
            if count % _COMBINED == 0:
                yield next(combined)
        yield from combined

    def _singles(self) -> Iterator[Planned]:
        """Round after round, one mutation of every element."""
        queues = []
        for request, pools in self._pools.items():
            for pool in pools.values():
                queue = list(pool)
                self._draw.shuffle(queue)
                if queue:
                    queues.append((request, queue))
        while queues:
            self._draw.shuffle(queues)
            for request, queue in queues:
                yield Planned(request, (queue.pop(),))
            queues = [entry for entry in queues if entry[1]]

    def _combinations(self) -> Iterator[Planned]:
        while True:
            request = self._draw.choice(self._requests)
            pools = [pool for pool in self._pools[request].values() if pool]
            count = min(len(pools), self._draw.choice((2, 2, 2, 3)))
            chosen = self._draw.sample(pools, count)
            yield Planned(request, tuple(self._draw.choice(pool) for pool in chosen))
