# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst decode --summary`: a table of conversations instead of a line per record."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import click

from ..inet import Endpoint
from ..observation import Observation
from ..suite import SUITES
from ..verdict import NO_RECORD, UNVERIFIED, Verdict

_COLOURS = {Verdict.OK.value: "green", UNVERIFIED: "yellow"}


@dataclass
class _Direction:
    """What one end sent another over one transport."""

    transport: str
    src: Endpoint
    dst: Endpoint
    records: int = 0
    plaintext: int = 0
    suites: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)


class Summary:
    """Conversations by direction, in order of their first record."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Endpoint, Endpoint], _Direction] = {}

    def watch(self, seen: Iterable[Observation]) -> Iterator[Observation]:
        """Pass observations on, counting them."""
        for observation in seen:
            key = observation.transport.value, observation.src, observation.dst
            row = self._found.get(key)
            if row is None:
                row = self._found[key] = _Direction(*key)
            row.records += 1
            row.plaintext += len(observation.plaintext or b"")
            row.verdicts[observation.verdict or UNVERIFIED] += 1
            if observation.header is not None and observation.verdict not in NO_RECORD:
                suite = SUITES.get(observation.header.cipher_id)
                row.suites[suite.name if suite else f"cipher {observation.header.cipher_id}"] += 1
            yield observation

    def show(self, *, as_json: bool) -> None:
        """Print the table, or an object for each of its rows."""
        if as_json:
            for row in self._found.values():
                ends = {"src": str(row.src), "dst": str(row.dst)}
                click.echo(json.dumps(vars(row) | ends))
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table("from", "to", "transport", "suites", box=None, pad_edge=False)
        for name in ("records", "plaintext"):
            table.add_column(name, justify="right")
        table.add_column("verdicts")
        for row in self._found.values():
            verdicts = Text(", ").join(
                Text(f"{count} {name}", style=_COLOURS.get(name, "red"))
                for name, count in row.verdicts.most_common()
            )
            table.add_row(
                str(row.src), str(row.dst), row.transport, ", ".join(row.suites),
                str(row.records), str(row.plaintext), verdicts,
            )  # fmt: skip
        # A pipe has no width to fit into.
        width = None if sys.stdout.isatty() else 10_000
        Console(file=sys.stdout, width=width, soft_wrap=True).print(table)
