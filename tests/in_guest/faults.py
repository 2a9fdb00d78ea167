# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls in which the kernel runs out of memory: /proc/PID/fail-nth (fault-injection.rst)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

FAIL_NTH = Path("/proc/thread-self/fail-nth")
_DEBUGFS = Path("/sys/kernel/debug")
_SETTINGS = {
    "failslab/ignore-gfp-wait": "N",
    "failslab/verbose": "0",
    "fail_page_alloc/ignore-gfp-wait": "N",
    "fail_page_alloc/ignore-gfp-highmem": "N",
    "fail_page_alloc/min-order": "0",
    "fail_page_alloc/verbose": "0",
    "fail_usercopy/verbose": "0",
}
POINTS_MAX = 2000
T = TypeVar("T")


@contextlib.contextmanager
def every_allocation_may_fail() -> Iterator[None]:
    """Those that may sleep, too, and without a stack in the log for each."""
    with contextlib.ExitStack() as stack:
        for name, value in _SETTINGS.items():
            path = _DEBUGFS / name
            stack.callback(path.write_text, path.read_text())
            path.write_text(value)
        yield


def at_every_point(
    prepare: Callable[[], contextlib.AbstractContextManager[T]],
    call: Callable[[T], object],
    check: Callable[[T, object], None],
) -> int:
    """Make the first, the second, ... allocation of *call* fail; return how many there are.

    Each time *prepare* gives what it works on, and *check* sees what it returned, or the
    OSError that it raised.
    """
    for point in range(1, POINTS_MAX):
        with prepare() as subject:
            fired, result = _failing(point, lambda subject=subject: call(subject))
            check(subject, result)
        if not fired:
            return point - 1
    raise AssertionError(f"a call with more than {POINTS_MAX} allocations")


def _failing(point: int, call: Callable[[], object]) -> tuple[bool, object]:
    """Call with one allocation failing; tell whether it came to that."""
    fd = os.open(FAIL_NTH, os.O_RDWR)
    try:
        os.write(fd, b"%d" % point)
        try:
            result = call()
        except OSError as error:
            result = error
        try:
            left = int(os.pread(fd, 20, 0))
        except OSError:
            left = point  # it was this copy to us that failed
        # Copying the 0 may be what fails, once.
        with contextlib.suppress(OSError):
            os.pwrite(fd, b"0", 0)
        os.pwrite(fd, b"0", 0)
        return left == 0, result
    finally:
        os.close(fd)
