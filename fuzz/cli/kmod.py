# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz kmod`: the module, built for a named kernel, or looked over."""

from __future__ import annotations

import sys

import click

from fuzz.errors import UserError
from fuzz.guest import kernel, modcheck, module


@click.command(
    epilog="Examples: nst-fuzz kmod --kernel debian-6.1 | nst-fuzz kmod --check | "
    "nst-fuzz kmod --check --kernel debian-6.12"
)
@click.option(
    "--kernel", "names", multiple=True, metavar="NAME",
    help=f"May be repeated. [default: {kernel.DEFAULT}; with --check, all in the cache]",
)  # fmt: skip
@click.option(
    "--check", is_flag=True,
    help="Print what checkpatch --strict, W=1 and sparse complain about; exit with 1 if they do.",
)  # fmt: skip
def command(names: tuple[str, ...], check: bool) -> None:
    """Build nst.ko for a kernel, outside the source tree, and print its path."""
    if not check:
        for name in names or (kernel.DEFAULT,):
            click.echo(module.build_module(kernel.find(name)))
        return
    kernels = [kernel.find(name) for name in names] or _cached()
    complaints = _say("checkpatch --strict", modcheck.checkpatch(kernels[-1]))
    for chosen in kernels:
        complaints += _say(f"W=1 and sparse, {chosen.name}", modcheck.warnings(chosen))
    sys.exit(1 if complaints else 0)


def _say(what: str, complaints: list[str]) -> int:
    for line in complaints:
        click.echo(line)
    click.echo(f"{what}: {len(complaints) or 'no'} complaints", err=True)
    return len(complaints)


def _cached() -> list[kernel.Kernel]:
    """The kernels that are in the cache; UserError if there is none."""
    found = []
    for name in kernel.KERNELS:
        try:
            found.append(kernel.find(name))
        except UserError:
            click.echo(f"{name}: not in the cache, left out", err=True)
    return found or [kernel.find()]
