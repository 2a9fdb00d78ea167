# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz triage merge`: two bugs are one after all."""

from __future__ import annotations

from pathlib import Path

import click

from fuzz.cli.triage._runs import runs_option
from fuzz.triage.decisions import Decisions
from fuzz.triage.work import bucket_in


@click.command(epilog="Example: nst-fuzz triage merge f6cc0b01 dec4b125")
@click.argument("one")
@click.argument("other")
@runs_option
def command(one: str, other: str, folder: Path) -> None:
    """Make two buckets one, also in runs to come."""
    first, second = bucket_in(folder, one), bucket_in(folder, other)
    with Decisions.changing(folder) as decisions:
        decisions.merge(first.id, second.id)
    click.echo(f"{first.id} and {second.id} are one from now on")
