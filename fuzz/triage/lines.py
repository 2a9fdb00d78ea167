# SPDX-License-Identifier: GPL-2.0-or-later
"""Console output as lines, read where they are needed and only once.

A console log can be large and almost always is free of reports, so nothing is split
or decoded before something in it looks like one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# "[   56.041277] ", with CONFIG_PRINTK_CALLER "[   56.041277][ T8377] " or "[...][    C0] ";
# dmesg -T puts the time of day in their place.
_TIMES = r"\[(?: *\d+\.\d{0,9}|\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\]"
_STAMP = re.compile(rf"{_TIMES}(?:\[ *([TC]\d+)\])? ?")
# What a log daemon puts in front, with or without the kernel's own stamp after it; and
# the time alone, as what collects a guest's console writes it.
_CLOCK = r"(?:\w{3} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*)"
_LOGGED = re.compile(rf"{_CLOCK} \S+ kernel: ?")
_CLOCKED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*(?: |$)")
# A level, as in raw /proc/kmsg and on some boards' consoles: "<4>[   12.3] ...".
_LEVEL = re.compile(r"<\d{1,2}>")
_NOTICE = re.compile(
    r"^\** *(?:\d+ printk messages dropped|replaying previous printk message) *\** ?"
)
# scripts/decode_stacktrace.sh replaces offsets by places: "func (file.c:12 caller.c:3) module",
# of which the last is in the function, the others in what is inlined there.
_AT = r"[\w./+-]+\.(?:[chS]|rs):\d+"
_BRANCH = r"(?: \(discriminator \d+\))?"
_PLACES = re.compile(
    rf"(?<![\w.$])([A-Za-z_][\w.$]*) \((?:{_AT}{_BRANCH} ){{0,32}}({_AT}){_BRANCH}\)"
    r"(?: \[?(?!by\b)([\w-]+)\]?(?=\s*$))?"
)
NOWHERE = "+0x0/0x0"
"""The offset and size given to a function whose place has been told instead of them."""
# Colours and cursor movements, which firmware and shells emit.
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|[()][0-9A-B]|[c78=>])")
_STAMPED = re.compile(rf"^(?:<\d+>)?{_TIMES}".encode(), re.MULTILINE)
_SAMPLE = 1 << 16
_STAMP_WITHIN = 160
"""A stamp further right in a line than this belongs to the text."""
_LONGEST = 4096
"""Characters of a line that are looked at."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a console.

    Attributes:
        start: offset of its first byte in the log.
        end: offset of the first byte after it, newline included.
        context: who printed it, as `T123` (a task) or `C0` (a CPU's interrupt
            handlers); empty if the kernel does not say, or it is not the kernel's.
        stamped: it carries the kernel's time stamp.
        text: without stamp, level and colours.
    """

    start: int
    end: int
    context: str
    stamped: bool
    text: str


class Log:
    """A console log."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._lines: dict[int, LogLine] = {}
        self.marks: frozenset[int] | None = None  # the scanner's notes
        self.stamped = bool(_STAMPED.search(data, 0, _SAMPLE))

    def line_start(self, offset: int) -> int:
        """The offset of the first byte of the line that a byte is in."""
        return self.data.rfind(b"\n", 0, offset) + 1

    def line_at(self, start: int) -> LogLine:
        """The line that begins at an offset."""
        found = self._lines.get(start)
        if found is None:
            found = self._lines[start] = self._read(start)
        return found

    def forget(self, offset: int) -> None:
        """Let go of the lines before an offset: they are not asked for again."""
        while self._lines and (first := next(iter(self._lines))) < offset:
            del self._lines[first]

    def lines_from(self, start: int) -> Iterator[LogLine]:
        """Lines from the one that begins at an offset to the log's end."""
        while start < len(self.data):
            line = self.line_at(start)
            yield line
            start = line.end

    def _read(self, start: int) -> LogLine:
        newline = self.data.find(b"\n", start)
        end = len(self.data) if newline < 0 else newline + 1
        raw = self.data[start : min(end, start + _LONGEST)]
        context, stamped, text = plain(raw.decode("utf-8", "replace").rstrip("\r\n"))
        if ":" in text and ")" in text:
            text = _PLACES.sub(_offset, text)
        return LogLine(start, end, context, stamped, text)


def _offset(found: re.Match[str]) -> str:
    module = f" [{found[3]}]" if found[3] else ""
    return f"{found[1]}{NOWHERE}{module} {found[2]}"


def plain(text: str) -> tuple[str, bool, str]:
    """Take a line apart: who printed it, whether it is stamped, and its text.

    What stands before a stamp (a log daemon's own stamp and host name, half a line of
    a program) is no part of the kernel's line.
    """
    text = _ESCAPES.sub("", text)
    found = _STAMP.search(text, 0, _STAMP_WITHIN)
    if found is None and (logged := _LOGGED.match(text)):
        return "", True, text[logged.end() :]
    if found is None:
        text = _CLOCKED.sub("", text, count=1) if text[:2] == "20" else text
        text = _LEVEL.sub("", text, count=1) if text.startswith("<") else text
        return "", False, _NOTICE.sub("", text)
    return found[1] or "", True, text[found.end() :]
