# SPDX-License-Identifier: GPL-2.0-or-later
"""What no console tells: titles for what only the runner sees.

The first two are syzkaller's.
"""

from __future__ import annotations

LOST_CONNECTION = "lost connection to test machine"
"""The guest runs, and what is to answer in it does not."""
NO_OUTPUT = "no output from test machine"
"""The guest runs, and has said nothing since it was booted."""
QEMU_ENDED = "the guest ended without a report"
"""QEMU is gone, and the kernel said nothing."""
TAINTED = "the kernel tainted itself"
"""Without a report."""
