# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz triage read`: the kernel reports of any console log."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from fuzz.errors import UserError
from fuzz.guest.module import SOURCE
from fuzz.triage.buckets import group, in_log
from fuzz.triage.decisions import Decisions
from fuzz.triage.export.dossier import Dossier
from fuzz.triage.export.junit import junit
from fuzz.triage.export.sarif import sarif
from fuzz.triage.read import read
from fuzz.triage.show import show
from fuzz.triage.symbols import Symbols
from fuzz.triage.understand import Analysis, understand


@click.command(
    epilog="Examples: nst-fuzz triage read console.log | dmesg | nst-fuzz triage read - | "
    "nst-fuzz triage read *.log --json | "
    "nst-fuzz triage read console.log --vmlinux vmlinux --module nst.ko | "
    "nst-fuzz triage read *.log --sarif bugs.sarif --junit bugs.xml"
)
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each log.")
@click.option(
    "--sarif",
    "sarif_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the bugs in all logs as SARIF, too.",
)
@click.option(
    "--junit",
    "junit_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write them as JUnit's XML, too.",
)
@click.option(
    "--vmlinux",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The kernel with its debug information, for source lines.",
)
@click.option(
    "--module",
    "modules",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A module with its debug information; may be given more than once.",
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="The kernel's source tree, to show lines of.",
)
def command(
    logs: tuple[Path, ...],
    as_json: bool,
    sarif_file: Path | None,
    junit_file: Path | None,
    vmlinux: Path | None,
    modules: tuple[Path, ...],
    sources: tuple[Path, ...],
) -> None:
    """Find all kernel reports in console LOGs ("-" is standard input) and name them.

    Titles are those that syzkaller gives. In SARIF and JUnit each bug stands once, whatever
    the number of logs and titles that it was seen under; what a kernel reports after its
    first report belongs to that. Exits with 1 if there is a report, else with 0.
    """
    symbols = [Symbols(vmlinux)] if vmlinux else []
    symbols += [Symbols(path, path.stem.replace("-", "_")) for path in modules]
    trees = [*sources, SOURCE.parent]
    console = Console()
    members, understood = [], {}
    for log in logs:
        reports = read(_bytes(log))
        analyses = [understand(one, symbols, sources=trees) for one in reports]
        if reports:
            members.append(in_log(log, reports))
            understood[log] = analyses[0]
        if as_json:
            click.echo(_line(log, analyses))
        else:
            show(log, analyses, console)
    bugs = [
        Dossier(bug, understood[bug.representative.run], [], 0, 0)
        for bug in group(members, Decisions.none())
    ]
    for path, export in ((sarif_file, sarif), (junit_file, junit)):
        if path is not None:
            _write(path, export(bugs))
    sys.exit(1 if members else 0)


def _bytes(log: Path) -> bytes:
    if str(log) == "-":
        return sys.stdin.buffer.read()
    try:
        return log.read_bytes()
    except OSError as error:
        raise UserError(f"{log}: {error.strerror}") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def _line(log: Path, analyses: list[Analysis]) -> str:
    first = analyses[0].guilty_file if analyses else ""
    name = "stdin" if str(log) == "-" else log.stem
    reports = [one.as_json() for one in analyses]
    return json.dumps({"id": name, "guilty_file": first, "reports": reports})
