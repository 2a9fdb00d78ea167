# SPDX-License-Identifier: GPL-2.0-or-later
"""Temporary directories that the next run removes if this one cannot."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "nst-guest-"
# How long a directory may exist before its owner has locked it.
_UNLOCKED_SECONDS = 10.0


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """Give a private directory below `parent` while the body runs.

    It may hold keys. A runner killed by SIGKILL leaves its directory behind, so each
    one removes those that nobody holds: their lock went away with their owner.
    """
    _sweep(parent)
    path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _sweep(parent: Path) -> None:
    for path in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or gone, or held
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Not one that another runner has made but not locked yet.
                if time.time() - path.stat().st_mtime > _UNLOCKED_SECONDS:
                    shutil.rmtree(path)
            finally:
                os.close(lock)
