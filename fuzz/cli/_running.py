# SPDX-License-Identifier: GPL-2.0-or-later
"""What `run` and `resume` have in common."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.progress import Limits
from fuzz.campaigns.runner import run
from fuzz.errors import UserError
from fuzz.guest.kernel import Kernel
from fuzz.report import show, summarize
from fuzz.store import Store
from fuzz.stored import StoredRun
from fuzz.view import view

if TYPE_CHECKING:
    from fuzz.campaigns.cluster import Cluster


def go(
    store: Store,
    campaigns: Sequence[Campaign],
    kernel: Kernel,
    module: Path,
    limits: Limits,
    *,
    jobs: int,
    scheduler: str | None,
    as_json: bool,
) -> bool:
    """Run campaigns; return whether Ctrl-C ended it.

    Raises:
        GuestError: a guest does not come up.
        UserError: the cluster of the `scheduler` cannot do it.
    """
    try:
        with _cluster(scheduler) as cluster, view(Console(stderr=as_json), limits) as watcher:
            run(
                store, campaigns, kernel=kernel, module=module, seed=store.meta()["seed"],
                limits=limits, watcher=watcher, jobs=jobs, cluster=cluster,
            )  # fmt: skip
    except KeyboardInterrupt:
        return True
    return False


@contextlib.contextmanager
def _cluster(scheduler: str | None) -> Iterator[Cluster | None]:
    """The cluster of a scheduler, if one is given."""
    if scheduler is None:
        yield None
        return
    try:
        from fuzz.campaigns.cluster import Cluster
    except ImportError:
        raise UserError("--scheduler needs Dask: pip install 'nst-scapy[cluster]'") from None
    cluster = Cluster(scheduler)
    try:
        yield cluster
    finally:
        cluster.close()


def conclude(path: Path, *, interrupted: bool, as_json: bool) -> NoReturn:
    """Print a run's summary and exit: with 0, 1 if there are findings, 130 after Ctrl-C."""
    with StoredRun.open(path) as store:
        summary = summarize(store)
    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=2))
    else:
        show(summary, Console())
    sys.exit(130 if interrupted else 1 if summary.findings else 0)
