# SPDX-License-Identifier: GPL-2.0-or-later
"""The source file to blame, where a report names source files.

By syzkaller's convention: the first file that is not one which everything runs through,
and from there on the deepest below its folder, for `net/socket.c` only leads to
`net/core/skmsg.c`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence

from fuzz.triage import frames, functions

# What every subsystem runs through, and what reports: a bug is rarely theirs.
_GENERIC = re.compile(
    r".*\.h$|lib/|virt/lib/|mm/(?:kasan/|kmsan/|sl[aou]b|filemap\.c|folio-compat\.c|truncate\.c|"
    r"memory\.c|percpu|vmalloc\.c|page_alloc\.c|mempool\.c|util\.c)|"
    r"kernel/(?:kcov\.c|rcu/|locking/|panic\.c|printk/printk|softirq\.c|kthread\.c|sched/|"
    r"stacktrace\.c|time/timer\.c|workqueue\.c)|"
    r"arch/\w+/(?:kernel/(?:traps\.c|unwind|stacktrace\.c|apic/apic\.c)|mm/(?:fault|physaddr)\.c|"
    r"lib/crc)|arch/arm64/kernel/(?:entry|process\.c)|"
    r"net/core/(?:dev|sock|skbuff)\.c|fs/proc/generic\.c|drivers/usb/core/urb\.c"
)
_FILE = re.compile(r"(?<![\w./+-])(?P<file>[\w./+-]*[\w-]\.(?:[ch]|rs)):\d+")
# Lockdep tells where interrupts were switched and which locks are held, whoever is to blame.
_ASIDE = re.compile(
    r"(?:hard|soft)irqs\s+last\s+(?:enabled|disabled)|^ *#\d+: .* at: |^Register r\d+ information"
)


def in_report(lines: Sequence[str], *, stall: bool = False) -> str:
    """The file to blame in a report's lines; empty if they name none.

    What a stall interrupted begins below the interrupt.
    """
    if stall:
        for sign in (functions.INTERRUPTED, functions.ENTERED):
            start = next((n for n, text in enumerate(lines) if sign.search(text)), None)
            if start is not None and (found := in_report(lines[start:])):
                return found
    return guilty_file(_files(lines))


def _files(lines: Iterable[str]) -> Iterable[str]:
    for text in lines:
        found = _FILE.search(text)
        if found is None or _ASIDE.search(text):
            continue
        frame = frames.parse(text)
        if frame is None or frame.reliable or frame.register:
            yield frames.source_file(found["file"])


def guilty_file(files: Iterable[str]) -> str:
    """The file to blame among those on a stack, innermost first; empty if there are none."""
    first = guilty = ""
    for file in filter(None, files):
        first = first or file
        if _GENERIC.match(file):
            continue
        folder = posixpath.dirname(guilty)
        if not guilty or (
            posixpath.dirname(file).startswith(f"{folder}/") and file.startswith(f"{folder}/")
        ):
            guilty = file
    return guilty or first
