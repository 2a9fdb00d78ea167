# SPDX-License-Identifier: GPL-2.0-or-later
"""Naming a report: the function to blame, and titles that are the same in every run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fuzz.triage import frames, functions
from fuzz.triage.formats import INTRUDERS, Format, Stack
from fuzz.triage.frames import Frame

if TYPE_CHECKING:
    from fuzz.triage.read import Placed

CORRUPTED = "corrupted"
_WORKER = re.compile(r"^rcu_gp_(?:kthread|fqs_loop)$|^kthread$|^ret_from_fork")
_BOTTOM = re.compile(r"entry_(?:SYSCALL|SYSENTER|INT80)\w*|ret_from_fork\w*|el0t?_\w*sync")
_OF_INTERRUPT = re.compile(r"apic_timer_interrupt|asm_call|ret_from_intr|el1_irq|el1h_64|__irq_svc")
_CLEANED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"syz-executor\.?\d*(?:[/:]\d+)?"), "syz-executor"),
    (re.compile(r"syzkaller\d+(?:[/:]\d+)?"), "syzkaller"),
    (re.compile(rf"({frames.FUNCTION})\+0x[0-9a-f]+/0x[0-9a-f]+"), r"\1"),
    (re.compile(r"(?<![\w.])(?:0x)?[0-9a-f]{8,16}(?![\w.])"), "ADDR"),
    (re.compile(r"CPU#\d+"), "CPU"),
    (re.compile(r"(?<=[\w])(?::\d+)+(?!\d)"), ":LINE"),
    (re.compile(r"(?<![\w.])-?(?:0x)?\d[\da-f]*(?![\w.])"), "NUM"),
)
_NAMED = re.compile(r"\{(\w+)\}")


def blamed(
    one: Format, found: re.Match[str], placed: Sequence[Placed], texts: Sequence[str]
) -> Frame | str | None:
    """The function to blame, as a frame or as the header names it; `None` if it is not there."""
    if one.stack is Stack.NONE:
        return None
    named = found.groupdict().get("func")
    header = frames.function_name(named) if named else ""
    if header and "second" in found.groupdict():
        return header
    if header and (one.stack is Stack.HEADER or not functions.is_generic(header, one.skip)):
        return header
    if one.stack is Stack.COUNTER:
        counters = [e.frame for e in placed if e.frame.register and e.frame.reliable] or [
            e.frame for e in placed if e.frame.reliable
        ]
        if counters:
            return counters[0]
    if one.stack in (Stack.STALL, Stack.DEEP):
        return _stalled(placed, texts, anywhere=one.stack is Stack.DEEP)
    skip = (*one.skip, functions.WAITING) if "hung" in one.title or "die" in one.title else one.skip
    after = _after_backtrace(texts) if one.stack is Stack.TRACE else 0
    if after < 0:
        return None
    for entry in placed:
        if entry.part != "main" or entry.line < after or not entry.frame.reliable:
            continue
        if entry.frame.inlined:
            continue  # another compiler may not inline it, and a log without lines names none
        if _intruded(texts[: entry.line]):
            return None
        if not functions.is_generic(entry.frame.function, skip):
            return entry.frame
        if _BOTTOM.fullmatch(entry.frame.function):
            return None  # what follows is another stack
    return None


def _intruded(texts: Sequence[str]) -> bool:
    """Whether another stack is printed at the same time."""
    traced = False
    for text in texts:
        if INTRUDERS.search(text) or (traced and "should_fail" in text):
            return True
        traced = traced or "Call Trace" in text
    return False


def _after_backtrace(texts: Sequence[str]) -> int:
    for words in ("stack backtrace:", "Call Trace:", "Call trace:"):
        for number, text in enumerate(texts):
            if words in text:
                return number
    return -1


def _stalled(placed: Sequence[Placed], texts: Sequence[str], *, anywhere: bool) -> Frame | None:
    """The last function before one that only hands out work.

    A stall shows a random place in a loop. What the loop is part of is named further
    down: a timer's function, a system call, a file's operation.
    """
    for stack in _interrupted(placed, [""] if anywhere else texts, anywhere=anywhere):
        last: Frame | None = None
        for frame in stack:
            if functions.FAULTED.fullmatch(frame.function):
                last = None
            if functions.DISPATCHERS.fullmatch(frame.function):
                if last is not None:
                    return last
                if frame is stack[0]:
                    return frame
            elif not functions.is_generic(frame.function):
                last = frame
    return None


def _interrupted(
    placed: Sequence[Placed], texts: Sequence[str], *, anywhere: bool
) -> Iterator[list[Frame]]:
    """What stood on each stack below the interrupt."""
    reliable = [e for e in placed if e.part == "main" and e.frame.reliable]
    for sign in (functions.INTERRUPTED, functions.STOPPED):
        marks = [n for n, text in enumerate(texts) if anywhere or sign.search(text)]
        for mark in marks:
            below = [e.frame for e in reliable if e.line >= mark]
            while below and _OF_INTERRUPT.search(below[0].function):
                below.pop(0)
            yield below


def titles(
    one: Format, found: re.Match[str], name: Frame | str | None, placed: Sequence[Placed]
) -> list[str]:
    """The title, then the alternative ones, sorted."""
    raw = function_of(name)
    if one.unnamed and not raw and not found.groupdict().get("func"):
        return [_fill(one.unnamed, _values(found))]
    origin = _origin(one, placed)
    values = _values(found)
    spellings = functions.spellings(raw) if raw else [CORRUPTED]
    first = ""
    further = set()
    for spelling in spellings:
        for number, template in enumerate((one.title, *one.alts)):
            if "{origin}" in template and not origin:
                continue
            filled = {**values, "frame": spelling, "origin": origin}
            title = _fill(template, filled)
            if not number and not first:
                first = title
            else:
                further.add(title)
    further.discard(first)
    return [first, *sorted(further)]


def shown_frame(one: Format, found: re.Match[str], name: Frame | str | None) -> str:
    """The function to blame as shown; `corrupted` if it is missing, empty if none is due."""
    if name is not None:
        return functions.canonical(function_of(name))
    if "{frame}" in one.title:
        return CORRUPTED
    named = found.groupdict().get("func")
    return functions.canonical(frames.function_name(named)) if named else ""


def function_of(name: Frame | str | None) -> str:
    """A blamed function's name."""
    return name.function if isinstance(name, Frame) else name or ""


def _values(found: re.Match[str]) -> dict[str, str]:
    values = {key: value or "" for key, value in found.groupdict().items()}
    if "access" in values:
        values["Access"] = values["access"].capitalize()
    for key in ("func", "second"):
        if values.get(key):
            values[key] = functions.canonical(frames.function_name(values[key]))
    if "rest" in values:
        values["rest"] = cleaned(values["rest"])
    if "what" in values:
        values["what"] = values["what"].strip()
    return values


def _origin(one: Format, placed: Sequence[Placed]) -> str:
    """Where KMSAN's uninitialised memory came from."""
    for entry in placed:
        function = entry.frame.function
        if entry.part != "aside" or function in ("__alloc_skb", "__build_skb"):
            continue
        if not functions.is_generic(function, one.skip):
            return functions.canonical(function)
    return ""


def _fill(template: str, values: dict[str, str]) -> str:
    return _NAMED.sub(lambda m: values.get(m[1], m[0]), template).strip()


def cleaned(text: str) -> str:
    """A line without what differs from run to run."""
    for pattern, instead in _CLEANED:
        text = pattern.sub(instead, text)
    return text.strip(" .")
