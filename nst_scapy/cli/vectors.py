# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst vectors`: check a file of known answers."""

from __future__ import annotations

import json
import sys

import click

from ..vectors import Mismatch, VectorError, VectorFile, check, load
from ._input import InputError, os_error, printable


@click.command(short_help="Check a file of known answers.")
@click.argument("file", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: str, as_json: bool) -> None:
    """Check every answer in FILE, which has the form of the specification's vectors.json.

    Each record is sealed and opened; each receiver case is played event by event. Every
    answer that differs is named.

    \b
    Examples:
      nst vectors tests/vectors/nst-v1.json
      nst vectors --json more.json | jq .mismatches

    Exit status: 0 if all agree, 1 if any differs, 2 if FILE is not of this form.
    """
    try:
        vectors = load(file)
        mismatches = _check(vectors)
    except VectorError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise os_error(error, file) from None
    if as_json:
        answer = {
            "file": file,
            "checks": vectors.checks,
            "mismatches": [vars(mismatch) for mismatch in mismatches],
        }
        click.echo(json.dumps(answer))
    else:
        for mismatch in mismatches:
            click.echo(printable(f"{file}: {mismatch}"))
        outcome = f"{len(mismatches)} differ" if mismatches else "all agree"
        click.echo(printable(f"{file}: {vectors.checks} answers checked, {outcome}"))
    sys.exit(1 if mismatches else 0)


def _check(vectors: VectorFile) -> list[Mismatch]:
    """Check with a progress bar where someone watches."""
    if not sys.stderr.isatty():
        return check(vectors)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Checking", total=vectors.checks)
        return check(vectors, lambda done: progress.advance(task, done))
