# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel reports on a guest's console: `fuzz.triage` reads them, this takes them as they come."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from fuzz.guest.console import Console, Line
from fuzz.triage.lines import Log
from fuzz.triage.read import Report, read
from fuzz.triage.scan import starts

CONTEXT_LINES = 600
"""Lines of a report that are kept, the reports that follow it included."""
_FLAGS = re.compile(r"\bEFLAGS: ([0-9a-f]{8,16})\b")
_ONES = 1 << 1
_ZEROS = 1 << 3 | 1 << 5 | 1 << 15 | (1 << 64) - (1 << 22)
"""Bits of the register that are so whatever happens (Intel's manual, volume 1, 3.4.3)."""


def report_line(text: str) -> bool:
    """Whether a console line begins a kernel report."""
    return any(True for _ in starts(Log(text.encode())))


class ReportWatch:
    """Looks for reports in what a console has printed since it last looked."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._position = len(console)

    def skip(self) -> None:
        """Take everything printed so far as seen."""
        self._position = len(self._console)

    def look(self) -> list[Line]:
        """The lines from the first unseen report on, at most `CONTEXT_LINES`; else none.

        Everything printed so far counts as seen afterwards.
        """
        lines = self._console.since(self._position)
        self._position += len(lines)
        for index, line in enumerate(lines):
            if report_line(line.text):
                return lines[index : index + CONTEXT_LINES]
        return []

    def rest(self) -> list[Line]:
        """What was printed since, whatever it is; counts as seen."""
        lines = self._console.since(self._position)
        self._position += len(lines)
        return lines


def first_report(lines: Sequence[Line]) -> Report | None:
    """The first report in console lines; `None` if there is none."""
    reports = read("".join(f"{line.text}\n" for line in lines).encode())
    return reports[0] if reports else None


def impossible(lines: Iterable[Line]) -> bool:
    """Whether console lines show flags that no processor has: QEMU has mistaken them.

    It works them out when they are asked for; in a wrong state an interrupt ends in a panic.
    """
    found = (int(match[1], 16) for line in lines for match in _FLAGS.finditer(line.text))
    return any(flags & _ZEROS or not flags & _ONES for flags in found)


def title(lines: Sequence[Line]) -> str:
    """A name for what console lines report: the same in every run."""
    report = first_report(lines)
    return report.title if report is not None else "kernel report"
