# SPDX-License-Identifier: GPL-2.0-or-later
"""The load inside the guest: `python -m fuzz.soak.load --seconds N --threads N --seed TEXT`.

Afterwards the module is unloaded, and the kernel looks for memory that nobody refers to
any more. Prints one JSON object: turns and errors of the workers, and the leaks.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
import traceback
from dataclasses import asdict, dataclass, field

import click

from fuzz.soak import leaks
from fuzz.soak.workers import WORKERS


@dataclass
class Tally:
    """What a worker has done: turns, the sum of what they returned, and its error."""

    turns: int = 0
    amount: int = 0
    error: str | None = None


@dataclass
class Outcome:
    """What the load has shown.

    `unloaded` is None, or why the module could not be removed; `leaks` is kmemleak's
    report, None if the kernel has no kmemleak.
    """

    workers: dict[str, Tally] = field(default_factory=dict)
    unload_error: str | None = None
    leaks: str | None = None


def main_load(seconds: float, threads: int, seed: str) -> Outcome:
    """Run the load for a time, then unload the module."""
    outcome = Outcome()
    watched = leaks.start()
    end = time.monotonic() + seconds
    running = []
    for number, name in zip(range(threads), itertools.cycle(WORKERS), strict=False):
        tally = outcome.workers[f"{name}-{number}"] = Tally()
        thread = threading.Thread(target=_work, args=(name, tally, f"{seed}|{number}", end))
        thread.start()
        running.append(thread)
    for thread in running:
        thread.join()
    outcome.unload_error = leaks.unload()
    if watched:
        outcome.leaks = leaks.report()
    return outcome


def _work(name: str, tally: Tally, seed: str, end: float) -> None:
    draw = random.Random(seed)
    try:
        while time.monotonic() < end:
            tally.amount += WORKERS[name](draw)
            tally.turns += 1
    except Exception:
        tally.error = traceback.format_exc()


@click.command()
@click.option("--seconds", type=float, required=True)
@click.option("--threads", type=int, required=True)
@click.option("--seed", required=True)
def main(seconds: float, threads: int, seed: str) -> None:
    """Run the load and print what it has shown as JSON."""
    click.echo(json.dumps(asdict(main_load(seconds, threads, seed))))


if __name__ == "__main__":
    main()
