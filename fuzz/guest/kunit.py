# SPDX-License-Identifier: GPL-2.0-or-later
"""Running the module's KUnit tests: they run when it is loaded."""

from __future__ import annotations

import itertools
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fuzz.guest.errors import SetupError
from fuzz.guest.hostroot import HostRootGuest, Job
from fuzz.guest.kernel import Kernel
from fuzz.guest.module import build_module

_MEMORY_MIB = 2048
_SHOW = "cat /sys/kernel/debug/kunit/nst_*/results"
# KTAP: "    ok 3 name", "        not ok 1 a parameter", "ok 2 - name # SKIP reason".
_RESULT = re.compile(r"( *)(not )?ok \d+ (?:- )?(.*?)(?: # (SKIP.*))?")


@dataclass(frozen=True)
class Results:
    """The outcome: numbers of results of the finest level, and the whole text (KTAP)."""

    passed: int
    failed: list[str]
    skipped: int
    suites: list[str]
    text: str


def run(kernel: Kernel, *, log: Path) -> Results:
    """Boot a guest with the module and its tests in it, and return what they said.

    Raises:
        SetupError: the kernel has no KUnit.
        GuestError: the guest fails; GuestPanic if the tests panic its kernel.
    """
    if "CONFIG_KUNIT=y" not in (kernel.build / ".config").read_text().splitlines():
        raise SetupError(f"kernel {kernel.name} has no KUnit")
    module = build_module(kernel, kunit=True)
    job = Job(["sh", "-c", _SHOW], Path("/tmp"), module=module)
    with (
        tempfile.TemporaryFile() as output,
        HostRootGuest(kernel, job, log=log, memory=_MEMORY_MIB) as guest,
    ):
        guest.run(outputs=[output.fileno(), 2])
        output.seek(0)
        return parse(output.read().decode(errors="replace"))


def parse(text: str) -> Results:
    """Read KTAP as debugfs shows it: one document for each suite."""
    lines = [found for line in text.splitlines() if (found := _RESULT.fullmatch(line))]
    # A result after one that is indented deeper sums that one up.
    leaves = [
        line
        for before, line in itertools.pairwise([None, *lines])
        if line and not (before and len(before[1]) > len(line[1]))
    ]
    return Results(
        passed=sum(not line[2] and not line[4] for line in leaves),
        failed=[line[3] for line in leaves if line[2]] or [line[3] for line in lines if line[2]],
        skipped=sum(bool(line[4]) for line in leaves),
        suites=[line[3] for line in lines if not line[1]],
        text=text,
    )
