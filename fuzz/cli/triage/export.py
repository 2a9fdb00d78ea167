# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz triage export`: a reproducer and reports of bugs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from fuzz.cli.triage._runs import runs_option, speaker, trial_options
from fuzz.triage.export.junit import junit
from fuzz.triage.export.prove import Seen, prove, write
from fuzz.triage.export.sarif import sarif
from fuzz.triage.export.text import html, markdown
from fuzz.triage.work import buckets_in, dossier_of, work_on


@click.command(
    epilog="Examples: nst-fuzz triage export f6cc0b01 --output bug | "
    "nst-fuzz triage export --output bugs | nst-fuzz triage export f6cc0b01 --verify"
)
@click.argument("names", nargs=-1, metavar="[BUCKET]...")
@runs_option
@trial_options
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), default=Path("nst-triage"),
    show_default=True, metavar="DIR", help="Where the files go.",
)  # fmt: skip
@click.option("--verify", "checked", is_flag=True, help="Run each script and program in a guest.")
def command(
    names: tuple[str, ...],
    folder: Path,
    kernel_name: str | None,
    module_path: Path | None,
    output: Path,
    checked: bool,
) -> None:
    """Write, for each BUCKET (all that are not ignored), a Python script that reproduces it,
    a Markdown report and an HTML one; a C program where no record has to verify; and SARIF
    and JUnit of all.

    The script needs Scapy and nst_scapy, and holds no key: it makes its own. Exits with 1 if
    --verify finds a script, or a program, that does not show its bug.
    """
    wanted = names or tuple(one.id for one in buckets_in(folder) if not one.ignored)
    output.mkdir(parents=True, exist_ok=True)
    say = speaker(Console(stderr=True))
    dossiers, failed = [], False
    for name in wanted:
        work = work_on(folder, name, kernel_name, module_path)
        dossier = dossier_of(work)
        stem = output / work.bucket.id
        script, *_ = write(dossier, stem)
        seen: Seen = []
        finding = work.member.stored.finding
        if checked:
            dossier, seen = prove(dossier, stem, finding, work.kernel, work.module)
            if dossier.bodies != work.kept.bodies:
                replace(work.kept, bodies=dossier.bodies).save(folder, work.bucket.id)
        dossiers.append(dossier)
        text = script.read_text()
        (output / f"{work.bucket.id}.md").write_text(markdown(dossier, text))
        (output / f"{work.bucket.id}.html").write_text(html(dossier, text))
        click.echo(str(script))
        for path, found in seen:
            right = found.shows(finding)
            failed = failed or not right
            told = ", ".join(report.title for report in found.reports) or "no report"
            say(f"{path.name}: {'shows' if right else 'DOES NOT SHOW'} {dossier.title}: {told}")
    (output / "triage.sarif").write_text(sarif(dossiers))
    (output / "triage.junit.xml").write_text(junit(dossiers))
    sys.exit(1 if failed else 0)
