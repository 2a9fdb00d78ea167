# SPDX-License-Identifier: GPL-2.0-or-later
"""The coverage of runs, held against what is asked of it, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fuzz.coverage.areas import RECEIVE
from fuzz.coverage.kept import Measured
from fuzz.coverage.lines import Lines, Share, Shares, made, shares
from fuzz.coverage.unreached import Explained


@dataclass(frozen=True)
class Wanted:
    """The least that is enough, in percent of the lines and branches of `RECEIVE`."""

    lines: float
    branches: float


class Untaken(NamedTuple):
    """A line of `RECEIVE` with ways on from it that were never taken.

    Attributes:
        file: it is in.
        number: of the line.
        function: it is in; empty if it was compiled into several.
        text: of the line.
        taken: how often each way was taken, in the compiler's order; gcov does not tell which
            of them is for a condition that holds.
    """

    file: str
    number: int
    function: str
    text: str
    taken: tuple[int, ...]


@dataclass(frozen=True)
class Report:
    """What was measured and what is thought of it."""

    measured: Measured
    explained: Explained
    wanted: Wanted

    @property
    def total(self) -> Lines:
        """All campaigns together."""
        return self.measured.total

    def fails(self, *, check: bool) -> bool:
        """Whether less was reached than is wanted or, with `check`, anything is open or stale."""
        return bool(self.shortfalls() or (check and self.shortcomings()))

    def shortfalls(self) -> list[str]:
        """Of what there is less than is wanted."""
        receive = shares(RECEIVE.of(self.total))
        return [
            f"{share.percent:.1f} % of the {what} of {RECEIVE.title}, {least:g} % are wanted"
            for what, share, least in (
                ("lines", receive.lines, self.wanted.lines),
                ("branches", receive.branches, self.wanted.branches),
            )
            if share.percent < least
        ]

    def shortcomings(self) -> list[str]:
        """What is not as it should be, a line each."""
        found = self.shortfalls()
        found += [
            f"{name}:{number}: not reached and not explained: {self._text(name, number)}"
            for name, numbers in self.explained.open.items()
            for number in numbers
        ]
        return found + [f"unreached.toml: {text}" for text in self.explained.stale]

    def _text(self, name: str, number: int) -> str:
        return self.measured.source[name].splitlines()[number - 1].strip()

    def reasons(self) -> list[tuple[str, int, str, str]]:
        """The lines of `RECEIVE` with an explanation: file, number, text, reason."""
        return [
            (name, number, self._text(name, number), reason)
            for (name, number), reason in sorted(self.explained.reasons.items())
            if name in RECEIVE.files
        ]

    def untaken(self) -> Iterator[Untaken]:
        """The lines of `RECEIVE` with branches that were never taken, by file and line."""
        total = self.total
        for name in RECEIVE.files:
            for number, line in sorted(total[name].lines.items()) if name in total else ():
                if 0 in line.branches:
                    text = self._text(name, number)
                    yield Untaken(name, number, line.function, text, tuple(line.branches))

    def rows(self) -> Iterator[tuple[str, Shares]]:
        """The files, those of `RECEIVE` first, with their sum before them, and all at the end."""
        total = self.total
        yield RECEIVE.title, shares(RECEIVE.of(total))
        for name in sorted(total, key=lambda name: (name not in RECEIVE.files, name)):
            yield name, shares([total[name]])
        yield "all of nst.ko", shares(total.values())

    def by_campaign(self) -> Iterator[tuple[str, Shares, Shares]]:
        """What each campaign reaches by itself, of `RECEIVE` and of all; of files that all have."""
        total = self.total
        for campaign, lines in self.measured.campaigns.items():
            padded = _padded(lines, total)
            yield campaign, shares(RECEIVE.of(padded)), shares(padded.values())

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        total = self.total
        return {
            "receive": _json(shares(RECEIVE.of(total))),
            "made": made(RECEIVE.of(total))._asdict(),
            "all": _json(shares(total.values())),
            "files": {
                name: {
                    **_json(shares([lines])),
                    "receive": name in RECEIVE.files,
                    "unreached": [n for n, line in sorted(lines.lines.items()) if not line.count],
                }
                for name, lines in sorted(total.items())
            },
            "campaigns": {
                name: {"receive": _json(receive), "all": _json(everything)}
                for name, receive, everything in self.by_campaign()
            },
            "explained": [
                {"file": name, "line": number, "text": text, "reason": reason}
                for name, number, text, reason in self.reasons()
            ],
            "untaken": [
                {
                    "file": one.file,
                    "line": one.number,
                    "function": one.function,
                    "text": one.text,
                    "taken": list(one.taken),
                }
                for one in self.untaken()
            ],
            "shortcomings": self.shortcomings(),
        }


def _padded(lines: Lines, total: Lines) -> Lines:
    """A campaign's lines; files whose objects never ran in it are there, not reached."""
    found = dict(lines)
    for name in total.keys() - lines.keys():
        found[name] = total[name].unreached()
    return found


def _json(some: Shares) -> dict[str, Any]:
    return {
        what: {"reached": share.reached, "total": share.total, "percent": round(share.percent, 2)}
        for what, share in some._asdict().items()
    }


def show(report: Report, console: Console) -> None:
    """Print a report for people."""
    table = Table("file", box=None, padding=(0, 2, 0, 0))
    for column in ("lines", "branches", "functions"):
        table.add_column(column, justify="right")
    for name, some in report.rows():
        style = "bold" if not name.endswith((".c", ".h")) else ""
        table.add_row(escape(name), *map(_cell, some), style=style)
    console.print(table)
    table = Table("campaign", box=None, padding=(0, 2, 0, 0))
    for column in (f"lines of {RECEIVE.title}", "branches", "lines of all", "branches"):
        table.add_column(column, justify="right")
    for name, receive, everything in report.by_campaign():
        table.add_row(
            escape(name), *map(_cell, (receive[0], receive[1], everything[0], everything[1]))
        )
    console.print()
    console.print(table)
    hidden = made(RECEIVE.of(report.total))
    console.print(
        f"\nNot counted: {hidden.total} branches of {RECEIVE.title} that the compiler made of"
        f" statements without a condition, {hidden.reached} of them taken",
        highlight=False,
    )
    if reasons := report.reasons():
        console.print(f"\n[bold]Not reached, for a reason:[/] {len(reasons)} lines")
        before = ""
        for name, number, text, reason in reasons:
            if reason != before:
                console.print(f"  [italic]{escape(reason)}[/]", highlight=False)
            before = reason
            console.print(f"    {name}:{number}: {escape(text)}", highlight=False, soft_wrap=True)
    if found := report.shortcomings():
        console.print("\n[bold red]Not as it should be:[/]")
        for line in found:
            console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)


def show_untaken(report: Report, console: Console) -> None:
    """Print the lines with branches that were never taken, for who extends a campaign."""
    found = list(report.untaken())
    missing = sum(one.taken.count(0) for one in found)
    console.print(
        f"\n[bold]Never taken in {RECEIVE.title}:[/] {missing} branches; how often each way of"
        " their lines was",
        highlight=False,
    )
    before = ("", "")
    for one in found:
        if (where := (one.file, one.function)) != before:
            console.print(f"  {one.file}: [italic]{one.function}()[/]", highlight=False)
        before = where
        ways = " ".join(str(count) if count else "[bold red]0[/]" for count in one.taken)
        console.print(
            f"    {one.number}: [{ways}] {escape(one.text)}", highlight=False, soft_wrap=True
        )


def _cell(share: Share) -> str:
    color = "green" if share.percent >= 95 else "yellow" if share.percent >= 75 else "red"
    return f"[{color}]{share}[/]" if share.total else "-"
