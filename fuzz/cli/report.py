# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz report`: the summary of a run, also of one that was killed."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from fuzz.errors import UserError
from fuzz.html.page import render
from fuzz.junit import junit
from fuzz.report import show, summarize
from fuzz.stored import reading


@click.command(
    epilog="Examples: nst-fuzz report nst-runs/20260101-120000 | "
    "nst-fuzz report RUN --junit x.xml --html run.html"
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--junit",
    "junit_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Also write JUnit's XML, for continuous integration.",
)
@click.option(
    "--html",
    "html_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Also write a page of HTML, which needs no other file.",
)
def command(run: Path, as_json: bool, junit_path: Path | None, html_path: Path | None) -> None:
    """Print the summary of RUN, a directory that `nst-fuzz run` wrote."""
    with reading(run) as store:
        summary = summarize(store)
        if html_path is not None:
            _write(html_path, render(store))
    if junit_path is not None:
        _write(junit_path, junit(summary))
    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=2))
    else:
        show(summary, Console())


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
