# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything known of one bug, as the exports need it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from fuzz.tables import AS_SHIPPED, TableSizes
from fuzz.triage.buckets import Bucket
from fuzz.triage.export.course import flow_name, lines_of
from fuzz.triage.minimise import repeats
from fuzz.triage.pieces import Piece, Raw, Sealed
from fuzz.triage.records import Connection, Datagram, Exchange, Reflection
from fuzz.triage.understand import Analysis
from nst_scapy.header import ALL_FLAGS, HEADER_LEN, MAGIC, VERSION, Flags
from nst_scapy.suite import SUITES

_SHOWN_BYTES = 32


@dataclass(frozen=True)
class Earlier:
    """A case that has to come before the one that shows the bug.

    Attributes:
        number: of the case in its run.
        exchanges: the case, as what it means.
        earliest: when it was sent, by the guest's clock, ns since 1970.
    """

    number: int
    exchanges: list[Exchange]
    earliest: int


@dataclass(frozen=True)
class Dossier:
    """One bug.

    Attributes:
        bucket: its findings.
        analysis: of the representative's report; `None` if the kernel made none.
        exchanges: the smallest case known, as what it means.
        earliest: when it was sent, by the guest's clock, ns since 1970.
        script_bytes: length of the case as first found.
        hits: of `tries`, how often it came again; 0 of 0 if that was not tried.
        tries: see `hits`.
        others: titles that came instead, with how often.
        before: the cases that have to come before it, in order.
        bodies: the length to which bodies of records are filled up, bytes; 0 if they are not.
        kids: what the key box held when it was found.
        tables: how large the replay tables were.
        age: how old they have to be, seconds.
    """

    bucket: Bucket
    analysis: Analysis | None
    exchanges: list[Exchange]
    earliest: int
    script_bytes: int
    hits: int = 0
    tries: int = 0
    others: Counter[str] = field(default_factory=Counter)
    before: tuple[Earlier, ...] = ()
    bodies: int = 0
    kids: tuple[int, ...] = (0,)
    tables: TableSizes = AS_SHIPPED
    age: float = 0.0

    @property
    def title(self) -> str:
        """The bug's title."""
        return self.bucket.title

    @property
    def kernel(self) -> str:
        """The kernel that it was found on."""
        return self.bucket.representative.meta.get("kernel", "unknown")

    @property
    def rate(self) -> str:
        """How often it comes, in words."""
        return f"{self.hits} of {self.tries} tries" if self.tries else "not measured"

    @property
    def rounds(self) -> int:
        """How often a script has to do it all for the bug to show almost surely."""
        return repeats(self.hits / self.tries, missed=0.01, most=100) if self.hits else 1

    @property
    def log(self) -> list[str]:
        """The report's lines."""
        if self.analysis is not None:
            return self.analysis.report.lines
        return self.bucket.representative.stored.finding.log.splitlines()

    def dated(self) -> list[tuple[Exchange, int]]:
        """All that is done, in order, each with the time that its case was sent at."""
        earlier = [(one, case.earliest) for case in self.before for one in case.exchanges]
        return [*earlier, *((one, self.earliest) for one in self.exchanges)]

    def described(self) -> list[str]:
        """The case, and those before it, a line for each thing that is done."""
        lines = []
        for case in self.before:
            lines.append(f"case {case.number}, which has to come before:")
            lines += [f"  {line}" for line in _described(case.exchanges)]
        if self.before:
            lines.append("and then:")
        return lines + _described(self.exchanges)


def _described(exchanges: Sequence[Exchange]) -> list[str]:
    lines = []
    for one in exchanges:
        if isinstance(one, Datagram):
            lines.append(f"datagram over IPv{one.family}: {describe(one.piece)}")
        elif isinstance(one, Reflection):
            lines.append(f"the module's own datagram over IPv{one.family}, sent back")
        elif isinstance(one, Connection):
            lines.append(f"connection over IPv{one.family}, {len(one.cuts) + 1} segment(s)")
            lines += [f"  {describe(piece)}" for piece in one.pieces]
            lines += ["  FIN"] * one.fin
        else:
            for number, flow in enumerate(one.flows):
                lines += [f"{flow_name(number)}: {describe(piece)}" for piece in flow]
            lines += lines_of(one)
    return lines


def describe(piece: Piece) -> str:
    """A record in words: what it is, and what of its header is out of the ordinary."""
    if isinstance(piece, Raw):
        header = piece.header
        if header is None or header.magic != MAGIC:
            shown = piece.data[:_SHOWN_BYTES].hex()
            more = "..." if len(piece.data) > _SHOWN_BYTES else ""
            return f"{len(piece.data)} bytes {shown}{more}"
        words = f"record that does not verify, {len(piece.data) - HEADER_LEN} bytes of body"
    else:
        header = piece.header
        chained = ", chained to the record before" if piece.chained else ""
        words = f"sealed record of {len(piece.plaintext)} bytes{chained}"
    suite = SUITES.get(header.cipher_id)
    facts = [
        suite.name if suite else f"cipher_id {header.cipher_id}",
        f"kid {header.kid}",
        f"kpos {header.kpos} kval {header.kval}",
        f"session {header.session_id:012x} counter {header.counter}",
        f"flags {_flags(header.flags)}",
    ]
    if header.version != VERSION:
        facts.append(f"version {header.version}")
    length = len(piece.plaintext) if isinstance(piece, Sealed) else len(piece.data) - HEADER_LEN
    if header.transport_len != length:
        facts.append(f"transport_len {header.transport_len}")
    return f"{words}: {', '.join(facts)}"


def _flags(value: int) -> str:
    names = [str(flag.name) for flag in Flags if value & flag]
    if value & ~ALL_FLAGS:
        names.append(f"{value & ~ALL_FLAGS:#x}")
    return "|".join(names) or "none"
