# SPDX-License-Identifier: GPL-2.0-or-later
"""Running campaigns."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.progress import Limits, Watcher
from fuzz.campaigns.schedule import Schedule
from fuzz.campaigns.shard import run_shard
from fuzz.campaigns.workers import Workers
from fuzz.guest.kernel import Kernel
from fuzz.store import KEYBOX, MODULE, Store
from nst_scapy.keybox import KeyBox

if TYPE_CHECKING:
    from fuzz.campaigns.cluster import Cluster

KIDS = (0, 1, 2, 255, 256, 65535)
"""The `kid`s in a campaign's key box."""


def run_keybox(seed: str) -> KeyBox:
    """The key box of a run: test keys that follow from its seed, so that runs repeat."""
    draw = random.Random(f"{seed}|keybox")
    return KeyBox({kid: draw.randbytes(32) for kid in KIDS})


def prepare(store: Store, module: Path, seed: str) -> None:
    """Give a run its key box and its module."""
    run_keybox(seed).save(store.path / KEYBOX)
    kept = store.path / MODULE
    if module != kept:
        # The cache may forget it.
        try:
            kept.hardlink_to(module)
        except OSError:
            shutil.copyfile(module, kept)


def run(
    store: Store,
    campaigns: Sequence[Campaign],
    *,
    kernel: Kernel,
    module: Path,
    seed: str,
    limits: Limits,
    watcher: Watcher,
    jobs: int = 1,
    cluster: Cluster | None = None,
) -> None:
    """Run campaigns, as many guests at a time as there are jobs, and store what happens.

    With a `cluster` the guests are its workers', and it says how many there are.

    Raises:
        GuestError: a guest does not come up.
        UserError: a worker is lost again and again.
    """
    prepare(store, module, seed)
    ended = "stopped"
    try:
        if cluster is not None:
            schedule = Schedule(store, campaigns, limits, cluster.jobs, cluster.slices)
            cluster.run(store, schedule, kernel_name=kernel.name, seed=seed, watcher=watcher)
            ended = "finished"
            return
        schedule = Schedule(store, campaigns, limits, jobs)
        if jobs == 1:
            while (task := schedule.next()) is not None:
                progress = run_shard(
                    store, task, kernel=kernel, module=module, seed=seed, watcher=watcher
                )
                for _ in range(progress.findings - task.past.progress.findings):
                    schedule.found()
                schedule.done(task, progress.seconds)
                watcher.ended(task.shard)
        else:
            Workers(store, kernel, module, seed, watcher, jobs).run(schedule)
        ended = "finished"
    except KeyboardInterrupt:
        ended = "interrupted"
        raise
    finally:
        store.note(ended=ended, finished=str(time.time()))
