# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz resume`: go on with a run that was interrupted, or killed, or is to be longer."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fuzz.campaigns.catalogue import campaign
from fuzz.campaigns.progress import Limits
from fuzz.cli._duration import Duration
from fuzz.cli._running import conclude, go
from fuzz.guest import kernel
from fuzz.store import MODULE, Store
from fuzz.stored import StoreError


@click.command(
    epilog="Examples: nst-fuzz resume nst-runs/20260101-120000 | nst-fuzz resume RUN --cases 100000"
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--cases", type=click.IntRange(1), metavar="N", help="Of each campaign. [default: the run's]"
)
@click.option(
    "--time",
    "seconds",
    type=Duration(),
    help="For all campaigns together, what is done counted in. [default: the run's]",
)
@click.option("--max-findings", type=click.IntRange(1), metavar="N", help="[default: the run's]")
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Guests at a time. [default: the run's]"
)
@click.option("--scheduler", metavar="ADDRESS", help="As for `nst-fuzz run`.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    run: Path,
    cases: int | None,
    seconds: float | None,
    max_findings: int | None,
    jobs: int | None,
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Go on with RUN where it ended: the same module, kernel, seed and cases.

    No case is run twice but those that were under way when the runner was killed. Also a run
    that has finished goes on, if it is given other limits. Exits as `nst-fuzz run` does.
    """
    with Store.resume(run) as store:
        meta = store.meta()
        try:
            limits = Limits(**json.loads(meta["limits"]))
            names = meta["campaigns"].split()
        except KeyError:
            raise StoreError(f"{run}: its limits were not stored") from None
        limits = Limits(
            cases or limits.cases, seconds or limits.seconds, max_findings or limits.findings
        )
        campaigns = [campaign(name, run) for name in names]
        chosen = kernel.find(meta["kernel_name"])
        interrupted = go(
            store, campaigns, chosen, run / MODULE, limits,
            jobs=jobs or int(meta["jobs"]), scheduler=scheduler, as_json=as_json,
        )  # fmt: skip
    conclude(run, interrupted=interrupted, as_json=as_json)
