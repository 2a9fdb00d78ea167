# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz triage list`: the bugs that runs have found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fuzz.cli.triage._runs import runs_option
from fuzz.triage.buckets import Bucket
from fuzz.triage.results import Result
from fuzz.triage.understand import understand
from fuzz.triage.work import buckets_in


@click.command(
    epilog="Examples: nst-fuzz triage list | nst-fuzz triage list --runs nst-runs/20260101-120000"
)
@runs_option
@click.option("--all", "everything", is_flag=True, help="Also those that are ignored.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(folder: Path, everything: bool, as_json: bool) -> None:
    """List bugs: findings of all runs that share titles or stacks are one."""
    shown = [one for one in buckets_in(folder) if everything or not one.ignored]
    if as_json:
        click.echo(json.dumps([_as_json(one, folder) for one in shown], indent=2))
        return
    console = Console()
    if not shown:
        console.print("no findings")
        return
    table = Table("bucket", "title", box=None, padding=(0, 2, 0, 0))
    for name in ("severity", "cases", "runs", "again"):
        table.add_column(name, justify="right" if name in ("cases", "runs") else "left")
    for one in shown:
        entry = _as_json(one, folder)
        table.add_row(
            one.id, escape(one.title), entry["severity"], str(one.cases), str(entry["runs"]),
            entry["rate"], style="dim" if one.ignored else "",
        )  # fmt: skip
    console.print(table)


def _as_json(one: Bucket, folder: Path) -> dict[str, Any]:
    member = one.representative
    result = Result.load(folder, one.id)
    severity = understand(member.report, remote=True).severity if member.report else None
    return {
        "id": one.id,
        "title": one.title,
        "titles": one.titles,
        "kind": member.stored.finding.kind.value,
        "severity": severity.level.name.lower() if severity else "",
        "cases": one.cases,
        "runs": len({m.run for m in one.members}),
        "kernels": sorted({m.meta.get("kernel", "") for m in one.members}),
        "rate": f"{result.hits} of {result.tries}" if result and result.tries else "",
        "minimised": bool(result and result.minimised),
        "ignored": one.ignored,
        "first": {"run": str(one.members[0].run), "case": one.members[0].stored.first},
        "follow_ups": sorted({r.title for m in one.members for r in m.follow_ups}),
    }
