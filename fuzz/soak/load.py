# SPDX-License-Identifier: GPL-2.0-or-later
"""The load inside the guest: `python -m fuzz.soak.load --seconds N --threads N --seed TEXT`.

Afterwards the module is unloaded, and the kernel looks for memory that nobody refers to
any more. Prints one JSON object: turns and errors of the workers, and the leaks.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import threading
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click

from fuzz.soak.workers import WORKERS

_KMEMLEAK = Path("/sys/kernel/debug/kmemleak")
# kmemleak takes an object for lost when two scans some seconds apart do not find it.
_SCAN_PAUSE_SECONDS = 6.0


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
    if _KMEMLEAK.exists():
        _scan()
        _KMEMLEAK.write_text("clear")
    end = time.monotonic() + seconds
    running = []
    for number, name in zip(range(threads), itertools.cycle(WORKERS), strict=False):
        tally = outcome.workers[f"{name}-{number}"] = Tally()
        thread = threading.Thread(target=_work, args=(name, tally, f"{seed}|{number}", end))
        thread.start()
        running.append(thread)
    for thread in running:
        thread.join()
    outcome.unload_error = _unload()
    if _KMEMLEAK.exists():
        for _ in range(2):
            time.sleep(_SCAN_PAUSE_SECONDS)
            _scan()
        outcome.leaks = _KMEMLEAK.read_text()
    return outcome


def _work(name: str, tally: Tally, seed: str, end: float) -> None:
    draw = random.Random(seed)
    try:
        while time.monotonic() < end:
            tally.amount += WORKERS[name](draw)
            tally.turns += 1
    except Exception:
        tally.error = traceback.format_exc()


def _unload() -> str | None:
    """Remove the module; what is left of sockets and namespaces goes in the background."""
    deadline = time.monotonic() + 30
    while True:
        done = subprocess.run(["rmmod", "nst"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return None
        if time.monotonic() > deadline:
            return done.stderr.strip()
        time.sleep(1)


def _scan() -> None:
    _KMEMLEAK.write_text("scan")


@click.command()
@click.option("--seconds", type=float, required=True)
@click.option("--threads", type=int, required=True)
@click.option("--seed", required=True)
def main(seconds: float, threads: int, seed: str) -> None:
    """Run the load and print what it has shown as JSON."""
    click.echo(json.dumps(asdict(main_load(seconds, threads, seed))))


if __name__ == "__main__":
    main()
