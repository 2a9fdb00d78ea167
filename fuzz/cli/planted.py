# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz planted`: measure finding and triage on bugs put into the module."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from fuzz import planted
from fuzz.guest import kernel
from fuzz.planted import PlantedBug
from fuzz.planted.card import Mark, card
from fuzz.planted.measure import CASES, Measured, Say, build, find, measure
from fuzz.triage.buckets import members_of


@click.command(
    epilog="Examples: nst-fuzz planted | nst-fuzz planted window-edge --json | "
    "nst-fuzz planted null-header double-free --triage | "
    "nst-fuzz planted --kernel sanitizer-6.12 --logs logs"
)
@click.argument("names", nargs=-1, metavar="[BUG]...")
@click.option("--kernel", "kernel_name", default=kernel.DEFAULT, show_default=True, metavar="NAME")
@click.option("--cases", type=click.IntRange(1), default=CASES, show_default=True, metavar="N",
              help="Within which each bug is to be found.")  # fmt: skip
@click.option("--triage", is_flag=True,
              help="Reproduce, minimise and export what is found, too.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR",
              help="Directory for the runs. [default: a temporary one]")  # fmt: skip
@click.option("--trials", type=click.IntRange(1), default=80, show_default=True,
              help="Trials for minimising each.")  # fmt: skip
@click.option("--markdown", is_flag=True, help="Print the table as docs/fuzzing.md has it.")
@click.option(
    "--logs",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Only find each, and write what the kernel said to DIR/KERNEL/BUG.log.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
def command(
    names: tuple[str, ...],
    kernel_name: str,
    cases: int,
    triage: bool,
    output: Path | None,
    trials: int,
    logs: Path | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Put each BUG (default: all) into the module, and see whether it is found.

    Each is built into a copy of the module and fuzzed with the campaign that is to find
    it. Found means that an oracle spoke within the budget: a kernel report, silence, or
    model and module apart. With --triage it also has to come under its title and as one
    bucket, to be minimised to at most 4 records, and the exported script has to show it
    again, and so has the program in C, if there is one. Exits with 1 if any of that fails.
    """
    bugs = [planted.find(name) for name in names] or list(planted.load().values())
    if triage and not names:
        bugs = [bug for bug in bugs if bug.title]
    chosen = kernel.find(kernel_name)
    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)

    with tempfile.TemporaryDirectory(prefix="nst-planted-") as scratch:
        folder = output or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if logs is not None:
            good = _write_logs(bugs, chosen, folder, cases, logs, say)
        elif triage:
            good = _triage(bugs, chosen, folder, cases, trials, say, as_json=as_json)
        else:
            marks = []
            for mark in card(bugs, chosen, folder, say, cases):
                marks.append(mark)
                if as_json:
                    click.echo(json.dumps(_mark_as_json(mark)))
                else:
                    console.print(_mark_line(mark), markup=False, highlight=False)
            good = all(mark.oracle for mark in marks)
            if markdown:
                click.echo(_markdown(marks))
            elif not as_json:
                Console().print(_table(marks))
    sys.exit(0 if good else 1)


def _mark_line(mark: Mark) -> str:
    if mark.oracle is None:
        return f"{mark.bug.name}: NOT FOUND in {mark.cases} cases"
    return f"{mark.bug.name}: found by {mark.oracle} in {mark.cases} cases, {mark.seconds:.1f} s"


def _cells(mark: Mark) -> tuple[str, str, str, str, str, str]:
    found = mark.oracle.value if mark.oracle else "NOT FOUND"
    bug = mark.bug
    return bug.name, bug.about, bug.campaign, found, str(mark.cases), f"{mark.seconds:.1f}"


_HEADINGS = ("bug", "what is wrong", "campaign", "found by", "cases", "seconds")


def _table(marks: Sequence[Mark]) -> Table:
    table = Table(*_HEADINGS, box=None, padding=(0, 2, 0, 0))
    for mark in marks:
        table.add_row(*_cells(mark), style="" if mark.oracle else "bold red")
    found = sum(mark.oracle is not None for mark in marks)
    table.caption = f"{found} of {len(marks)} found"
    return table


def _markdown(marks: Sequence[Mark]) -> str:
    rows = [_HEADINGS, ("---", "---", "---", "---", "---:", "---:"), *map(_cells, marks)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _mark_as_json(mark: Mark) -> dict[str, Any]:
    return {
        "bug": mark.bug.name,
        "campaign": mark.bug.campaign,
        "found": mark.oracle is not None,
        "oracle": mark.oracle.value if mark.oracle else None,
        "title": mark.title,
        "cases": mark.cases,
        "seconds": round(mark.seconds, 3),
    }


def _triage(
    bugs: Sequence[PlantedBug],
    chosen: kernel.Kernel,
    folder: Path,
    cases: int,
    trials: int,
    say: Say,
    *,
    as_json: bool,
) -> bool:
    good = True
    for bug in bugs:
        say(f"{bug.name}: {bug.about}")
        measured = measure(bug, chosen, folder, cases=cases, trials=trials, say=say)
        good = good and measured.good
        click.echo(json.dumps(_as_json(measured)) if as_json else _line(measured))
    return good


def _write_logs(
    bugs: Sequence[PlantedBug],
    chosen: kernel.Kernel,
    folder: Path,
    cases: int,
    logs: Path,
    say: Say,
) -> bool:
    """Write the log of each bug that is found; whether each made the kernel report."""
    good = True
    for bug in bugs:
        say(f"{bug.name}: {bug.about}")
        run = find(bug, chosen, build(bug, chosen, folder), folder, cases=cases, say=say)
        reports = [member for member in members_of(run) if member.report is not None]
        if not reports:
            click.echo(f"{bug.name}: NOT FOUND")
            good = False
            continue
        path = logs / chosen.name / f"{bug.name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(reports[0].stored.finding.log)
        click.echo(f"{path}: {reports[0].title}")
    return good


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
        "program": one.program,
        "bodies": one.bodies,
    }


def _line(one: Measured) -> str:
    if not one.title:
        return f"{one.bug.name}: NOT FOUND"
    program = {None: "", True: ", so does the one in C", False: ", THE ONE IN C DOES NOT"}
    return (
        f"{one.bug.name}: {'ok' if one.good else 'NOT AS IT SHOULD BE'}: {one.title};"
        f" {one.buckets} bucket(s), case {one.cases}, again in {one.hits} of {one.tries},"
        f" {one.records} records of {one.size} bytes (was {one.size_before}),"
        f" {one.trials} trials, script {'shows it' if one.verified else 'DOES NOT SHOW IT'}"
        f"{program[one.program]}" + (f", with bodies of {one.bodies} bytes" if one.bodies else "")
    )
