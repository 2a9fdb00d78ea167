# SPDX-License-Identifier: GPL-2.0-or-later
"""The summary of a run, out of its store."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fuzz.oracles.expectation import Verdicts
from fuzz.stored import StoredFinding, StoredRun, parse_verdicts
from fuzz.triage.buckets import bucket_id
from nst_scapy.header import Transport
from nst_scapy.verdict import Verdict


@dataclass(frozen=True)
class CampaignSummary:
    """One campaign of a run.

    Attributes:
        name: of the campaign.
        cases: how many were sent.
        lost: of them, those that the guest did not survive, or the runner.
        seconds: that they took, those of all guests together, without booting them.
        authenticated: cases of which the module authenticated a record.
        loose: cases in which the clock left two outcomes open.
        model: how often each verdict by the model.
        module: how often by the module.
        shards: that it was run in, side by side.
    """

    name: str
    cases: int
    lost: int
    seconds: float
    authenticated: int
    loose: int
    model: Verdicts
    module: Verdicts
    shards: int

    @property
    def rate(self) -> float:
        """Cases per second of one guest."""
        return self.cases / self.seconds if self.seconds else 0.0

    @property
    def share(self) -> float:
        """Authenticated cases, 0 to 1."""
        return self.authenticated / self.cases if self.cases else 0.0


@dataclass(frozen=True)
class Summary:
    """A run."""

    path: Path
    meta: dict[str, str]
    state: str
    """`running`, `finished`, `stopped` (an error), `interrupted`, or `killed`."""
    campaigns: list[CampaignSummary]
    findings: list[StoredFinding]

    def replay(self, found: StoredFinding) -> str:
        """The command that replays a finding's first case."""
        return f"nst-fuzz replay {shlex.quote(str(self.path))} {found.first}"

    def triage(self, found: StoredFinding) -> str:
        """The command that shows the bug that a finding belongs to."""
        one = bucket_id(found.finding.title)
        return f"nst-fuzz triage show {one} --runs {shlex.quote(str(self.path))}"

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "run": str(self.path),
            "state": self.state,
            **{name: self.meta.get(name) for name in ("seed", "kernel", "module")},
            "campaigns": [
                {
                    "name": campaign.name,
                    "cases": campaign.cases,
                    "lost": campaign.lost,
                    "shards": campaign.shards,
                    "seconds": round(campaign.seconds, 3),
                    "cases_per_second": round(campaign.rate, 1),
                    "authenticated": campaign.authenticated,
                    "two_outcomes": campaign.loose,
                    "verdicts": [
                        {
                            "transport": transport.value,
                            "verdict": verdict.value,
                            "model": campaign.model[transport, verdict],
                            "module": campaign.module[transport, verdict],
                        }
                        for transport, verdict in in_order(campaign)
                    ],
                }
                for campaign in self.campaigns
            ],
            "findings": [
                {
                    "campaign": found.campaign,
                    "kind": found.finding.kind.value,
                    "title": found.finding.title,
                    "detail": found.finding.detail,
                    "case": found.first,
                    "name": found.name,
                    "cases": found.count,
                    "replay": self.replay(found),
                    "triage": self.triage(found),
                    "log": found.finding.log,
                }
                for found in self.findings
            ],
        }


def summarize(store: StoredRun) -> Summary:
    """Read the summary of a run, whatever state it is in."""
    meta = store.meta()
    state = "running" if store.running() else meta.get("ended", "killed")
    campaigns = [_campaign(store, *row) for row in store.campaigns()]
    return Summary(store.path, meta, state, campaigns, store.findings())


def summary_of(store: StoredRun, name: str, shard: int) -> CampaignSummary:
    """The summary of one shard of a campaign that was begun."""
    campaign = next(number for number, known, _ in store.campaigns() if known == name)
    seconds = next(seconds for number, _, seconds in store.shards(campaign) if number == shard)
    return _campaign(store, campaign, name, seconds, shard)


def _campaign(
    store: StoredRun, number: int, name: str, seconds: float, shard: int | None = None
) -> CampaignSummary:
    model: Verdicts = Counter()
    module: Verdicts = Counter()
    cases = lost = authenticated = loose = 0
    for expected, counted, count, verified, open_ in store.outcomes(number, shard):
        cases += count
        authenticated += int(verified)
        loose += int(open_)
        if expected is None or counted is None:
            lost += count
            continue
        for total, text in ((model, expected), (module, counted)):
            for key, times in parse_verdicts(text).items():
                total[key] += times * count
    shards = len(store.shards(number)) if shard is None else 1
    return CampaignSummary(name, cases, lost, seconds, authenticated, loose, model, module, shards)


def in_order(campaign: CampaignSummary) -> list[tuple[Transport, Verdict]]:
    """The verdicts that model or module came to, in the order of the checks."""
    return sorted(
        {*campaign.model, *campaign.module}, key=lambda key: (key[0].value, key[1].number)
    )


def show(summary: Summary, console: Console) -> None:
    """Print a summary for people."""
    meta = summary.meta
    console.print(
        f"\n[bold]{escape(str(summary.path))}[/]: {summary.state};"
        f" kernel {meta.get('kernel')}, seed {escape(meta.get('seed', ''))}",
        highlight=False,
    )
    for campaign in summary.campaigns:
        console.print(
            f"\n[bold]{campaign.name}[/]: {campaign.cases} cases in {campaign.seconds:.1f} s"
            + (f" of {campaign.shards} guests" if campaign.shards > 1 else "")
            + f", {campaign.rate:.0f} a second; {campaign.share:.0%} authenticated"
            + (f"; {campaign.loose} with two outcomes" if campaign.loose else "")
            + (f"; {campaign.lost} lost with the guest or the runner" if campaign.lost else ""),
            highlight=False,
        )
        table = Table("verdict", box=None, padding=(0, 2, 0, 0))
        table.add_column("model", justify="right")
        table.add_column("module", justify="right")
        for key in in_order(campaign):
            model, module = campaign.model[key], campaign.module[key]
            style = "" if model == module else "bold red"
            table.add_row(f"{key[0].value} {key[1]}", str(model), str(module), style=style)
        console.print(table)
    if not summary.findings:
        console.print("\n[green]No findings.[/]")
        return
    console.print(f"\n[bold red]{_plural(len(summary.findings), 'finding')}:[/]", highlight=False)
    for index, found in enumerate(summary.findings, start=1):
        finding = found.finding
        console.print(
            f"\n{index}. [bold]{finding.kind}[/] in {found.campaign},"
            f" {_plural(found.count, 'case')}: {escape(finding.title)}\n"
            f"   {escape(finding.detail)}\n"
            f"   first: {escape(found.name)}\n"
            f"   replay: {escape(summary.replay(found))}\n"
            f"   triage: {escape(summary.triage(found))}",
            highlight=False,
            soft_wrap=True,
        )
        if finding.log:
            for line in finding.log.splitlines()[:25]:
                console.print(f"     {escape(line)}", highlight=False, soft_wrap=True)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
