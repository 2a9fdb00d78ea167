# SPDX-License-Identifier: GPL-2.0-or-later
"""Where in a log reports begin: a quick search of the bytes, then a look at the lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fuzz.triage.format import Format
from fuzz.triage.formats import STARTS
from fuzz.triage.lines import Log, LogLine
from fuzz.triage.noise import FIRMWARE, HARMLESS, OF_A_DISK

_REBOOT_SIGNS = (b"Booting the kernel", b"SeaBIOS (version", b"Linux version ")
# Where lockdep drew a frame around its titles, until 4.10: "[ INFO: ... ]".
# What puts a stamp of its own before each line also puts it before empty ones.
_CLOCK = re.compile(r"^\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?")
_WORDS = re.compile(r"\w{2}")
_SUBSYSTEM = re.compile(r"[\[\s-]*(?:[\w-]+: )?")
_HARMLESS = re.compile(HARMLESS.pattern.encode())
_BEFORE = re.compile(r"[A-Za-z_@]$")


@dataclass(frozen=True)
class Start:
    """A line that begins a report.

    Attributes:
        line: the line.
        text: of it, from where the report's own words begin.
        formats: what it may be, in the order in which to try.
    """

    line: LogLine
    text: str
    formats: tuple[Format, ...]


def starts(log: Log) -> Iterator[Start]:
    """The lines of a log that begin a report, in order."""
    for offset in sorted(candidates(log)):
        start = start_at(log, log.line_at(offset))
        if start is not None:
            yield start


def start_at(log: Log, line: LogLine) -> Start | None:
    """What report a line of a log begins; `None` if none."""
    return start_of(line, stamps=log.stamped) if line.start in candidates(log) else None


def candidates(log: Log) -> frozenset[int]:
    """Where the lines begin that hold a start's words.

    `bytes.find` passes over a gigabyte in about a second, a regular expression that
    joins the words takes a hundred times that.
    """
    if log.marks is not None:
        return log.marks
    data = log.data
    found: set[int] = set()
    for words in STARTS:
        needle = words.encode()
        at = data.find(needle)
        while at >= 0:
            if not _HARMLESS.match(data, at):
                found.add(data.rfind(b"\n", 0, at) + 1)
            newline = data.find(b"\n", at)
            if newline < 0:
                break
            at = data.find(needle, newline)
    log.marks = frozenset(found)
    return log.marks


def start_of(line: LogLine, *, stamps: bool = False) -> Start | None:
    """What report a line begins; `None` if none. `stamps`: the log's lines are stamped."""
    best: tuple[int, str] | None = None
    for words in STARTS:
        at = line.text.find(words)
        if at < 0 or (best is not None and at >= best[0]):
            continue
        if words[0].isupper() and words[1].isupper() and _BEFORE.search(line.text[:at]):
            continue  # "DEBUG:"
        best = at, words
    if best is None:
        return None
    at, words = best
    if HARMLESS.match(line.text, at) or OF_A_DISK.search(line.text[:at]):
        return None
    # Programs print warnings and notes of their own: those of the kernel are stamped, or,
    # where the console's stamps are off, begin the line.
    if (
        words in ("WARNING:", "INFO:", "BUG ")
        and not line.stamped
        and ((stamps and not line.stamped) or not _SUBSYSTEM.fullmatch(line.text, 0, at))
    ):
        return None
    formats = tuple(one for one in STARTS[words] if one.pattern.match(line.text, at) or _long(one))
    return Start(line, line.text[at:], formats) if formats else None


def _long(one: Format) -> bool:
    """Whether a format's pattern needs more than a line."""
    return r"\n" in one.pattern.pattern


def rebooted(log: Log) -> LogLine | None:
    """The first line of a boot that something else was printed before; `None` if none."""
    first = min((at for sign in _REBOOT_SIGNS if (at := log.data.find(sign)) >= 0), default=-1)
    if first < 0:
        return None
    before = log.data[: log.line_start(first)]
    printed = before.decode("utf-8", "replace").splitlines()
    earlier = [text for text in printed if _WORDS.search(_CLOCK.sub("", text))]
    firmware = [index for index, text in enumerate(earlier) if FIRMWARE.search(text)]
    if firmware:
        earlier = earlier[: firmware[0]]
    again = log.data.find(b"Linux version ", log.data.find(b"Linux version ") + 1)
    if earlier:
        return log.line_at(log.line_start(first))
    return log.line_at(log.line_start(again)) if again >= 0 else None
