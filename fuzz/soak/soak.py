# SPDX-License-Identifier: GPL-2.0-or-later
"""Running the load in a guest, and what counts against the module."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz.guest import keys, kmemleak
from fuzz.guest.hostroot import HostRootGuest, Job
from fuzz.guest.kernel import Kernel
from fuzz.oracles.console import ReportWatch, title

ROOT = Path(__file__).parents[2]
_MEMORY_MIB = 2048
# Beyond the load, on a stock kernel with KVM: unloading, scans for leaks, last turns.
_REST_SECONDS = 120.0


@dataclass(frozen=True)
class Result:
    """What a load has shown.

    Attributes:
        workers: for each thread its turns, the amount it moved, and its error.
        reports: titles of the kernel's reports.
        unload_error: why the module could not be removed, None if it was.
        leaks: kmemleak's report after unloading, None if the kernel has none.
        log: the console.
    """

    workers: dict[str, dict[str, Any]]
    reports: list[str]
    unload_error: str | None
    leaks: str | None
    log: Path

    @property
    def failures(self) -> list[str]:
        """What is wrong, a line or more each; empty if nothing is."""
        wrong = [f"kernel report: {text}" for text in self.reports]
        wrong += [
            f"{name}: {worker['error']}" for name, worker in self.workers.items() if worker["error"]
        ]
        if self.unload_error is not None:
            wrong.append(f"the module could not be unloaded: {self.unload_error}")
        if self.leaks:
            wrong.append(f"kmemleak, after unloading:\n{self.leaks}")
        return wrong


def soak(
    kernel: Kernel, module: Path, *, seconds: float, threads: int, seed: str, log: Path
) -> Result:
    """Boot a guest and run the load in it.

    Raises:
        GuestPanic: the kernel panicked.
        GuestError: the guest or the load ended before its time.
    """
    with tempfile.TemporaryFile() as output:
        job = Job(
            [
                sys.executable, "-B", "-m", "fuzz.soak.load",
                "--seconds", str(seconds), "--threads", str(threads), "--seed", seed,
            ],
            ROOT,
            module=module,
            keybox=keys.test_keybox(),
        )  # fmt: skip
        guest = HostRootGuest(
            kernel,
            job,
            log=log,
            memory=_MEMORY_MIB,
            cmdline=kmemleak.SWITCH,
            cpus=os.cpu_count() or 1,
        )
        with guest:
            watch = ReportWatch(guest.console)
            status = guest.run(
                outputs=[output.fileno(), 2], timeout=seconds + _REST_SECONDS * guest.qemu.slowdown
            )
        reports = []
        while report := watch.look():
            reports.append(title(report))
        output.seek(0)
        said = json.loads(output.read()) if status == 0 else {}
    return Result(
        said.get("workers", {}),
        reports + ([f"the load ended with status {status}"] if status else []),
        said.get("unload_error"),
        said.get("leaks"),
        log,
    )
