# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz soak`: mixed load for a while, on a kernel that watches."""

from __future__ import annotations

import dataclasses
import json
import secrets
import sys

import click
from rich.console import Console
from rich.table import Table

from fuzz.cli._duration import Duration
from fuzz.guest import kernel
from fuzz.guest.logs import new_log
from fuzz.guest.module import build_module
from fuzz.soak.soak import Result, soak


@click.command(epilog="Example: nst-fuzz soak --kernel sanitizer-6.12 --time 10m")
@click.option(
    "--kernel", "kernel_name", default="sanitizer-6.12", show_default=True, metavar="NAME"
)
@click.option("--time", "seconds", type=Duration(), default="10m", show_default=True)
@click.option("--threads", type=click.IntRange(1), default=8, show_default=True)
@click.option("--seed", metavar="TEXT", help="Make the same choices again. [default: random]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    kernel_name: str, seconds: float, threads: int, seed: str | None, as_json: bool
) -> None:
    """Load the module with every kind of work at once, then unload it.

    Streams, datagrams, damaged records, aborted connections, key boxes, network namespaces
    and switches, each in a thread. Data is compared, the kernel's reports are collected,
    and after unloading kmemleak looks for memory left behind. Exits with 1 if anything is
    found.
    """
    chosen = kernel.find(kernel_name)
    seed = secrets.token_hex(4) if seed is None else seed
    module = build_module(chosen)
    click.echo(f"{seconds:g} s of load on {chosen.release}, seed {seed}", err=True)
    result = soak(chosen, module, seconds=seconds, threads=threads, seed=seed, log=new_log())
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(result), default=str, indent=2))
    else:
        _show(result)
    sys.exit(1 if result.failures else 0)


def _show(result: Result) -> None:
    table = Table("thread", "turns", "amount")
    for name, worker in result.workers.items():
        table.add_row(name, str(worker["turns"]), str(worker["amount"]))
    console = Console()
    console.print(table)
    for text in result.failures:
        console.print(text, markup=False)
    if not result.failures:
        leaks = "" if result.leaks is None else "; nothing leaked"
        console.print(f"no kernel report, no wrong byte; unloaded{leaks}")
    console.print(f"console: {result.log}", markup=False)
