# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz triage diff`: why two bugs are two."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from fuzz.cli.triage._runs import runs_option
from fuzz.triage.buckets import SIMILAR, Member, similarity
from fuzz.triage.show import frame_text
from fuzz.triage.work import bucket_in


@click.command(epilog="Example: nst-fuzz triage diff f6cc0b01 dec4b125")
@click.argument("one")
@click.argument("other")
@runs_option
def command(one: str, other: str, folder: Path) -> None:
    """Compare two buckets: titles, stacks, and how much the stacks agree."""
    first = bucket_in(folder, one).representative
    second = bucket_in(folder, other).representative
    for line in difflib.unified_diff(_lines(first), _lines(second), one, other, n=30, lineterm=""):
        click.echo(line)
    if first.report is not None and second.report is not None:
        value = similarity(first.report.frames, second.report.frames)
        click.echo(f"stacks agree to {value:.0%}; one bug from {SIMILAR:.0%} on")


def _lines(member: Member) -> list[str]:
    if member.report is None:
        return [member.title]
    report = member.report
    stack = [frame_text(frame) for frame in report.frames]
    return [f"title {report.title}", *(f"also {name}" for name in report.alt_titles), *stack]
