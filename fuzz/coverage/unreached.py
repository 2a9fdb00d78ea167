# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines that no campaign reaches, and why: `unreached.toml`.

An entry names lines by their text within a function, so that it outlives changes
elsewhere in the file, and dies with a change of the lines themselves: then somebody
has to look again. An entry whose lines are reached after all is stale as well.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fuzz.coverage.areas import RECEIVE
from fuzz.coverage.lines import CoverageError, FileLines

_FUNCTION = re.compile(r"^(?!#)[A-Za-z_].*?\b(\w+)\(")


@dataclass(frozen=True)
class Entry:
    """Why some lines are not reached.

    Attributes:
        file: of the module.
        function: that they are in.
        lines: their texts, without indentation, one after another but for those that no code
            is made of.
        reason: one sentence.
        rare: chance may reach them; it is no mistake if it does.
    """

    file: str
    function: str
    lines: tuple[str, ...]
    reason: str
    rare: bool = False


@dataclass(frozen=True)
class Explained:
    """What the entries make of a measurement.

    Attributes:
        reasons: by file and line.
        open: lines of `RECEIVE` that nothing reaches and nothing explains, by file.
        stale: what is wrong with entries.
    """

    reasons: dict[tuple[str, int], str]
    open: dict[str, list[int]]
    stale: list[str]


def load(path: Path | None = None) -> list[Entry]:
    """Read entries; the project's own, if no file is given.

    Raises:
        CoverageError: it cannot be read; the text names file and entry.
    """
    name = path or "unreached.toml"
    try:
        text = (path or resources.files(__package__) / "unreached.toml").read_text()
        raw = tomllib.loads(text).get("unreached", [])
    except OSError as error:
        raise CoverageError(f"{name}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CoverageError(f"{name}: {error}") from None
    return [_entry(one, f"{name}: entry {n}") for n, one in enumerate(raw, start=1)]


def _entry(raw: object, where: str) -> Entry:
    wanted = {"file", "function", "lines", "reason"}
    if not isinstance(raw, dict) or set(raw) - {"rare"} != wanted:
        raise CoverageError(f"{where}: wants {', '.join(sorted(wanted))} and nothing but rare else")
    lines = raw["lines"]
    texts = [raw["file"], raw["function"], raw["reason"]]
    if not isinstance(lines, list) or not lines or not all(isinstance(t, str) for t in lines):
        raise CoverageError(f"{where}: lines is no list of strings")
    if not all(isinstance(text, str) and text for text in texts):
        raise CoverageError(f"{where}: file, function and reason are strings, and not empty")
    if not isinstance(rare := raw.get("rare", False), bool):
        raise CoverageError(f"{where}: rare is neither true nor false")
    return Entry(texts[0], texts[1], tuple(lines), texts[2], rare)


def explain(
    entries: Sequence[Entry], measured: Mapping[str, FileLines], source: Mapping[str, str]
) -> Explained:
    """Hold entries against what ran of which source."""
    reasons: dict[tuple[str, int], str] = {}
    stale: list[str] = []
    for entry in entries:
        lines = measured[entry.file].lines if entry.file in measured else {}
        places = _places(entry, source.get(entry.file, ""), lines.keys())
        missed = [place for place in places if not any(lines[number].count for number in place)]
        if not places or not (missed or entry.rare):
            what = "it is reached" if places else "there is no such line"
            stale.append(f"{entry.file}: {entry.function}(): {entry.lines[0]!r}: {what}")
        for place in missed:
            reasons |= {(entry.file, number): entry.reason for number in place}
    missing = {
        name: [
            number
            for number, line in sorted(measured[name].lines.items())
            if not line.count and (name, number) not in reasons
        ]
        for name in RECEIVE.files
        if name in measured
    }
    return Explained(reasons, {name: lines for name, lines in missing.items() if lines}, stale)


def _places(entry: Entry, text: str, compiled: Collection[int]) -> list[list[int]]:
    """Where an entry's lines stand one after another, of those that code was made of."""
    texts = text.splitlines()
    function = ""
    own: list[int] = []
    for number, line in enumerate(texts, start=1):
        if (begin := _FUNCTION.match(line)) and not line.endswith(";"):
            function = begin[1]
        if function == entry.function and number in compiled:
            own.append(number)
        if line == "}":
            function = ""
    runs = (own[at : at + len(entry.lines)] for at in range(len(own)))
    return [run for run in runs if tuple(texts[n - 1].strip() for n in run) == entry.lines]
