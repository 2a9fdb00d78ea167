# SPDX-License-Identifier: GPL-2.0-or-later
"""Whom a report blames: the first function that says anything, looked for where its kind says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fuzz.triage import frames, functions
from fuzz.triage.format import Format, Stack
from fuzz.triage.frames import Frame
from fuzz.triage.noise import INTRUDERS

if TYPE_CHECKING:
    from fuzz.triage.read import Placed

_BOTTOM = re.compile(r"entry_(?:SYSCALL|SYSENTER|INT80)\w*|ret_from_fork\w*|el0t?_\w*sync")
# Where a stack begins, so that the one before it is over.
_NEXT_STACK = re.compile(r"Call [Tt]race:|Backtrace:|^ *(?:Allocated|Freed)(?: by task \d+)?:")
_TAKEN_AT = re.compile(
    rf"\bat: (?:\[<[0-9a-f]+>\] +)*(?P<func>{frames.FUNCTION})\+0x[0-9a-f]+/0x[0-9a-f]+"
)
# What an injected fault prints when it is not what is reported.
INJECTED = re.compile(r"\bshould_fail(?:slab)?(?:\.[a-z0-9.]+)?\+0x")
_BECAME = re.compile(r"which became \S+ at:")
_ORIGIN = re.compile(r"page last allocated")


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
    if header and (
        one.stack in (Stack.HEADER, Stack.ANY) or not functions.is_generic(header, one.skip)
    ):
        return header
    if one.stack is Stack.COUNTER:
        counters = [e.frame for e in placed if e.frame.register and e.frame.reliable] or [
            e.frame for e in placed if e.frame.reliable
        ]
        if counters:
            return counters[0]
    if one.stack in _OF_THEIR_OWN:
        return _OF_THEIR_OWN[one.stack](placed, texts, one.skip)
    if one.stack is Stack.ASKED:
        stack = [e.frame for e in placed if e.part == "main" and _real(e.frame)]
        if asking := [frame for frame in stack if frame.module]:
            return _first(asking, one.skip) or asking[0]
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
        if not functions.is_generic(entry.frame.function, one.skip):
            if _BOTTOM.fullmatch(entry.frame.function) and not entry.frame.register:
                return None  # what follows is another stack
            return entry.frame
    return None


def _intruded(texts: Sequence[str]) -> bool:
    """Whether another stack is printed at the same time."""
    traced = False
    for text in texts:
        if INTRUDERS.search(text) or (traced and INJECTED.search(text)):
            return True
        traced = traced or "Call Trace" in text
    return False


def _after_backtrace(texts: Sequence[str]) -> int:
    for words in ("stack backtrace:", "Call Trace:", "Call trace:"):
        for number, text in enumerate(texts):
            if words in text:
                return number
    return -1


_Skip = Sequence[re.Pattern[str]]


def _between(placed: Sequence[Placed], texts: Sequence[str], start: int) -> list[Frame]:
    """What is really on the stack after a line, up to where another stack begins."""
    rest = range(start + 1, len(texts))
    end = next((n for n in rest if _NEXT_STACK.search(texts[n])), len(texts))
    return [e.frame for e in placed if start < e.line < end and _real(e.frame)]


def _real(frame: Frame) -> bool:
    return frame.reliable and not frame.inlined


def _first(stack: Sequence[Frame], skip: _Skip) -> Frame | None:
    return next((f for f in stack if not functions.is_generic(f.function, skip)), None)


def _stalled(placed: Sequence[Placed], texts: Sequence[str], skip: _Skip) -> Frame | None:
    """The last function before one that only hands out work, below the interrupt.

    A stall shows a random place in a loop. What the loop is part of is named further
    down: a timer's function, a system call, a file's operation.
    """
    for sign in (functions.INTERRUPTED, functions.ENTERED):
        for mark in (n for n, text in enumerate(texts) if sign.search(text)):
            found = _handed_out(_between(placed, texts, mark), skip)
            if found is not None:
                return found
    for mark in (n for n, text in enumerate(texts) if functions.SHOWN.search(text)):
        if not _between(placed, texts, mark):  # s390's has a heading
            rest = range(mark + 1, len(texts))
            mark = next((n for n in rest if _NEXT_STACK.search(texts[n])), mark)
        found = _handed_out(_between(placed, texts, mark), skip)
        if found is not None:
            return found
    return None


def _deep(placed: Sequence[Placed], texts: Sequence[str], skip: _Skip) -> Frame | None:
    """The same from the top: there is no interrupt, or the program counter stands below it."""
    for trace in (n for n, text in enumerate(texts) if _NEXT_STACK.search(text)):
        counters = [e.frame for e in placed if e.line < trace and e.frame.register]
        stack = [f for f in counters if _real(f)][-1:] + _between(placed, texts, trace)
        found = _handed_out(stack, skip)
        if found is not None:
            return found
    return None


def _handed_out(stack: Sequence[Frame], skip: _Skip) -> Frame | None:
    last: Frame | None = None
    for frame in stack:
        if functions.is_generic(frame.function, skip):
            continue
        if functions.DISPATCHERS.search(functions.canonical(frame.function)):
            return frame if last is None or "smp_call_function" in frame.function else last
        last = frame
    return None


def _waiting(placed: Sequence[Placed], texts: Sequence[str], skip: _Skip) -> Frame | None:
    """What is waited for, if that tells much; else who waits."""
    after = _after_backtrace(texts)
    if after < 0:
        return None
    stack = [f for f in _between(placed, texts, after) if not functions.is_generic(f.function)]
    for frame in stack:
        found = functions.WAITED_FOR.search(frame.function)
        if found:
            return replace(frame, function="synchronize_rcu") if found["rcu"] else frame
    return _first(stack, (*skip, functions.WAITING))


def _held(placed: Sequence[Placed], texts: Sequence[str], skip: _Skip) -> Frame | str | None:
    """Where the lock is taken, where the one that is held was, or on the chain between them."""
    line = 0
    for number, text in enumerate(texts):
        found = _TAKEN_AT.search(text)
        if not found:
            continue
        function = frames.function_name(found["func"])
        if not functions.is_generic(function, skip):
            return function
        if line:
            return _first(_between(placed, texts, number), skip)
        line = number
    return None


def _after(sign: re.Pattern[str]) -> Callable[..., Frame | None]:
    """A finder of the first function on the stack after a line of a kind."""

    def found(placed: Sequence[Placed], texts: Sequence[str], skip: _Skip) -> Frame | None:
        for number, text in enumerate(texts):
            if sign.search(text):
                return _first(_between(placed, texts, number), skip)
        return None

    return found


_OF_THEIR_OWN: dict[Stack, Callable[..., Frame | str | None]] = {
    Stack.STALL: _stalled,
    Stack.DEEP: _deep,
    Stack.WAIT: _waiting,
    Stack.HELD: _held,
    Stack.BECAME: _after(_BECAME),
    Stack.ORIGIN: _after(_ORIGIN),
}
