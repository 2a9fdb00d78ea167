# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz list`: the campaigns there are."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from fuzz.campaigns.catalogue import CAMPAIGNS, MUTANTS, campaign


@click.command(epilog="Examples: nst-fuzz list | nst-fuzz list --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the campaigns, what they do and which verdicts they reach."""
    campaigns = [*CAMPAIGNS.values(), campaign(MUTANTS)]
    if as_json:
        click.echo(
            json.dumps(
                [
                    {"name": c.name, "summary": c.summary, "reaches": [v.value for v in c.reaches]}
                    for c in campaigns
                ],
                indent=2,
            )
        )
        return
    table = Table("campaign", "what it does", "verdicts it reaches", box=None, padding=(0, 2, 1, 0))
    for one in campaigns:
        table.add_row(one.name, one.summary, " ".join(one.reaches))
    Console().print(table)
