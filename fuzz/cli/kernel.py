# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz kernel`: the named kernels in the cache."""

from __future__ import annotations

import json

import click

from fuzz.errors import UserError
from fuzz.guest import kernel as kernels


@click.group(name="kernel")
def command() -> None:
    """Kernels that guests boot: list them, fetch them into the cache."""


@command.command(epilog="Example: nst-fuzz kernel fetch debian-6.12")
@click.argument("name", default=kernels.DEFAULT)
@click.option("--again", is_flag=True, help="Fetch the newest build even if one is there.")
@click.option("--quiet", is_flag=True, help="Say nothing if there is nothing to do.")
def fetch(name: str, again: bool, quiet: bool) -> None:
    """Put the image, modules and headers of kernel NAME into the cache."""
    found = kernels.fetch(
        name, again=again, progress=lambda text: click.echo(f"kernel: {text}", err=True)
    )
    if not quiet:
        click.echo(f"{found.name}: {found.release} in {found.root}")


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(as_json: bool) -> None:
    """List the named kernels and what the cache has of them."""
    rows = []
    for spec in kernels.KERNELS.values():
        try:
            release = kernels.find(spec.name).release
        except UserError:
            release = None
        rows.append({"name": spec.name, "release": release, "description": spec.description})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']:<14} {row['release'] or 'not fetched':<24} {row['description']}")
