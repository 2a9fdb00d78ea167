# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz bench compare`: two runs of a benchmark side by side."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from fuzz.bench import figures
from fuzz.errors import UserError


@click.command(
    "compare",
    epilog="Example: nst-fuzz bench kmod --json >after.json; "
    "nst-fuzz bench compare before.json after.json",
)
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(before: Path, after: Path, as_json: bool) -> None:
    """Compare what two runs of a benchmark printed with --json.

    A figure is worse or better only if the ranges of its repetitions do not meet and it
    changed by more than the noise of its kind; figures that one run lacks are left out.

    Exit status: 0 if none is worse, 1 if one is.
    """
    changes = figures.compare(figures.load(before), figures.load(after))
    if not changes:
        raise UserError(f"{before} and {after} have no figure in common")
    if as_json:
        click.echo(
            json.dumps(
                [
                    {
                        "name": change.before.name,
                        "subject": change.before.subject,
                        "unit": change.before.unit,
                        "before": change.before.value,
                        "after": change.after.value,
                        "change": change.relative,
                        "verdict": change.verdict,
                    }
                    for change in changes
                ]
            )
        )
    else:
        _show(changes)
    sys.exit(1 if any(change.verdict == "worse" for change in changes) else 0)


def _show(changes: list[figures.Change]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("what", "who", "unit"):
        table.add_column(column, no_wrap=True)
    for column in ("before", "after", "change", "verdict"):
        table.add_column(column, justify="right", no_wrap=True)
    for change in changes:
        table.add_row(
            change.before.name,
            change.before.subject,
            change.before.unit,
            f"{change.before.value:,.2f}",
            f"{change.after.value:,.2f}",
            f"{change.relative:+.1%}",
            change.verdict,
        )
    out = Console()
    if not out.is_terminal:
        out.width = 140
    out.print(table)
