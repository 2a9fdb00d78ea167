# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz triage ignore`: a bug that is known, or none."""

from __future__ import annotations

from pathlib import Path

import click

from fuzz.cli.triage._runs import runs_option
from fuzz.triage.decisions import Decisions
from fuzz.triage.work import bucket_in


@click.command(
    epilog="Examples: nst-fuzz triage ignore f6cc0b01 --reason 'fixed upstream' | "
    "nst-fuzz triage ignore f6cc0b01 --undo"
)
@click.argument("bucket")
@runs_option
@click.option("--reason", default="ignored", show_default=True, help="Why, for the list.")
@click.option("--undo", is_flag=True, help="Show it again.")
def command(bucket: str, folder: Path, reason: str, undo: bool) -> None:
    """Leave BUCKET out of the list, also in runs to come."""
    found = bucket_in(folder, bucket)
    with Decisions.changing(folder) as decisions:
        if undo:
            decisions.heed(found.aliases)
        else:
            decisions.ignore(found.id, reason)
    click.echo(f"{found.id} is {'shown again' if undo else 'ignored'}: {found.title}")
