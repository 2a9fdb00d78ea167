# SPDX-License-Identifier: GPL-2.0-or-later
"""What describes one kind of kernel report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto


class Stack(Enum):
    """Where the function to blame is looked for."""

    NONE = auto()
    """Nowhere: the title names none, and the report need not have a stack."""
    ORDER = auto()
    """In the order of print: the header's function, the program counter, the stack."""
    STALL = auto()
    """Below the interrupt that found the stall, the last before a dispatcher."""
    HEADER = auto()
    """In the header, and there need not be a stack."""
    COUNTER = auto()
    """Where the program counter stood, whatever function that is."""
    DEEP = auto()
    """The last before a dispatcher: the stack is too deep for its top to say anything."""
    TRACE = auto()
    """Only on the stack proper, after "stack backtrace:" where there is one."""
    WAIT = auto()
    """On the stack proper, past what all waits go through."""
    HELD = auto()
    """Where the lock is taken, else where the one held was, else on the chain between them."""
    BECAME = auto()
    """Where the lock became what it must not be taken together with."""
    ASKED = auto()
    """In order, but a module's function before any that it called to allocate memory."""
    ORIGIN = auto()
    """Where the page comes from."""
    ANY = auto()
    """In the header, generic or not."""


@dataclass(frozen=True)
class Format:
    """One kind of report.

    Attributes:
        start: text without which no line begins such a report.
        pattern: matched where `start` is found, over this and the next lines.
        title: template.
        alts: templates of further titles under which the same bug may be known.
        stack: where the function to blame is looked for.
        skip: functions that do not name a bug in reports of this kind, besides the generic.
        corrupted: such reports lack something by their very form.
        bare: the stack follows without "Call Trace:".
        follows: in another report's lines it continues that report.
        unnamed: title where the header names no function and there is no stack.
    """

    start: str
    pattern: re.Pattern[str]
    title: str
    alts: tuple[str, ...] = ()
    stack: Stack = Stack.ORDER
    skip: tuple[re.Pattern[str], ...] = ()
    corrupted: bool = False
    bare: bool = False
    follows: bool = False
    unnamed: str = ""


def of(
    start: str,
    pattern: str,
    title: str,
    alts: tuple[str, ...] = (),
    stack: Stack = Stack.ORDER,
    skip: str = "",
    *,
    corrupted: bool = False,
    bare: bool = False,
    follows: bool = False,
    unnamed: str = "",
) -> Format:
    """A format; `pattern` is compiled, and `skip` divided at its spaces."""
    skips = (re.compile("|".join(skip.split())),) if skip else ()
    return Format(
        start, re.compile(pattern), title, alts, stack, skips, corrupted, bare, follows, unnamed
    )
