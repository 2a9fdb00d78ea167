# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz triage repro`: make a bug happen again, and measure how often it does."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from fuzz.cli.triage._runs import runs_option, speaker, trial_options
from fuzz.triage.reproduce import reproduce
from fuzz.triage.work import work_on


@click.command(
    epilog="Examples: nst-fuzz triage repro f6cc0b01 | "
    "nst-fuzz triage repro f6cc0b01 --tries 20 --history 64"
)
@click.argument("bucket")
@runs_option
@trial_options
@click.option("--tries", type=click.IntRange(1), default=5, show_default=True, metavar="N")
@click.option(
    "--history", type=click.IntRange(0), metavar="N",
    help="Send at most N cases before it. [default: all that its guest was sent]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    bucket: str,
    folder: Path,
    kernel_name: str | None,
    module_path: Path | None,
    tries: int,
    history: int | None,
    as_json: bool,
) -> None:
    """Send BUCKET's case to fresh guests, alone and then after more and more of its history.

    Exits with 0 if the same title came again, else with 1.
    """
    work = work_on(folder, bucket, kernel_name, module_path)
    say = speaker(Console(stderr=True))
    say(f"{work.bucket.id}: {work.bucket.title}")
    earlier = work.history if history is None else work.history[len(work.history) - history :]
    with work.bench() as bench:
        done = reproduce(
            bench, work.case, earlier, work.member.stored.finding, tries=tries, say=say
        )
    if done.reproduced:
        replace(
            work.kept, hits=done.hits, tries=done.tries, others=done.others,
            before=[one.id for one in done.before],
        ).save(folder, work.bucket.id)  # fmt: skip
    if as_json:
        data = {
            "id": work.bucket.id,
            "title": work.bucket.title,
            "reproduced": done.reproduced,
            "hits": done.hits,
            "tries": done.tries,
            "history": len(done.before),
            "others": dict(done.others),
        }
        click.echo(json.dumps(data, indent=2))
    else:
        after = f" after {len(done.before)} other cases" if done.before else ""
        click.echo(f"came again in {done.hits} of {done.tries} tries{after}")
        for title, count in done.others.most_common():
            click.echo(f"another bug instead, {count} times: {title}")
    sys.exit(0 if done.reproduced else 1)
