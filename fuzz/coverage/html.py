# SPDX-License-Identifier: GPL-2.0-or-later
"""The coverage of runs as pages: an index, and the source of each file with what ran of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2

from fuzz.coverage.areas import RECEIVE
from fuzz.coverage.lines import CoverageError, FileLines
from fuzz.coverage.report import Report


@dataclass(frozen=True)
class SourceLine:
    """A line of source as it is shown.

    Attributes:
        count: how often it ran; `None` if no code was made of it.
        state: `run`, `part` (a branch was never taken), `not`, `why` (not, for a reason), or
            `none`.
        note: on branches, or the reason.
    """

    number: int
    text: str
    count: int | None
    state: str
    note: str


def write(report: Report, folder: Path) -> Path:
    """Write the pages into a folder; return the index.

    Raises:
        CoverageError: it cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fuzz.coverage"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    total = report.total
    pages = {f"{_page(name)}": name for name in total}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for page, name in pages.items():
            text = environment.get_template("file.html.j2").render(
                name=name, lines=list(_lines(report, name, total[name]))
            )
            (folder / page).write_text(text)
        index = folder / "index.html"
        index.write_text(
            environment.get_template("index.html.j2").render(
                report=report, page=_page, files=total.keys(), area=RECEIVE
            )
        )
    except OSError as error:
        raise CoverageError(f"{error.filename}: {error.strerror}") from None
    return index


def _page(name: str) -> str:
    return name.replace("/", "-") + ".html"


def _lines(report: Report, name: str, ran: FileLines) -> Iterator[SourceLine]:
    for number, text in enumerate(report.measured.source[name].splitlines(), start=1):
        line = ran.lines.get(number)
        if line is None:
            yield SourceLine(number, text, None, "none", "")
        elif not line.count:
            reason = report.explained.reasons.get((name, number), "")
            yield SourceLine(number, text, 0, "why" if reason else "not", reason)
        else:
            taken = sum(count > 0 for count in line.branches)
            state = "run" if taken == len(line.branches) else "part"
            counts = ", ".join(map(str, line.branches))
            note = f"{taken} of {len(line.branches)} branches: {counts}" if line.branches else ""
            yield SourceLine(number, text, line.count, state, note)
