# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests ask about processes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path


def qemus_below(pid: int) -> list[int]:
    """Return the QEMU processes among the descendants of a process."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # gone meanwhile
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in task.read_text().split():
                name = Path(f"/proc/{child}/comm").read_text()
                found += [int(child)] if name.startswith("qemu-system") else qemus_below(int(child))
    return found


def running(pid: int) -> bool:
    """Tell whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Callable[[], object], timeout: float = 10.0) -> bool:
    """Wait for a condition; False if it does not come true in time (seconds)."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
