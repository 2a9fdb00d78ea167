# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel reports on a guest's console."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fuzz.guest.console import Console, Line

_REPORT = re.compile(
    r"BUG: |KASAN: |KCSAN: |KFENCE: |KMSAN: |UBSAN: |WARNING: |Oops: |Oops:|"
    r"general protection fault|Kernel panic|kernel BUG at|Unable to handle kernel|"
    r"unable to handle page fault|double fault:|stack segment:|divide error:|invalid opcode:|"
    r"rcu: INFO: rcu_\S+ (self-)?detected|INFO: rcu_\S+ .*stall|INFO: task .* blocked for more|"
    r"watchdog: BUG: soft lockup|NMI watchdog|possible (recursive )?(circular )?locking|"
    r"inconsistent lock state|suspicious RCU usage|refcount_t: |list_(add|del) corruption|"
    r"unregister_netdevice: waiting for|kmemleak: \d+ new suspected|page allocation failure|"
    r"Out of memory: |Memory cgroup out of memory|scheduling while atomic|"
    r"sleeping function called from invalid context|trying to register non-static key|"
    r"nobody cared|stack-protector|detected buffer overflow"
)
# Printed by healthy kernels, though the words are the same.
_HARMLESS = re.compile(
    r"WARNING: CPU: \d+ PID: 0 at arch/x86/mm/ioremap|kmemleak: .*disabled|"
    r"watchdog: Delayed init"
)
# A frame of ours on the stack: " nst_stream_fill+0x60a/0x620 [nst]". Frames after a "?"
# are leftovers.
_FRAME = re.compile(r"(?:\[[^\]]*\])*\s*(?:RIP: \S+:)?([A-Za-z_][\w.]*)\+0x\S+ \[nst\]")
CONTEXT_LINES = 80
"""Lines of a report that are kept."""


def report_line(text: str) -> bool:
    """Whether a console line begins a kernel report."""
    return bool(_REPORT.search(text)) and not _HARMLESS.search(text)


class ReportWatch:
    """Looks for reports in what a console has printed since it last looked."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._position = len(console)

    def skip(self) -> None:
        """Take everything printed so far as seen."""
        self._position = len(self._console)

    def look(self) -> list[Line]:
        """The lines from the first unseen report on, at most `CONTEXT_LINES`; else none.

        Everything printed so far counts as seen afterwards.
        """
        lines = self._console.since(self._position)
        self._position += len(lines)
        for index, line in enumerate(lines):
            if report_line(line.text):
                return lines[index : index + CONTEXT_LINES]
        return []

    def rest(self) -> list[Line]:
        """What was printed since, whatever it is; counts as seen."""
        lines = self._console.since(self._position)
        self._position += len(lines)
        return lines


def title(report: Sequence[Line]) -> str:
    """A name for a report: its first line, without what differs from run to run."""
    text = report[0].text if report else "kernel report"
    text = re.sub(r"^\[[\s\d.]+\]\s*(\[[^\]]*\]\s*)?", "", text)
    text = re.sub(r"(?<=: )[0-9a-f]{4} \[#\d+\].*", "", text)
    text = re.sub(r"\b(0x)?[0-9a-f]{8,16}\b", "ADDR", text)
    text = re.sub(r"\b(CPU|PID|pid|task)([:# ]+)\d+", r"\1\2N", text)
    text = re.sub(r"\+0x[0-9a-f]+/0x[0-9a-f]+", "", text).strip(" :")
    frames = (_FRAME.match(line.text) for line in report)
    names = [found[1] for found in frames if found]
    return f"{text} in {names[0]}" if names and names[0] not in text else text
