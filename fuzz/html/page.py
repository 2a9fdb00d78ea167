# SPDX-License-Identifier: GPL-2.0-or-later
"""Gathering what the page of a run shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import jinja2

from fuzz.finding import FindingKind
from fuzz.html import timeline
from fuzz.html.charts import HEIGHT, WIDTH, Chart, Series, chart
from fuzz.report import Summary, in_order, summarize
from fuzz.script import Action, Step, described, unpack
from fuzz.stored import StoredCase, StoredFinding, StoredRun
from nst_scapy.header import HEADER_LEN, MAGIC, Header
from nst_scapy.suite import SUITES

_POINTS = 240
"""Of a line, about; more would not be seen."""
_LOG_LINES = 60


@dataclass(frozen=True)
class ShownFinding:
    """A finding with its first case taken apart.

    Attributes:
        stored: as stored.
        case: the first that showed it.
        steps: what the case does, each with the header of the record that it begins with.
        log: the beginning of the console's report.
        replay, triage: commands.
    """

    stored: StoredFinding
    case: StoredCase
    steps: list[tuple[str, str]]
    log: str
    replay: str
    triage: str


def render(store: StoredRun) -> str:
    """The page of a run, whatever state it is in."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fuzz.html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    summary = summarize(store)
    started = float(summary.meta["started"])
    return environment.get_template("run.html.j2").render(
        run=summary,
        started=datetime.fromtimestamp(started, UTC),
        charts=list(_charts(store, started)),
        width=WIDTH,
        height=HEIGHT,
        in_order=in_order,
        findings=[_shown(store, summary, found) for found in summary.findings],
    )


def _charts(store: StoredRun, started: float) -> Iterator[Chart]:
    cases = timeline.cases(store, started, _POINTS)
    yield chart("Cases", [Series(name, points) for name, points in cases.items()])
    found: dict[str, list[tuple[float, float]]] = {}
    for kind, sent in timeline.findings(store):
        points = found.setdefault(kind, [(0.0, 0.0)])
        points.append((sent - started, len(points)))
    if found:
        # As long as the run, not as the time of the last finding.
        end = max((points[-1][0] for points in cases.values()), default=0.0)
        for points in found.values():
            points.append((max(end, points[-1][0]), points[-1][1]))
        kinds = [kind for kind in FindingKind if kind in found]
        yield chart("Findings", [Series(kind, found[kind]) for kind in kinds], steps=True)
    taken: dict[str, list[tuple[float, float]]] = {}
    for campaign, sent, edges in timeline.edges(store):
        taken.setdefault(campaign, []).append((sent - started, edges))
    if taken:
        series = [Series(name, points) for name, points in taken.items()]
        yield chart("Edges of the module's code", series, steps=True)


def _shown(store: StoredRun, summary: Summary, found: StoredFinding) -> ShownFinding:
    case = store.case(found.first)
    steps = [(described(step), _record(step)) for step in unpack(case.script)]
    log = found.finding.log.splitlines()
    more = [f"... {len(log) - _LOG_LINES} more lines"] if len(log) > _LOG_LINES else []
    return ShownFinding(
        found,
        case,
        steps,
        "\n".join([*log[:_LOG_LINES], *more]),
        summary.replay(found),
        summary.triage(found),
    )


def _record(step: Step) -> str:
    """The header of the record that a step's data begin with, in words; else nothing."""
    if step.action not in (Action.DATAGRAM, Action.SEGMENT) or len(step.data) < HEADER_LEN:
        return ""
    header = Header.unpack(step.data)
    if header.magic != MAGIC:
        return f"magic {header.magic:#010x}"
    suite = SUITES.get(header.cipher_id)
    return (
        f"version {header.version}, {suite.name if suite else f'cipher {header.cipher_id}'},"
        f" transport_len {header.transport_len}, timestamp {header.timestamp},"
        f" session {header.session_id:#x}, counter {header.counter},"
        f" kpos {header.kpos}, kval {header.kval}, kid {header.kid}, flags {header.flags:#x}"
    )
