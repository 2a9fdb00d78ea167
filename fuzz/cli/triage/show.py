# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz triage show`: one bug."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from fuzz.cli.triage._runs import runs_option, trial_options
from fuzz.triage.show import show
from fuzz.triage.work import dossier_of, work_on


@click.command(epilog="Examples: nst-fuzz triage show f6cc0b01 | nst-fuzz triage show f6 --json")
@click.argument("bucket")
@runs_option
@trial_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    bucket: str, folder: Path, kernel_name: str | None, module_path: Path | None, as_json: bool
) -> None:
    """Show BUCKET (the beginning of its id is enough): report, stack, case, findings."""
    work = work_on(folder, bucket, kernel_name, module_path)
    dossier = dossier_of(work)
    if as_json:
        data = {
            "id": work.bucket.id,
            "title": dossier.title,
            "report": dossier.analysis.as_json() if dossier.analysis else None,
            "case": dossier.described(),
            "rate": dossier.rate,
            "findings": [
                {"run": str(m.run), "case": m.stored.first, "cases": m.stored.count,
                 "title": m.title, "follow_ups": [r.title for r in m.follow_ups]}
                for m in work.bucket.members
            ],
        }  # fmt: skip
        click.echo(json.dumps(data, indent=2))
        return
    console = Console()
    if dossier.analysis is not None:
        show(Path(work.bucket.id), [dossier.analysis], console)
    else:
        console.print(f"{work.bucket.id}: [bold]{escape(dossier.title)}[/]", highlight=False)
        console.print(escape(work.member.stored.finding.detail), highlight=False, soft_wrap=True)
    console.print(f"\n[bold]case[/] {work.case.id}, comes again: {dossier.rate}", highlight=False)
    for line in dossier.described():
        console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)
    console.print(f"\n[bold]seen[/] in {work.bucket.cases} cases", highlight=False)
    for member in work.bucket.members:
        line = f"  {member.run} case {member.stored.first}: {member.title}"
        console.print(escape(line), highlight=False, soft_wrap=True)
        for report in member.follow_ups:
            console.print(f"    then {escape(report.title)}", highlight=False, soft_wrap=True)
