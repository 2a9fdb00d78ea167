# SPDX-License-Identifier: GPL-2.0-or-later
"""Running an exported reproducer where it counts: in a guest, from a clean directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fuzz.finding import Finding, FindingKind
from fuzz.guest.errors import GuestError, SetupError
from fuzz.guest.hostroot import HostRootGuest, Job
from fuzz.guest.kernel import Kernel
from fuzz.guest.keys import test_keybox
from fuzz.triage.bench import names_of
from fuzz.triage.read import Report, read

_SECONDS = 300.0
"""A translated guest on a busy host is slow, and Scapy takes long to import there."""
# After an oops that kills a task alone, a guest may never come down by itself; nor does one
# whose task hangs, of which the kernel would say so after two minutes.
_AT_ONCE = (
    "cd /proc/sys/kernel; for knob in panic_on_oops panic hung_task_panic; do echo 1 >$knob; done;"
    ' echo 20 >hung_task_timeout_secs; cd "$OLDPWD"; exec "$@"'
)


@dataclass(frozen=True)
class Verification:
    """What a reproducer did.

    Attributes:
        reports: of the guest's kernel, in order.
        printed: by it.
    """

    reports: list[Report]
    printed: str

    def shows(self, wanted: Finding) -> bool:
        """Whether a finding, under one of its names, is among the reports.

        What only fell silent when it was found is shown by a task of which the kernel reports
        that it hangs in the module.
        """
        if wanted.kind is FindingKind.HANG:
            hangs = (report for report in self.reports if report.type == "HANG")
            return any(frame.module == "nst" for report in hangs for frame in report.frames)
        names = names_of(wanted)
        return any(names & {report.title, *report.alt_titles} for report in self.reports)


def verify(reproducer: Path, kernel: Kernel, module: Path) -> Verification:
    """Run a Python script, or a program in C, as root in a guest that has the module loaded.

    It runs in a new directory that holds nothing but a copy of it. The guest has one CPU, as
    the one has that trials are made in: what memory is freed between two calls, and who comes
    first, is otherwise with two. A guest that ends without its end or a report says nothing
    about it: then it is run once more.

    Raises:
        SetupError: there is no C compiler.
    """
    found, ended = _run(reproducer, kernel, module)
    return found if ended or found.reports else _run(reproducer, kernel, module)[0]


def _run(reproducer: Path, kernel: Kernel, module: Path) -> tuple[Verification, bool]:
    """What the reproducer did, and whether it came to its end."""
    with tempfile.TemporaryDirectory(prefix="nst-reproducer-") as name:
        folder = Path(name)
        copy = Path(shutil.copy(reproducer, folder))
        log = folder / "console"
        job = Job(
            ["sh", "-c", _AT_ONCE, "sh", *_command(copy)],
            folder,
            environment=dict(os.environ) | {"PYTHONDONTWRITEBYTECODE": "1"},
            module=module,
            keybox=test_keybox(),
        )
        output = folder / "output"
        ended = False
        with output.open("wb") as out:
            try:
                with HostRootGuest(kernel, job, log=log, cpus=1) as guest:
                    guest.run(stdin=os.open(os.devnull, os.O_RDONLY), outputs=[out.fileno()] * 2,
                              timeout=_SECONDS)  # fmt: skip
                    ended = True
            except GuestError:
                pass  # that it dies is what it is for
        printed = output.read_text(errors="replace")
        return Verification(read(log.read_bytes()), printed), ended


def _command(reproducer: Path) -> list[str]:
    """What runs a reproducer; one in C is compiled for that, as its own text says."""
    if reproducer.suffix != ".c":
        return [sys.executable, str(reproducer)]
    compiler = shutil.which("cc")
    if compiler is None:
        raise SetupError("cc: not found; run: make setup")
    program = reproducer.with_suffix("")
    subprocess.run([compiler, "-o", program, reproducer], check=True)
    return [str(program)]
