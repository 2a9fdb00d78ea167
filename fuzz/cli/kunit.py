# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz kunit`: the module's unit tests, in a kernel."""

from __future__ import annotations

import sys

import click

from fuzz.guest import kernel, kunit
from fuzz.guest.logs import new_log


@click.command(epilog="Example: nst-fuzz kunit --kernel sanitizer-6.12")
@click.option(
    "--kernel", "name", default="sanitizer-6.12", show_default=True, metavar="NAME",
    help="One with KUnit.",
)  # fmt: skip
@click.option("--verbose", is_flag=True, help="Print every result, not only those that failed.")
def command(name: str, verbose: bool) -> None:
    """Run the KUnit tests of codec, key box, replay protection and header checks.

    Exits with 1 if one fails.
    """
    results = kunit.run(kernel.find(name), log=new_log())
    if verbose or results.failed:
        click.echo(results.text)
    click.echo(
        f"{len(results.suites)} suites: {results.passed} passed, {len(results.failed)} failed, "
        f"{results.skipped} skipped"
    )
    sys.exit(1 if results.failed or not results.passed else 0)
