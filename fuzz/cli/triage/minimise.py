# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz triage minimise`: the smallest case that still shows a bug."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import click
from rich.console import Console

from fuzz.cli.triage._runs import runs_option, speaker, trial_options
from fuzz.triage.export.dossier import describe
from fuzz.triage.minimise import Minimiser
from fuzz.triage.records import pieces_in
from fuzz.triage.reproduce import reproduce
from fuzz.triage.results import Result
from fuzz.triage.work import work_on


@click.command(
    epilog="Examples: nst-fuzz triage minimise f6cc0b01 | "
    "nst-fuzz triage minimise f6cc0b01 --trials 200"
)
@click.argument("bucket")
@runs_option
@trial_options
@click.option(
    "--trials", type=click.IntRange(1), default=120, show_default=True, metavar="N",
    help="Try at most so many smaller cases.",
)  # fmt: skip
@click.option("--tries", type=click.IntRange(1), default=3, show_default=True, metavar="N",
              help="Trials at the end, for the rate of what is left.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    bucket: str,
    folder: Path,
    kernel_name: str | None,
    module_path: Path | None,
    trials: int,
    tries: int,
    as_json: bool,
) -> None:
    """Make BUCKET's case small: fewest records, plain headers, short bytes, few segments.

    Every step is tried in a fresh guest and kept if the same title comes again. Records
    that verify are sealed anew. Exits with 1 if what is left does not show the bug.
    """
    work = work_on(folder, bucket, kernel_name, module_path)
    say = speaker(Console(stderr=True))
    say(f"{work.bucket.id}: {work.bucket.title}")
    wanted = work.member.stored.finding
    known = work.result
    rate = known.hits / known.tries if known is not None and known.tries else 1.0
    with work.bench() as bench:
        small = Minimiser(bench, wanted, trials=trials, rate=rate, say=say).run(
            work.case, work.before
        )
        say("measuring what is left")
        done = reproduce(bench, small.case, small.before, wanted, tries=tries, say=say)
    if done.reproduced:
        Result(
            work.member.run.name, work.case.id, small.case.script, work.case.earliest,
            work.case.creation, [one.id for one in done.before], done.hits, done.tries,
            Counter(done.others), minimised=True,
        ).save(folder, work.bucket.id)  # fmt: skip
    words = [describe(piece) for one in small.exchanges for piece in pieces_in(one)]
    if as_json:
        data = {
            "id": work.bucket.id,
            "title": work.bucket.title,
            "records": small.records,
            "bytes": len(small.case.script),
            "bytes_before": len(work.case.script),
            "history": len(done.before),
            "trials": small.trials,
            "complete": small.complete,
            "hits": done.hits,
            "tries": done.tries,
            "case": words,
        }
        click.echo(json.dumps(data, indent=2))
    else:
        click.echo(
            f"{small.records} records, {len(small.case.script)} bytes"
            f" (there were {len(work.case.script)}); comes again in {done.hits} of {done.tries}"
            f" tries; {small.trials} trials" + ("" if small.complete else ", and none left")
        )
        for line in words:
            click.echo(f"  {line}")
    sys.exit(0 if done.reproduced else 1)
