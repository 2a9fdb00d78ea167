# SPDX-License-Identifier: GPL-2.0-or-later
"""A report understood: symbolised, with its details, severity and source lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz.triage.details import Details, details
from fuzz.triage.frames import Frame
from fuzz.triage.guilty import guilty_file
from fuzz.triage.read import Report
from fuzz.triage.severity import Severity, severity
from fuzz.triage.symbols import Symbols

CONTEXT = 3
"""Source lines shown above and below the one to blame."""


@dataclass(frozen=True)
class SourceLine:
    """A line of source: its number, its text, and whether it is the one to blame."""

    number: int
    text: str
    guilty: bool


@dataclass(frozen=True)
class Analysis:
    """A report and what can be said about it.

    Attributes:
        report: the report.
        stack: innermost first, with files and lines where they are known.
        told: what the report tells of the error.
        severity: how bad it is.
        guilty: the frame to blame, `None` if it is not known.
        guilty_file: the source file to blame, empty if it is not known.
        source: lines around the guilty one, if the source is at hand.
        notes: what should be known when reading this, such as symbols that do not fit.
    """

    report: Report
    stack: list[Frame]
    told: Details
    severity: Severity
    guilty: Frame | None
    guilty_file: str
    source: list[SourceLine] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For machines; the first keys are those that syzkaller's corpus is scored by."""
        report, told = self.report, self.told
        return {
            "title": report.title,
            "type": report.type,
            "frame": report.frame,
            "corrupted": bool(report.corrupted),
            "alt_titles": report.alt_titles,
            "guilty_file": self.guilty_file,
            "panicked": report.panicked,
            "corrupted_because": report.corrupted,
            "severity": self.severity.level.name.lower(),
            "severity_because": self.severity.reasons,
            "access": told.access,
            "size": told.size,
            "address": None if told.address is None else f"{told.address:016x}",
            "object": {"cache": told.cache, "size": told.object_size, "place": told.place},
            "task": {"comm": told.comm, "pid": told.pid, "cpu": told.cpu},
            "kernel": told.release,
            "stack": [_frame(frame) for frame in self.stack],
            "allocated": [_frame(frame) for frame in told.allocated],
            "freed": [_frame(frame) for frame in told.freed],
            "source": [
                {"line": line.number, "text": line.text, "guilty": line.guilty}
                for line in self.source
            ],
            "notes": self.notes,
            "start": report.start,
            "end": report.end,
        }


def _frame(frame: Frame) -> dict[str, Any]:
    return {
        "function": frame.function,
        "module": frame.module,
        "file": frame.file,
        "line": frame.line,
        "inlined": frame.inlined,
    }


def understand(
    report: Report,
    symbols: Sequence[Symbols] = (),
    *,
    sources: Sequence[Path] = (),
    remote: bool = False,
) -> Analysis:
    """Say what can be said about a report.

    `symbols` are looked at for source lines, `sources` are folders that hold the trees
    that file names are relative to.
    """
    told = details(report)
    stack, notes = report.frames, []
    for one in symbols:
        misfits = _misfits(one, stack, told.build_id)
        notes += misfits
        stack = stack if misfits else one.resolve(stack)
    guilty = _guilty(report, stack)
    file = report.guilty_file or guilty_file(frame.file for frame in stack)
    if guilty is not None and guilty.module:
        file = guilty.file or file
    return Analysis(
        report,
        stack,
        told,
        severity(report, told, remote=remote),
        guilty,
        file,
        _source(guilty, sources),
        notes,
    )


def _misfits(symbols: Symbols, stack: Sequence[Frame], kernel_id: str) -> list[str]:
    """Whether symbols are of another build than what crashed.

    By build id, and where the kernel prints none by the sizes of its functions.
    """
    own = [f for f in stack if f.module == symbols.module and f.offset is not None and not f.file]
    ids = {frame.build_id for frame in own} if symbols.module else {kernel_id}
    for told in sorted(ids - {""}):
        if symbols.build_id and not symbols.build_id.startswith(told):
            return [f"{symbols.path} has build id {symbols.build_id}, what crashed has {told}"]
    wrong = [frame for frame in own if not symbols.fits(frame)]
    if not wrong:
        return []
    names = ", ".join(dict.fromkeys(frame.symbol for frame in wrong))
    return [f"{symbols.path} is of another build: the size of {names} differs"]


def _guilty(report: Report, stack: Sequence[Frame]) -> Frame | None:
    """The frame that the title names; of ours the innermost, if the title names none of ours."""
    for frame in stack:
        if frame.function == report.frame or frame.symbol == report.frame:
            return frame
    return next((frame for frame in stack if frame.module), None)


def _source(guilty: Frame | None, sources: Sequence[Path]) -> list[SourceLine]:
    if guilty is None or not guilty.line:
        return []
    for folder in sources:
        beside = folder / Path(guilty.file).name
        path = beside if guilty.module and beside.is_file() else folder / guilty.file
        if path.is_file():
            lines = path.read_text(errors="replace").expandtabs(8).splitlines()
            first = max(1, guilty.line - CONTEXT)
            last = min(len(lines), guilty.line + CONTEXT)
            return [SourceLine(n, lines[n - 1], n == guilty.line) for n in range(first, last + 1)]
    return []
