# SPDX-License-Identifier: GPL-2.0-or-later
"""Interleaved measurement: every round runs every contender once, next to its peer.

Times are the thread's own CPU time, so that a busy machine costs accuracy, not truth;
what is compared is the ratio within a round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

Work = Callable[[], object]


@dataclass(frozen=True)
class Contest:
    """Something of ours, and what it is held against.

    Attributes:
        name, peer_name: for people.
        size: payload, bytes.
        target: the least ratio of our rate to the peer's.
    """

    name: str
    peer_name: str
    size: int
    target: float
    ours: Work
    peer: Work


@dataclass(frozen=True)
class Result:
    """What came of it: rates per second (medians), and the ratios of the rounds."""

    name: str
    peer_name: str
    size: int
    target: float
    rate: float
    peer_rate: float
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median of the rounds."""
        return median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """Lower and upper quartile of the rounds."""
        low, _, high = quantiles(self.ratios, n=4)
        return low, high

    @property
    def met(self) -> bool:
        """Whether the median reaches the target."""
        return self.ratio >= self.target


def seconds(work: Work, calls: int) -> float:
    """CPU seconds that one call takes, over *calls* of them."""
    loop = range(calls)
    start = time.thread_time()
    for _ in loop:
        work()
    return (time.thread_time() - start) / calls


def run(
    contests: Sequence[Contest], rounds: int, slice_s: float, done: Callable[[], object]
) -> list[Result]:
    """Measure all of them, *rounds* times each; *done* is called after every round."""
    calls = [
        tuple(max(1, round(slice_s / seconds(work, 3))) for work in (contest.ours, contest.peer))
        for contest in contests
    ]
    times: list[list[tuple[float, float]]] = [[] for _ in contests]
    for _ in range(rounds):
        for contest, (ours, peer), taken in zip(contests, calls, times, strict=True):
            taken.append((seconds(contest.ours, ours), seconds(contest.peer, peer)))
        done()
    return [
        Result(
            contest.name,
            contest.peer_name,
            contest.size,
            contest.target,
            1 / median(ours for ours, _ in taken),
            1 / median(peer for _, peer in taken),
            tuple(peer / ours for ours, peer in taken),
        )
        for contest, taken in zip(contests, times, strict=True)
    ]
