# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run shows while it goes on: a live view on a terminal, else plain lines."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fuzz.campaigns.progress import Limits, Progress, Shard
from fuzz.finding import Finding

_LINE_SECONDS = 5.0
_REFRESH_SECONDS = 0.25
_BAR_WIDTH = 24
_SHOWN_FINDINGS = 8
_GUESTS = {"booting": "yellow", "rebooting": "yellow", "running": "green", "done": "dim"}


class _View:
    """What is known of a run: how far its shards are, and what their guests do."""

    def __init__(self, console: Console, limits: Limits) -> None:
        self._console = console
        self._limits = limits
        self._shards: dict[Shard, Progress] = {}
        self._guests: dict[Shard, str] = {}
        self._shown = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to end."""

    def booting(self, shard: Shard, again: bool) -> None:
        """A guest is being booted."""
        self._shards.setdefault(shard, Progress())
        self._guests[shard] = "rebooting" if again else "booting"

    def progress(self, shard: Shard, progress: Progress) -> None:
        """A shard got further."""
        self._shards[shard] = progress
        self._guests[shard] = "running"

    def ended(self, shard: Shard) -> None:
        """A shard is through."""
        self._guests[shard] = "done"

    def _due(self, seconds: float) -> bool:
        if time.monotonic() - self._shown < seconds:
            return False
        self._shown = time.monotonic()
        return True

    def _campaign(self, name: str) -> tuple[Progress, float]:
        """A campaign's progress, and how many cases a second its guests run together."""
        shards = {shard: done for shard, done in self._shards.items() if shard.campaign == name}
        running = [done.rate for shard, done in shards.items() if self._guests[shard] != "done"]
        total = Progress.total(list(shards.values()))
        return total, sum(running) if running else total.rate


class PlainView(_View):
    """A line now and then, for logs."""

    def booting(self, shard: Shard, again: bool) -> None:
        """A guest is being booted."""
        super().booting(shard, again)
        self._say(f"{shard}: booting {'a fresh' if again else 'the'} guest")

    def progress(self, shard: Shard, progress: Progress) -> None:
        """A shard got further."""
        super().progress(shard, progress)
        total, rate = self._campaign(shard.campaign)
        if self._due(_LINE_SECONDS) or total.cases == self._limits.cases:
            goal = f"/{self._limits.cases}" if self._limits.cases is not None else ""
            noun = "finding" if total.findings == 1 else "findings"
            self._say(
                f"{shard.campaign}: {total.cases}{goal} cases, {rate:.0f}/s,"
                f" {_share(total)} authenticated, {total.findings} {noun}{_edges(total)}"
            )

    def found(self, shard: Shard, finding: Finding, case: int) -> None:
        """A case showed something new."""
        self._say(f"{shard}: case {case}: {finding.kind}: {finding.title}")

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveView(_View):
    """A line for each campaign, the verdicts so far, and what was found."""

    def __init__(self, console: Console, limits: Limits) -> None:
        super().__init__(console, limits)
        self._findings: list[Text] = []
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._show()
        self._live.stop()

    def booting(self, shard: Shard, again: bool) -> None:
        """A guest is being booted."""
        super().booting(shard, again)
        self._show()

    def progress(self, shard: Shard, progress: Progress) -> None:
        """A shard got further."""
        super().progress(shard, progress)
        if self._due(_REFRESH_SECONDS):
            self._show()

    def found(self, shard: Shard, finding: Finding, case: int) -> None:
        """A case showed something new."""
        self._findings.append(
            Text.from_markup(
                f"[red]{finding.kind}[/] in {shard}, case {case}: {escape(finding.title)}"
            )
        )
        self._show()

    def ended(self, shard: Shard) -> None:
        """A shard is through."""
        super().ended(shard)
        self._show()

    def _show(self) -> None:
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> RenderableType:
        names = list(dict.fromkeys(shard.campaign for shard in self._shards))
        table = Table(box=None, padding=(0, 2, 0, 0))
        table.add_column("campaign", no_wrap=True)
        if self._limits.cases is not None:
            table.add_column("", width=_BAR_WIDTH)
        counted = any(done.edges is not None for done in self._shards.values())
        for heading in ("cases", "a second", "authenticated", *["edges"] * counted, "findings"):
            table.add_column(heading, justify="right")
        table.add_column("guests")
        for name in names:
            total, rate = self._campaign(name)
            cells: list[RenderableType] = [Text(name, style="bold")]
            if self._limits.cases is not None:
                cells.append(ProgressBar(self._limits.cases, total.cases, width=_BAR_WIDTH))
            table.add_row(
                *cells,
                f"{total.cases:,}",
                f"{rate:,.0f}",
                _share(total),
                *[f"{total.edges or 0:,}"] * counted,
                Text(str(total.findings), style="bold red" if total.findings else "dim"),
                self._guests_of(name),
            )
        total = Progress.total(list(self._shards.values()))
        counts = sorted(total.verdicts.items(), key=lambda entry: -entry[1])
        verdicts = Text("  ".join(f"{verdict} {count:,}" for verdict, count in counts), style="dim")
        parts: list[RenderableType] = [table, Text(), verdicts]
        if (more := len(self._findings) - _SHOWN_FINDINGS) > 0:
            parts.append(Text(f"{more} findings before these", style="dim"))
        return Group(*parts, *self._findings[-_SHOWN_FINDINGS:])

    def _guests_of(self, name: str) -> Text:
        guests = [guest for shard, guest in self._guests.items() if shard.campaign == name]
        parts = [
            Text(f"{guests.count(state)} {state}" if len(guests) > 1 else state, style=style)
            for state, style in _GUESTS.items()
            if state in guests
        ]
        return Text(", ").join(parts)


def _share(progress: Progress) -> str:
    return f"{progress.authenticated / progress.cases:.0%}" if progress.cases else "-"


def _edges(progress: Progress) -> str:
    return f", {progress.edges} edges" if progress.edges is not None else ""


def view(console: Console, limits: Limits) -> PlainView | LiveView:
    """The view that suits a console."""
    return LiveView(console, limits) if console.is_terminal else PlainView(console, limits)
