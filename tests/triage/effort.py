# SPDX-License-Identifier: GPL-2.0-or-later
"""What reading a log costs, counted and not timed: the same on any machine, however busy."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import FrameType
from typing import Any, SupportsIndex

from fuzz.triage import frames
from fuzz.triage.read import read


class Counted(bytes):
    """Bytes that count how many of them are looked at or copied."""

    examined = 0

    def find(self, *arguments: Any) -> int:
        """As `bytes.find`: it looks from where it begins to where it ends."""
        return self._searched(super().find(*arguments), *_bounds(len(self), *arguments[1:]))

    def rfind(self, *arguments: Any) -> int:
        """As `bytes.rfind`: it looks from the end backwards."""
        start, end = _bounds(len(self), *arguments[1:])
        at = super().rfind(*arguments)
        self.examined += end - (at if at >= 0 else start)
        return at

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        """As that of bytes, with what is copied counted."""
        taken = super().__getitem__(key)
        self.examined += len(taken) if isinstance(taken, bytes) else 1
        return taken

    def _searched(self, at: int, start: int, end: int) -> int:
        self.examined += (at if at >= 0 else end) - start
        return at


def _bounds(length: int, start: int = 0, end: int | None = None) -> tuple[int, int]:
    start, end, _ = slice(start, end).indices(length)
    return start, max(start, end)


@dataclass(frozen=True)
class Effort:
    """What a log cost.

    Attributes:
        reports: found in it.
        steps: lines of Python that ran, a loop's once for each time around.
        examined: bytes of the log that were searched or copied.
    """

    reports: int
    steps: int
    examined: int


def effort(data: bytes) -> Effort:
    """Read a log, with nothing remembered from logs before."""
    frames.parse.cache_clear()
    counted, steps = Counted(data), 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal steps
        steps += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        reports = read(counted)
    finally:
        sys.settrace(before)
    return Effort(len(reports), steps, counted.examined)
