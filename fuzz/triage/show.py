# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports for people, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from fuzz.triage.frames import Frame
from fuzz.triage.severity import Level
from fuzz.triage.understand import Analysis

_STYLES = {
    Level.LOW: "cyan",
    Level.MEDIUM: "yellow",
    Level.HIGH: "red",
    Level.CRITICAL: "bold red",
}
_SHOWN = 16
"""Frames of a stack."""


def show(log: Path, analyses: Sequence[Analysis], console: Console) -> None:
    """Print the reports of one log."""

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    if not analyses:
        say(f"{escape(str(log))}: [green]no report[/]")
        return
    for one in analyses:
        report, level = one.report, one.severity.level
        say(f"{escape(str(log))}: [bold]{escape(report.title)}[/]")
        for other in report.alt_titles:
            say(f"  also    {escape(other)}")
        say(f"  is      {report.type or 'of no known type'}, [{_STYLES[level]}]{one.severity}[/]")
        for flaw in report.corrupted:
            say(f"  [yellow]but[/]     {escape(flaw)}")
        for note in one.notes:
            say(f"  [yellow]note[/]    {escape(note)}")
        for label, words in _facts(one):
            say(f"  {label:7} {escape(words)}")
        for frame in one.stack[:_SHOWN]:
            style = "bold" if frame is one.guilty else "" if frame.module else "dim"
            text = escape(frame_text(frame))
            say(f"    [{style}]{text}[/]" if style else f"    {text}")
        if len(one.stack) > _SHOWN:
            say(f"    [dim]and {len(one.stack) - _SHOWN} more[/]")
        for line in one.source:
            mark = ">" if line.guilty else " "
            say(f"  {mark} {line.number:5} {escape(line.text)}")


def _facts(one: Analysis) -> list[tuple[str, str]]:
    told = one.told
    facts = []
    if told.access:
        size = f" of {told.size} bytes" if told.size else ""
        at = f" at {told.address:#x}" if told.address is not None else ""
        facts.append(("access", f"{told.access}{size}{at}"))
    if told.cache:
        facts.append(("object", f"{told.place} a {told.cache} of {told.object_size} bytes"))
    if told.comm:
        facts.append(("task", f"{told.comm} ({told.pid}) on CPU {told.cpu}, {told.release}"))
    if one.guilty_file:
        facts.append(("blame", one.guilty_file))
    return facts


def frame_text(frame: Frame) -> str:
    """A frame as in symbolised reports: `func+0x1/0x2 file.c:3 [module]`."""
    text = frame.symbol
    if frame.offset is not None and frame.size is not None:
        text += f"+{frame.offset:#x}/{frame.size:#x}"
    if frame.file:
        text += f" {frame.file}:{frame.line}"
    if frame.inlined:
        text += " [inline]"
    if frame.module:
        text += f" [{frame.module}]"
    return text
