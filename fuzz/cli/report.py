# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz report`: the summary of a run, also of one that was killed."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from fuzz.report import show, summarize
from fuzz.store import reading


@click.command(epilog="Example: nst-fuzz report nst-runs/20260101-120000")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run: Path, as_json: bool) -> None:
    """Print the summary of RUN, a directory that `nst-fuzz run` wrote."""
    with reading(run) as store:
        summary = summarize(store)
    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=2))
    else:
        show(summary, Console())
