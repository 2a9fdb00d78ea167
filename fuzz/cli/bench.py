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

from fuzz.bench import codec, decode, figures, fuzzing, measure, packets, summary, triage
from fuzz.cli import _bench_all, _bench_compare, _bench_kmod
from fuzz.guest import kernel
from fuzz.guest.module import build_module

_WIDTH = 140
"""Columns, where no terminal gives a width."""
_PARTS = ("codec", "packets", "decode")
_TARGETS = ("loopback", "guest")


@click.group("bench")
def command() -> None:
    """Measure speed against peers in the same run."""


command.add_command(_bench_all.command)
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
                figures.document(
                    [*summary.ratio_figures(results), *summary.decode_figures(decoded)],
                    ratios=[dataclasses.asdict(result) for result in results],
                    decode=[dataclasses.asdict(result) for result in decoded],
                )
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


@command.command(
    epilog="Examples: nst-fuzz bench fuzz | nst-fuzz bench fuzz loopback --rounds 9 --json"
)
@click.argument("targets", nargs=-1, type=click.Choice(_TARGETS))
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--cases",
    type=click.IntRange(1),
    default=3000,
    show_default=True,
    help="In each round; in the guest the runner goes on for as long as boofuzz's take.",
)
@click.option("--kernel", "kernel_name", default=kernel.DEFAULT, show_default=True, metavar="NAME")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def fuzz(
    targets: tuple[str, ...], rounds: int, cases: int, kernel_name: str, as_json: bool
) -> None:
    """Measure cases a second beside boofuzz as it comes (on all TARGETS by default).

    On the loopback both send one grammar to a service that echoes. In the guest boofuzz
    does the same through QEMU's own network, sending as often in a case as the campaign; the
    campaigns, beside it in the same guest, are judged case by case. Both
    store every case. A ratio is the median of the rounds. Takes two minutes.

    Exit status: 0 if every target is met, 1 if one is missed.
    """
    targets = targets or _TARGETS
    console = Console(stderr=True)
    speeds: list[fuzzing.Speed] = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Measuring", total=rounds * len(targets))
        if "loopback" in targets:
            speeds.append(fuzzing.loopback(rounds, cases, lambda: progress.advance(task)))
        if "guest" in targets:
            chosen = kernel.find(kernel_name)
            module = build_module(chosen)
            speeds += fuzzing.guest(chosen, module, rounds, cases, lambda: progress.advance(task))
    if as_json:
        click.echo(json.dumps([{**dataclasses.asdict(one), "ratio": one.ratio} for one in speeds]))
    else:
        out = Console()
        if not out.is_terminal:
            out.width = _WIDTH
        out.print(_speeds(speeds))
    sys.exit(0 if all(one.met for one in speeds) else 1)


def _speeds(speeds: Sequence[fuzzing.Speed]) -> Table:
    table = _table("ours", "cases a second", "boofuzz", "ratio", "spread", "target")
    for one in speeds:
        table.add_row(
            one.name,
            f"{median(one.rates):,.0f}",
            f"{median(one.peer_rates):,.0f}",
            f"{one.ratio:.1f}",
            f"{min(one.ratios):.1f}-{max(one.ratios):.1f}",
            _target(f"{one.target:g}", one.met),
        )
    return table


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
