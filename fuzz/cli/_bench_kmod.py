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

from fuzz.bench import cpus, figures, kmod, loadguest, scale
from fuzz.guest import kernel, module

_WIDTH = 140
"""Columns, where no terminal gives a width."""
COUNTED = ("stream", "dgram", "scale")
"""Parts that count instructions, and run in one guest."""
_PARTS = (*COUNTED, "cpus")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that a run measured.

    ``seconds`` goes with ``figures``: the time here that the commands took, with warming up and
    all repetitions.
    """

    figures: list[figures.Figure]
    seconds: list[float]

    @property
    def ratios(self) -> list[kmod.Ratio]:
        """Ours to the peers'."""
        return [*kmod.ratios(self.figures), *cpus.ratios(self.figures)]

    @property
    def flatness(self) -> list[scale.Flatness]:
        """Of the curves."""
        return scale.flatness(self.figures)

    @property
    def growths(self) -> list[scale.Growth]:
        """Of all curves."""
        found = (scale.growth(curve, self.figures) for curve in scale.CURVES)
        return [growth for growth in found if growth is not None]

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
            growths=[dataclasses.asdict(growth) for growth in self.growths],
        )


@click.command(
    "kmod",
    epilog="Examples: nst-fuzz bench kmod stream | nst-fuzz bench kmod --plot pictures",
)
@click.argument("parts", nargs=-1, type=click.Choice(_PARTS))
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
    scale   how cost grows with connections, keys, sessions, a record's size, and loss
    cpus    wall time of connections at once in guests with 1, 2 and 4 CPUs

    All but the last run in one guest whose clock counts instructions: figures hardly depend
    on the machine, nor on how busy it is. They count instructions and not cycles, of both
    ends and the kernel between them. Wall time is this machine's, and mostly that of QEMU's
    emulation, not of NST: a hint at most, beside that of a peer in the same run.

    Exit status: 0 if every limit is kept, 1 if one is not.
    """
    if plot is not None:
        from fuzz.bench import plot as pictures

    parts = parts or _PARTS
    chosen = kernel.find(kernel_name)
    built = module.build_module(chosen)
    # Before the other guest is there: time by the clock is for one at a time.
    timed = list(cpus.run(chosen, built)) if "cpus" in parts else []
    with loadguest.booted(chosen, built) as guest:
        outcome = measure(guest, parts)
        outcome.figures.extend(item for item, _ in timed)
        outcome.seconds.extend(seconds for _, seconds in timed)
        if plot is not None:
            pictures.write(plot, guest, outcome.figures)
    if as_json:
        click.echo(json.dumps(outcome.document()))
    else:
        show(outcome)
    sys.exit(0 if outcome.met else 1)


def measure(guest: loadguest.LoadGuest, parts: Sequence[str]) -> Outcome:
    """Run the counted ones of *parts*, with a bar of progress on a terminal."""
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
    out.print(
        "\nwall s: seconds that a line's command took here, with warming up and repetitions; where "
        "instructions\nare counted it is an emulator that took them."
    )
    limits = [*_ratio_rows(outcome.ratios), *_flat_rows(outcome.flatness)]
    if limits:
        table = _table("ours", "to", "ratio", "limit")
        for row in limits:
            table.add_row(*row)
        out.print()
        out.print(table)
    if outcome.growths:
        out.print()
        out.print(_growths(outcome.growths))


def _figures(outcome: Outcome) -> Table:
    table = _table("what", "who", "cost", "range", "unit", "to kTLS or DTLS", "wall s")
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
            item.unit,
            f"{item.value / peer:.3f}" if peer else "",
            f"{seconds:.1f}",
        )
        last = item.name
    return table


def _growths(growths: Iterable[scale.Growth]) -> Table:
    table = _table("what grows", "who", "from", "till", "cost grows by", "should")
    for curve in growths:
        table.add_row(
            curve.name,
            curve.subject,
            f"{curve.first:,}",
            f"{curve.last:,}",
            f"{100 * curve.value - 100:+.1f} %",
            curve.should,
        )
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
        left = column in ("what", "what grows", "who", "unit", "ours", "to", "should")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    return table
