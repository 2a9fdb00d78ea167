# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz kmod`: the module, built for a named kernel."""

from __future__ import annotations

import click

from fuzz.guest import kernel, module


@click.command(epilog="Example: nst-fuzz kmod --kernel debian-6.12")
@click.option("--kernel", "name", default=kernel.DEFAULT, show_default=True, metavar="NAME")
def command(name: str) -> None:
    """Build nst.ko for a kernel, outside the source tree, and print its path."""
    click.echo(module.build_module(kernel.find(name)))
