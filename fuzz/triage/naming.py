# SPDX-License-Identifier: GPL-2.0-or-later
"""Naming a report: titles that are the same in every run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fuzz.triage import frames, functions
from fuzz.triage.format import Format
from fuzz.triage.frames import Frame

if TYPE_CHECKING:
    from fuzz.triage.read import Placed

CORRUPTED = "corrupted"
# What differs from run to run, in syzkaller's order (pkg/report/report.go).
_CLEANED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"syz-executor\.?\d+(?:[/:]\d+)?"), "syz-executor"),
    (re.compile(r"syzkaller\d+(?:[/:]\d+)?"), "syzkaller"),
    (re.compile(r"(?<=[^a-zA-Z0-9])(?:0x)?[0-9a-f]{6,}"), "ADDR"),
    (re.compile(r"\d{1,3}(?:\.\d{1,3}){3}"), "IP"),
    (re.compile(r"(?<=\.)(\w+)(?::\d+)+"), r"\1:LINE"),
    (re.compile(rf"({frames.FUNCTION})\+0x[0-9a-f]+/0x[0-9a-f]+"), r"\1"),
    (re.compile(r"CPU#\d+"), "CPU"),
    (re.compile(r"(?<=\W)\d+(?!\w)"), "NUM"),
    (re.compile(r"\d{7,}"), "NUM"),
)
_LONGEST = 120
"""Characters of a title: a line into which others are mixed can be very long."""
_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e]")
_BLANKS = re.compile(r"[\t ]+")
_NAMED = re.compile(r"\{(\w+)\}")


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
    filled = _NAMED.sub(lambda m: values.get(m[1], m[0]), template)
    return _BLANKS.sub(" ", _UNPRINTABLE.sub("", filled[:_LONGEST])).strip()


def cleaned(text: str) -> str:
    """What follows a title's own words, without what differs from run to run."""
    text = f" {text.strip()}"
    for pattern, instead in _CLEANED:
        text = pattern.sub(instead, text)
    return text.strip()
