# SPDX-License-Identifier: GPL-2.0-or-later
"""What `run` and `resume` have in common."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.progress import Limits
from fuzz.campaigns.runner import run
from fuzz.guest.kernel import Kernel
from fuzz.report import show, summarize
from fuzz.store import Store
from fuzz.view import view


def go(
    store: Store,
    campaigns: Sequence[Campaign],
    kernel: Kernel,
    module: Path,
    limits: Limits,
    *,
    jobs: int,
    as_json: bool,
) -> bool:
    """Run campaigns; return whether Ctrl-C ended it."""
    try:
        with view(Console(stderr=as_json), limits) as watcher:
            run(
                store, campaigns, kernel=kernel, module=module, seed=store.meta()["seed"],
                limits=limits, watcher=watcher, jobs=jobs,
            )  # fmt: skip
    except KeyboardInterrupt:
        return True
    return False


def conclude(path: Path, *, interrupted: bool, as_json: bool) -> NoReturn:
    """Print a run's summary and exit: with 0, 1 if there are findings, 130 after Ctrl-C."""
    with Store.open(path) as store:
        summary = summarize(store)
    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=2))
    else:
        show(summary, Console())
    sys.exit(130 if interrupted else 1 if summary.findings else 0)
