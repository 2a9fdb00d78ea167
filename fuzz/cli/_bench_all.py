# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz bench all`: every benchmark against peers, in one table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from fuzz.bench import (
    codec,
    cpus,
    decode,
    figures,
    fuzzing,
    loadguest,
    measure,
    packets,
    summary,
    triage,
)
from fuzz.cli import _bench_kmod
from fuzz.guest import kernel, module

_ROUNDS = 15
_RECORDS = 200_000
_SIZE = 64
_DECODE_ROUNDS = 3
_FUZZ_ROUNDS = 3
_FUZZ_CASES = 400
_TRIAGE_ROUNDS = 3


@click.command("all", epilog="Example: nst-fuzz bench all --json >today.json")
@click.option("--kernel", "kernel_name", default=kernel.DEFAULT, show_default=True, metavar="NAME")
@click.option(
    "--log", "logs", multiple=True, type=click.Path(path_type=Path), metavar="LOG",
    help="Measure the reading of console logs, too, with this one. May be repeated.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(kernel_name: str, logs: tuple[Path, ...], as_json: bool) -> None:
    """Run every benchmark, and print all that has a peer or a limit in one table.

    Takes some ten minutes on a quiet machine. For details there are `bench python`, `bench
    fuzz`, `bench triage` and `bench kmod`.

    Exit status: 0 if every limit is kept, 1 if one is not.
    """
    contests = [*codec.contests(), *packets.contests()]
    results = measure.run(contests, _ROUNDS, 0.01, _nothing)
    decoded = list(decode.run(_RECORDS, _SIZE, _DECODE_ROUNDS))
    read = list(triage.run(logs, _TRIAGE_ROUNDS)) if logs else []
    chosen = kernel.find(kernel_name)
    built = module.build_module(chosen)
    speeds = [
        fuzzing.loopback(_FUZZ_ROUNDS, _FUZZ_CASES, _nothing),
        *fuzzing.guest(chosen, built, _FUZZ_ROUNDS, _FUZZ_CASES, _nothing),
    ]
    timed = [item for item, _ in cpus.run(chosen, built)]
    with loadguest.booted(chosen, built) as guest:
        of_module = [*_bench_kmod.measure(guest, _bench_kmod.COUNTED).figures, *timed]
    lines = [
        *summary.python_lines(results, decoded),
        *summary.triage_lines(read),
        *summary.fuzz_lines(speeds),
        *summary.kmod_lines(of_module),
    ]
    if as_json:
        measured = [
            *summary.ratio_figures(results),
            *summary.decode_figures(decoded),
            *summary.triage_figures(read),
            *summary.fuzz_figures(speeds),
            *of_module,
        ]
        click.echo(json.dumps(figures.document(measured)))
    else:
        _show(lines)
    sys.exit(0 if all(line.met for line in lines) else 1)


def _nothing() -> None:
    """Progress is told by what takes long itself."""


def _show(lines: list[summary.Line]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("what", "to"):
        table.add_column(column, no_wrap=True)
    for column in ("ratio or rate", "limit", ""):
        table.add_column(column, justify="right", no_wrap=True)
    for line in lines:
        kept = "" if not line.limit else "kept" if line.met else "missed"
        table.add_row(line.what, line.against, line.value, line.limit, kept)
    out = Console()
    if not out.is_terminal:
        out.width = 140
    out.print(table)
