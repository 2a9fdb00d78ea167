# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz planted`: measure finding and triage on bugs put into the module."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from fuzz import planted
from fuzz.guest import kernel
from fuzz.planted.measure import Measured, measure


@click.command(
    epilog="Examples: nst-fuzz planted | nst-fuzz planted null-header double-free --json"
)
@click.argument("names", nargs=-1, metavar="[BUG]...")
@click.option("--kernel", "kernel_name", default=kernel.DEFAULT, show_default=True, metavar="NAME")
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR",
              help="Directory for the runs. [default: a temporary one]")  # fmt: skip
@click.option("--trials", type=click.IntRange(1), default=80, show_default=True,
              help="Trials for minimising each.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
def command(
    names: tuple[str, ...], kernel_name: str, output: Path | None, trials: int, as_json: bool
) -> None:
    """Put each BUG (default: all) into the module, find it, and triage what is found.

    Found means under its title and as one bucket; then it is reproduced, minimised to at
    most 4 records and exported, and the exported script has to show it again. Exits with 1
    if any of that fails. Takes some minutes for each.
    """
    bugs = [planted.find(name) for name in names] or list(planted.load().values())
    chosen = kernel.find(kernel_name)
    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)

    good = True
    with tempfile.TemporaryDirectory(prefix="nst-planted-") as scratch:
        folder = output or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for bug in bugs:
            console.print(f"{bug.name}: {bug.about}", markup=False, highlight=False)
            measured = measure(bug, chosen, folder, trials=trials, say=say)
            good = good and measured.good
            click.echo(json.dumps(_as_json(measured)) if as_json else _line(measured))
    sys.exit(0 if good else 1)


def _as_json(one: Measured) -> dict[str, Any]:
    return {
        "bug": one.bug.name,
        "good": one.good,
        "title": one.title,
        "expected": one.bug.title,
        "buckets": one.buckets,
        "cases": one.cases,
        "hits": one.hits,
        "tries": one.tries,
        "records": one.records,
        "bytes": one.size,
        "bytes_before": one.size_before,
        "trials": one.trials,
        "verified": one.verified,
    }


def _line(one: Measured) -> str:
    if not one.title:
        return f"{one.bug.name}: NOT FOUND"
    return (
        f"{one.bug.name}: {'ok' if one.good else 'NOT AS IT SHOULD BE'}: {one.title};"
        f" {one.buckets} bucket(s), case {one.cases}, again in {one.hits} of {one.tries},"
        f" {one.records} records of {one.size} bytes (was {one.size_before}),"
        f" {one.trials} trials, script {'shows it' if one.verified else 'DOES NOT SHOW IT'}"
    )
