# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run shows while it goes on: a live view on a terminal, else plain lines."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from fuzz.campaigns.runner import Limits, Progress
from fuzz.finding import Finding

_LINE_SECONDS = 5.0
_REFRESH_SECONDS = 0.25


class PlainView:
    """A line now and then, for logs."""

    def __init__(self, console: Console, limits: Limits) -> None:
        self._console = console
        self._limits = limits
        self._said = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to end."""

    def booting(self, campaign: str, again: bool) -> None:
        """A guest is being booted."""
        self._say(f"{campaign}: booting {'a fresh' if again else 'the'} guest")

    def progress(self, progress: Progress) -> None:
        """A case is done."""
        last = progress.cases == self._limits.cases
        if last or time.monotonic() - self._said >= _LINE_SECONDS:
            self._said = time.monotonic()
            goal = f"/{self._limits.cases}" if self._limits.cases is not None else ""
            self._say(f"{progress.campaign}: {progress.cases}{goal} cases, {_rates(progress)}")

    def found(self, campaign: str, finding: Finding, case: int) -> None:
        """A case showed something new."""
        self._say(f"{campaign}: case {case}: {finding.kind}: {finding.title}")

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveView:
    """A bar for each campaign, the verdicts so far, and what was found."""

    def __init__(self, console: Console, limits: Limits) -> None:
        self._limits = limits
        self._bars = Bars(
            TextColumn("[bold]{task.fields[campaign]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._verdicts = Text()
        self._findings: list[str] = []
        self._shown = 0.0
        self._live = Live(self._picture(), console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._show(now=True)
        self._live.stop()

    def booting(self, campaign: str, again: bool) -> None:
        """A guest is being booted."""
        state = "booting a fresh guest" if again else "booting the guest"
        if campaign not in self._tasks:
            goal = self._limits.cases
            self._tasks[campaign] = self._bars.add_task(
                "", total=goal, campaign=campaign, state=state
            )
        self._bars.update(self._tasks[campaign], state=state)
        self._show(now=True)

    def progress(self, progress: Progress) -> None:
        """A case is done."""
        if not self._due() and progress.cases != self._limits.cases:
            return
        self._bars.update(
            self._tasks[progress.campaign], completed=progress.cases, state=_rates(progress)
        )
        counts = sorted(progress.verdicts.items(), key=lambda entry: -entry[1])
        self._verdicts = Text(
            "  ".join(f"{verdict} {count}" for verdict, count in counts), style="dim"
        )
        self._show(now=True)

    def found(self, campaign: str, finding: Finding, case: int) -> None:
        """A case showed something new."""
        self._findings.append(
            f"[red]{campaign}: case {case}: {finding.kind}: {escape(finding.title)}[/]"
        )
        self._show(now=True)

    def _due(self) -> bool:
        return time.monotonic() - self._shown >= _REFRESH_SECONDS

    def _picture(self) -> RenderableType:
        return Group(self._bars, self._verdicts, *self._findings)

    def _show(self, *, now: bool = False) -> None:
        if now or self._due():
            self._shown = time.monotonic()
            self._live.update(self._picture(), refresh=True)


def _rates(progress: Progress) -> str:
    share = progress.authenticated / progress.cases if progress.cases else 0.0
    noun = "finding" if progress.findings == 1 else "findings"
    return f"{progress.rate:.0f}/s, {share:.0%} authenticated, {progress.findings} {noun}"


def view(console: Console, limits: Limits) -> PlainView | LiveView:
    """The view that suits a console."""
    return LiveView(console, limits) if console.is_terminal else PlainView(console, limits)
