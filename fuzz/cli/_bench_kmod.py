# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz bench kmod`: what the module costs, in instructions."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fuzz.bench import figures, kmod, loadguest, scale
from fuzz.guest import kernel, module

_WIDTH = 140
"""Columns, where no terminal gives a width."""
PARTS = ("stream", "dgram", "scale")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that a run measured; ``seconds`` goes with ``figures``, and is emulated time."""

    figures: list[figures.Figure]
    seconds: list[float]

    @property
    def ratios(self) -> list[kmod.Ratio]:
        """Ours to the peers'."""
        return kmod.ratios(self.figures)

    @property
    def flatness(self) -> list[scale.Flatness]:
        """Of the curves."""
        return scale.flatness(self.figures)

    @property
    def met(self) -> bool:
        """Whether every limit is kept."""
        return all(ratio.met for ratio in self.ratios) and all(curve.met for curve in self.flatness)

    def document(self) -> dict[str, object]:
        """As JSON has it."""
        return figures.document(
            self.figures,
            seconds=self.seconds,
            ratios=[dataclasses.asdict(ratio) for ratio in self.ratios],
            flatness=[dataclasses.asdict(curve) for curve in self.flatness],
        )


@click.command(
    "kmod",
    epilog="Examples: nst-fuzz bench kmod stream | nst-fuzz bench kmod --plot pictures",
)
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option("--kernel", "kernel_name", default=kernel.DEFAULT, show_default=True, metavar="NAME")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--plot", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Write pictures (SVG) and a page with all of them to DIR.",
)  # fmt: skip
def command(parts: tuple[str, ...], kernel_name: str, as_json: bool, plot: Path | None) -> None:
    """Measure the kernel module (all PARTS by default).

    \b
    stream  TCP, kTLS, OpenSSL and NST: bulk, sendfile, ping-pong, set-up
    dgram   UDP, OpenSSL's DTLS and NST: there and back
    scale   how a record's cost grows with connections, keys, sessions and its size

    All run in one guest whose clock counts instructions: figures hardly depend on the
    machine, nor on how busy it is. They count instructions and not cycles, of both ends and
    the kernel between them. Seconds are those of the emulation: a hint at most.

    Exit status: 0 if every limit is kept, 1 if one is not.
    """
    if plot is not None:
        from fuzz.bench import plot as pictures

    parts = parts or PARTS
    chosen = kernel.find(kernel_name)
    with loadguest.booted(chosen, module.build_module(chosen)) as guest:
        outcome = measure(guest, parts)
        if plot is not None:
            pictures.write(plot, guest, outcome.figures)
    if as_json:
        click.echo(json.dumps(outcome.document()))
    else:
        show(outcome)
    sys.exit(0 if outcome.met else 1)


def measure(guest: loadguest.LoadGuest, parts: Sequence[str]) -> Outcome:
    """Run *parts*, with a bar of progress on a terminal."""
    console = Console(stderr=True)
    steps = kmod.steps(parts) + (scale.steps() if "scale" in parts else 0)
    taken: list[tuple[figures.Figure, float]] = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Measuring", total=steps)
        taken += kmod.run(guest, parts, lambda: progress.advance(task))
        if "scale" in parts:
            taken += scale.run(guest, lambda: progress.advance(task))
    return Outcome([item for item, _ in taken], [seconds for _, seconds in taken])


def show(outcome: Outcome) -> None:
    """Print tables."""
    out = Console()
    if not out.is_terminal:
        out.width = _WIDTH
    out.print(_figures(outcome))
    limits = [*_ratio_rows(outcome.ratios), *_flat_rows(outcome.flatness)]
    if limits:
        table = _table("ours", "to", "ratio", "limit")
        for row in limits:
            table.add_row(*row)
        out.print()
        out.print(table)


def _figures(outcome: Outcome) -> Table:
    table = _table("what", "who", "instructions", "range", "a", "to kTLS or DTLS", "seconds")
    peers = {
        (case.name, subject): case.peer
        for cases in kmod.CASES.values()
        for case in cases
        for subject in case.transports
    }
    values = {(item.name, item.subject): item.value for item in outcome.figures}
    last = ""
    for item, seconds in zip(outcome.figures, outcome.seconds, strict=True):
        peer = values.get((item.name, peers.get((item.name, item.subject), "")))
        table.add_row(
            item.name if item.name != last else "",
            item.subject,
            f"{item.value:,.2f}",
            f"{item.low:,.2f}-{item.high:,.2f}",
            item.unit.removeprefix("instructions a "),
            f"{item.value / peer:.3f}" if peer else "",
            f"{seconds:.1f}",
        )
        last = item.name
    return table


def _ratio_rows(ratios: Iterable[kmod.Ratio]) -> Iterable[tuple[str, str, str, str]]:
    for ratio in ratios:
        limit = "" if ratio.limit is None else _limit(ratio.limit, ratio.met)
        yield f"{ratio.name}, {ratio.ours}", ratio.peer, f"{ratio.value:.3f}", limit


def _flat_rows(curves: Iterable[scale.Flatness]) -> Iterable[tuple[str, str, str, str]]:
    for curve in curves:
        yield (
            f"{curve.name}, {curve.subject}, dearest point",
            "cheapest",
            f"{curve.value:.3f}",
            _limit(scale.FLAT, curve.met),
        )


def _limit(limit: float, met: bool) -> str:
    return f"{limit:g} {'kept' if met else 'missed'}"


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        left = column in ("what", "who", "a", "ours", "to")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    return table
