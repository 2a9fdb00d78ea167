# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines of C belong to statements that ask nothing.

The compiler has branches there all the same: of inline functions of other files, of lockdep's
and RCU's checks in macros, of sizes that could overflow. The line of the statement says nothing
about them, and where they are ours they are counted where they are written.
"""

from __future__ import annotations

import re

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
_DIRECTIVE = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.MULTILINE)
_ASKS = re.compile(r"\b(?:if|else|while|for|do|switch|case)\b|for_each|\?|&&|\|\||[<>!]|==")
_END = re.compile(r"[;{}]")


def unconditional(text: str) -> frozenset[int]:
    """The lines, from 1, of statements without a condition, a loop or a comparison."""
    for what in (_COMMENT, _STRING, _DIRECTIVE):
        text = what.sub(_blank, text)
    text = text.replace("->", "  ")
    found: set[int] = set()
    asking: set[int] = set()
    start = depth = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        # The semicolons of for (;;) end nothing.
        if depth or not _END.match(character):
            continue
        statement = text[start:at]
        begin = start + len(statement) - len(statement.lstrip())
        first = text.count("\n", 0, begin) + 1
        lines = range(first, text.count("\n", 0, at) + 2)
        (asking if _ASKS.search(statement) else found).update(lines)
        start = at + 1
    return frozenset(found - asking)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])
