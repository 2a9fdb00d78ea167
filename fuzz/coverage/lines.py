# SPDX-License-Identifier: GPL-2.0-or-later
"""How often each line, branch and function of the module ran, and adding that up."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from fuzz.errors import UserError


class CoverageError(UserError):
    """Coverage that cannot be read or does not belong together."""


@dataclass
class Line:
    """A line that was compiled.

    Attributes:
        count: how often it ran.
        branches: how often each way on from it was taken, in the compiler's order.
        function: that it is in; empty if it is in several, by inlining.
        made: as `branches`, of a statement that asks nothing (`fuzz/coverage/statements.py`).
    """

    count: int = 0
    branches: list[int] = field(default_factory=list)
    function: str = ""
    made: list[int] = field(default_factory=list)

    def asks_nothing(self) -> None:
        """Its branches are none that its statement asks for."""
        self.branches, self.made = [], self.branches


@dataclass
class FileLines:
    """One source file.

    Attributes:
        lines: by number, from 1.
        functions: how often each was called.
    """

    lines: dict[int, Line] = field(default_factory=dict)
    functions: dict[str, int] = field(default_factory=dict)

    def unreached(self) -> FileLines:
        """The same file, of which nothing has run."""
        lines = {
            number: Line(0, [0] * len(line.branches), line.function, [0] * len(line.made))
            for number, line in self.lines.items()
        }
        return FileLines(lines, dict.fromkeys(self.functions, 0))

    def add(self, other: FileLines) -> None:
        """Add what ran elsewhere, or what another object has of the same header."""
        for number, line in other.lines.items():
            known = self.lines.setdefault(number, Line(0, [], line.function))
            known.count += line.count
            known.branches = _sums(known.branches, line.branches)
            known.made = _sums(known.made, line.made)
            if known.function != line.function:
                known.function = ""
        for name, count in other.functions.items():
            self.functions[name] = self.functions.get(name, 0) + count


def _sums(some: list[int], more: list[int]) -> list[int]:
    return [a + b for a, b in zip_longest(some, more, fillvalue=0)]


Lines = dict[str, FileLines]
"""The module's files by name, as from its directory."""


class Share(NamedTuple):
    """How many of how many."""

    reached: int
    total: int

    @property
    def percent(self) -> float:
        """0 to 100; of nothing all is reached."""
        return 100.0 * self.reached / self.total if self.total else 100.0

    def __str__(self) -> str:
        return f"{self.percent:.1f} % ({self.reached}/{self.total})"


class Shares(NamedTuple):
    """What share of some files' lines, branches and functions ran."""

    lines: Share
    branches: Share
    functions: Share


def shares(files: Iterable[FileLines]) -> Shares:
    """Count over some files."""
    lines: list[bool] = []
    branches: list[bool] = []
    functions: list[bool] = []
    for one in files:
        lines += [line.count > 0 for line in one.lines.values()]
        branches += [taken > 0 for line in one.lines.values() for taken in line.branches]
        functions += [count > 0 for count in one.functions.values()]
    return Shares(*(Share(sum(some), len(some)) for some in (lines, branches, functions)))


def made(files: Iterable[FileLines]) -> Share:
    """How many of the branches that no statement asks for were taken, of how many."""
    taken = [count > 0 for one in files for line in one.lines.values() for count in line.made]
    return Share(sum(taken), len(taken))


def merged(parts: Iterable[Mapping[str, FileLines]]) -> Lines:
    """The sum of several."""
    total: Lines = {}
    for part in parts:
        for name, lines in part.items():
            total.setdefault(name, FileLines()).add(lines)
    return total


def run_gcov(command: str, folder: Path) -> list[dict[str, Any]]:
    """Have gcov read all data files of a folder that holds the compiler's notes, too.

    Raises:
        CoverageError: gcov is missing, or fails; what it wrote is in the text.
    """
    names = sorted(path.name for path in folder.glob("*.gcda"))
    if not names:
        return []
    try:
        done = subprocess.run(
            [command, "--json-format", "--stdout", "--branch-probabilities", *names],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise CoverageError(f"{command} is missing: apt-get install {_package(command)}") from None
    # It goes on after what it cannot read, and says so only here.
    if done.returncode or done.stderr:
        raise CoverageError(f"{command}: {done.stderr.strip() or f'exit {done.returncode}'}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def _package(command: str) -> str:
    return command.replace("gcov", "gcc")


def parse(reports: Iterable[Mapping[str, Any]], root: str) -> Lines:
    """What gcov's JSON says of the files below `root`, the directory they were compiled in.

    Raises:
        CoverageError: it is not what gcov 12 writes.
    """
    try:
        return merged(
            {_relative(one["file"], report, root): _file(one)}
            for report in reports
            for one in report["files"]
            if _relative(one["file"], report, root)
        )
    except (KeyError, TypeError) as error:
        raise CoverageError(f"gcov's JSON: no {error}") from None


def _relative(name: str, report: Mapping[str, Any], root: str) -> str:
    """A file's name from `root`; empty if it is none of the module's."""
    path = Path(report["current_working_directory"], name)
    base = Path(root)
    return str(path.relative_to(base)) if path.is_relative_to(base) else ""


def _file(one: Mapping[str, Any]) -> FileLines:
    found = FileLines()
    for line in one["lines"]:
        branches = [branch["count"] for branch in line["branches"]]
        single = FileLines({line["line_number"]: Line(line["count"], branches, _function(line))})
        # An inlined function's line is there once for every function that it is in.
        found.add(single)
    for function in one["functions"]:
        found.functions[function["name"]] = function["execution_count"]
    return found


def _function(line: Mapping[str, Any]) -> str:
    name = line.get("function_name", "")
    assert isinstance(name, str)
    return name
