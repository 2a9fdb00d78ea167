# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz corpus`: what the cases of a corpus reach, and the least of them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from fuzz.campaigns.runner import run_keybox
from fuzz.corpus.entry import Corpus, CorpusError
from fuzz.corpus.minimise import measure
from fuzz.guest import kernel
from fuzz.guest.module import EDGES, build_module
from fuzz.lab import Lab
from fuzz.rig import Rig


@click.command(epilog="Examples: nst-fuzz corpus corpus/ | nst-fuzz corpus corpus/ --minimise")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--kernel", "kernel_name", default=kernel.DEFAULT, show_default=True, metavar="NAME")
@click.option("--minimise", is_flag=True, help="Remove cases whose edges others take.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(folder: Path, kernel_name: str, minimise: bool, as_json: bool) -> None:
    """Send each case that `nst-fuzz run --corpus DIR` has kept, and tell which edges it takes."""
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such directory")
    corpus = Corpus(folder)
    cases = corpus.cases()
    chosen = kernel.find(kernel_name)
    module = build_module(chosen, switches=[EDGES])
    console = Console(stderr=as_json)
    with (
        tempfile.TemporaryDirectory(prefix="nst-corpus-") as work,
        console.status(f"booting {chosen.name}") as status,
    ):
        run_keybox("corpus").save(box := Path(work) / "keybox")
        with Rig(chosen, module=module, keybox=box, workdir=Path(work)) as rig:
            lab, count = Lab(rig), len(cases)
            ran = measure(lab, cases, lambda done: status.update(f"{done}/{count} cases"))
    if minimise:
        for digest, one in ran.items():
            if not one.chosen:
                corpus.remove(digest)
    total = len(frozenset[int]().union(*(one.edges for one in ran.values())))
    least = sum(one.chosen for one in ran.values())
    if as_json:
        told = {
            digest: {
                "edges": len(one.edges), "own": one.own, "bytes": one.size, "needed": one.chosen
            }
            for digest, one in ran.items()
        }  # fmt: skip
        click.echo(json.dumps({"edges": total, "needed": least, "cases": told}, indent=2))
        return
    table = Table("case", "first step", box=None, padding=(0, 2, 0, 0))
    for column in ("steps", "bytes", "edges", "its own", "needed"):
        table.add_column(column, justify="right")
    for digest, one in ran.items():
        moves = cases[digest].moves
        table.add_row(
            digest, moves[0].action.name.lower(), str(len(moves)), str(one.size),
            str(len(one.edges)), str(one.own), "yes" if one.chosen else "",
        )  # fmt: skip
    console.print(table)
    removed = f"; {len(ran) - least} removed" if minimise else ""
    console.print(f"{total} edges, {least} of {len(ran)} cases take them all{removed}")
