# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading console logs: how time grows with the reports, and what a log without any costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fuzz.bench.measure import Work, seconds
from fuzz.errors import UserError
from fuzz.triage.read import read

GROWTH_TARGET = 12.0
"""Times as long that ten times as many reports may take."""
CLEAN_TARGET = 5.0
"""Seconds for :data:`CLEAN_SIZE`."""
CLEAN_SIZE = 50_000_000
"""Bytes of the log without reports."""

_FEW = 60
_CLEAN = b"[    2.345678][  T123] usb 1-1: new high-speed USB device number 2 using dummy_hcd\n"


@dataclass(frozen=True)
class TriageResult:
    """One measurement, the least CPU time of its rounds.

    Attributes:
        name: the log's name, or `no reports`.
        seconds: what it took: 600 times the log, or 50 MB without a report.
        against: seconds of what it is held against: 60 times the log, or only splitting
            the 50 MB into lines.
        growth: whether the ratio is what has a target, not the seconds.
    """

    name: str
    seconds: float
    against: float
    growth: bool

    @property
    def ratio(self) -> float:
        """How many times as long it takes."""
        return self.seconds / self.against

    @property
    def target(self) -> float:
        """The most that the ratio, or the seconds, may be."""
        return GROWTH_TARGET if self.growth else CLEAN_TARGET

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return (self.ratio if self.growth else self.seconds) <= self.target


def run(logs: Sequence[Path], rounds: int) -> Iterator[TriageResult]:
    """Read each log 60 and 600 times over, and a long one without reports.

    Raises:
        UserError: a log cannot be read, or does not hold one report.
    """
    for path in logs:
        try:
            one = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error
        found = len(read(one)), len(read(one * _FEW))
        if found != (1, _FEW):
            raise UserError(f"{path}: holds {found[0]} reports, {found[1]} when repeated {_FEW}x")
        few, many = one * _FEW, one * _FEW * 10
        yield _least(path.stem, partial(read, many), partial(read, few), rounds, growth=True)
    clean = _CLEAN * (CLEAN_SIZE // len(_CLEAN))
    yield _least("no reports", partial(read, clean), clean.splitlines, rounds, growth=False)


def _least(name: str, work: Work, peer: Work, rounds: int, *, growth: bool) -> TriageResult:
    """The least of rounds that alternate: other work on the machine only ever adds."""
    times = [(seconds(work, 1), seconds(peer, 1)) for _ in range(rounds)]
    taken, against = (min(column) for column in zip(*times, strict=True))
    return TriageResult(name, taken, against, growth)
