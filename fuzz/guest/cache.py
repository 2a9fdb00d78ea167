# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's cache: directories that appear whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs


def cache_path(*parts: str) -> Path:
    """Return a path below the cache (`~/.cache/nst`, or under `$XDG_CACHE_HOME`)."""
    return platformdirs.user_cache_path("nst").joinpath(*parts)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock named after `path` while the body runs.

    The kernel drops the lock when the holder dies, so none is ever stale.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """Give an empty directory that becomes `path` when the body succeeds.

    The caller holds `locked(path)`. What an aborted run left behind is removed, and
    a directory that exists already is replaced.
    """
    prefix = f".{path.name}.new-"
    for stale in path.parent.glob(f"{prefix}*"):
        shutil.rmtree(stale)
    fresh = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
    try:
        fresh.chmod(0o755)
        yield fresh
        if path.exists():
            old = fresh.with_name(f"{prefix}old")
            path.rename(old)
            fresh.rename(path)
            shutil.rmtree(old)
        else:
            fresh.rename(path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
