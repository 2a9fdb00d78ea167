# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz coverage`: which lines and branches of the module runs have reached."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from fuzz.coverage import html, kept, unreached
from fuzz.coverage.report import Report, Wanted, show, show_untaken


@click.command(
    epilog="Examples: nst-fuzz coverage nst-runs/20260101-120000 | "
    "nst-fuzz coverage RUN1 RUN2 --html coverage | "
    "nst-fuzz coverage RUN --min-lines 95 --min-branches 85"
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "--html", "folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Also write pages with the annotated source.",
)  # fmt: skip
@click.option(
    "--min-lines", type=click.FloatRange(0, 100), default=0.0, metavar="PERCENT",
    help="Of the receive and LOCAL_IN files; less is a failure.",
)  # fmt: skip
@click.option(
    "--min-branches", type=click.FloatRange(0, 100), default=0.0, metavar="PERCENT",
    help="The same of their branches.",
)  # fmt: skip
@click.option(
    "--unreached", "entries", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Why lines are not reached. [default: the project's, fuzz/coverage/unreached.toml]",
)  # fmt: skip
@click.option(
    "--check", is_flag=True,
    help="Fail, too, if a line of those files is neither reached nor explained, or an"
    " explanation is stale.",
)  # fmt: skip
@click.option(
    "--untaken", is_flag=True,
    help="Also print the lines of those files with branches that were never taken; they are in"
    " --json anyway.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    runs: tuple[Path, ...],
    folder: Path | None,
    min_lines: float,
    min_branches: float,
    entries: Path | None,
    check: bool,
    untaken: bool,
    as_json: bool,
) -> None:
    """Print the coverage of the RUNs together, which were made with `run --coverage`.

    Exits with 1 if there is less than is asked for.
    """
    measured = kept.read(runs)
    explained = unreached.explain(unreached.load(entries), measured.total, measured.source)
    report = Report(measured, explained, Wanted(min_lines, min_branches))
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        console = Console(emoji=False)
        show(report, console)
        if untaken:
            show_untaken(report, console)
    if folder is not None:
        click.echo(html.write(report, folder), err=as_json)
    sys.exit(1 if report.fails(check=check) else 0)
