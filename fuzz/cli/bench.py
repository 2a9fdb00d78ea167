# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz bench`: how fast the Python side and the triage are."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fuzz.bench import codec, decode, measure, packets, triage
from fuzz.cli import _bench_compare, _bench_kmod

_WIDTH = 140
"""Columns, where no terminal gives a width."""
_PARTS = ("codec", "packets", "decode")


@click.group("bench")
def command() -> None:
    """Measure speed against peers in the same run."""


command.add_command(_bench_compare.command)
command.add_command(_bench_kmod.command)


@command.command(epilog="Examples: nst-fuzz bench python | nst-fuzz bench python codec --json")
@click.argument("parts", nargs=-1, type=click.Choice(_PARTS))
@click.option("--rounds", type=click.IntRange(2), default=15, show_default=True)
@click.option(
    "--records",
    type=click.IntRange(1),
    default=1_000_000,
    show_default=True,
    help="Records in the captures that are decoded.",
)
@click.option(
    "--size",
    type=click.IntRange(1, 1400),
    default=64,
    show_default=True,
    help="Payload of those records, bytes.",
)
@click.option("--decode-rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def python(
    parts: tuple[str, ...],
    rounds: int,
    records: int,
    size: int,
    decode_rounds: int,
    as_json: bool,
) -> None:
    """Measure codec, Scapy packets and nst decode (all PARTS by default).

    Rounds are interleaved, times are CPU times. A ratio is our rate over the peer's:
    the median of the rounds, with the quartiles as its spread.

    Exit status: 0 if every target is met, 1 if one is missed.
    """
    parts = parts or _PARTS
    contests = [
        *(codec.contests() if "codec" in parts else ()),
        *(packets.contests() if "packets" in parts else ()),
    ]
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Measuring", total=rounds)
        results = measure.run(contests, rounds, 0.01, lambda: progress.advance(task))
        decoded = list(decode.run(records, size, decode_rounds)) if "decode" in parts else []
    if as_json:
        click.echo(
            json.dumps(
                {
                    "ratios": [dataclasses.asdict(result) for result in results],
                    "decode": [dataclasses.asdict(result) for result in decoded],
                }
            )
        )
    else:
        out = Console()
        if not out.is_terminal:
            out.width = _WIDTH
        if results:
            out.print(_ratios(results))
        if decoded:
            out.print(_decoded(decoded))
    met = all(result.met for result in results) and all(run.met for run in decoded)
    sys.exit(0 if met else 1)


@command.command(
    "triage", epilog="Example: nst-fuzz bench triage tests/triage/corpus/logs/r0105.log"
)
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="LOG...")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def triage_command(logs: tuple[Path, ...], rounds: int, as_json: bool) -> None:
    """Measure the reading of console logs.

    Each LOG, which must hold one report, is read 600 times over and 60 times over; and
    50 MB of a log without reports, beside only splitting it into lines. Times are the
    least CPU times of the rounds, which alternate.

    Exit status: 0 if every target is met, 1 if one is missed.
    """
    results = list(triage.run(logs, rounds))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(result) for result in results]))
    else:
        table = _table("log", "seconds", "against", "ratio", "target")
        for result in results:
            table.add_row(
                result.name,
                f"{result.seconds:.2f}",
                f"{result.against:.2f}",
                f"{result.ratio:.1f}",
                _target(f"{result.target:g}{' times' if result.growth else ' s'}", result.met),
            )
        Console().print(table)
    sys.exit(0 if all(result.met for result in results) else 1)


def _ratios(results: Sequence[measure.Result]) -> Table:
    table = _table("ours", "bytes", "per second", "peer", "per second", "ratio", "spread", "target")
    for result in results:
        low, high = result.spread
        table.add_row(
            result.name,
            str(result.size),
            f"{result.rate:,.0f}",
            result.peer_name,
            f"{result.peer_rate:,.0f}",
            f"{result.ratio:.2f}",
            f"{low:.2f}-{high:.2f}",
            _target(f"{result.target:g}", result.met),
        )
    return table


def _decoded(runs: Sequence[decode.DecodeResult]) -> Table:
    table = _table(
        "nst decode", "records", "per second", "spread", "RawPcapReader", "peak MiB", "target"
    )
    by_kind = sorted(runs, key=lambda run: (run.transport, run.output))
    for (transport, output), group in itertools.groupby(
        by_kind, lambda run: (run.transport, run.output)
    ):
        same = list(group)
        rates = [run.rate for run in same]
        rate = median(rates)
        table.add_row(
            f"{transport} {output}",
            f"{same[0].records:,}",
            f"{rate:,.0f}",
            f"{min(rates):,.0f}-{max(rates):,.0f}",
            f"{median(run.reader_rate for run in same):,.0f}",
            f"{max(run.peak_kib for run in same) / 1024:.0f}",
            _target(f"{decode.TARGET:,}", rate >= decode.TARGET),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            column, justify="left" if column in ("ours", "peer", "log") else "right", no_wrap=True
        )
    return table


def _target(text: str, met: bool) -> str:
    return f"{text} {'met' if met else 'missed'}"
