# SPDX-License-Identifier: GPL-2.0-or-later
"""Initial file systems: newc cpio archives, several of which the kernel unpacks in turn."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fuzz.guest.errors import SetupError


def archive(files: Mapping[str, bytes | Path], executable: frozenset[str] = frozenset()) -> bytes:
    """Return a cpio archive of files given by name (`bin/busybox`) and contents.

    Everything belongs to root and can be read by root alone; `executable` names the
    files that get mode 0700.
    """
    with tempfile.TemporaryDirectory(prefix="nst-initramfs-") as folder:
        for name, contents in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents.read_bytes() if isinstance(contents, Path) else contents)
            path.chmod(0o700 if name in executable else 0o600)
        entries = sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))
        try:
            return subprocess.run(
                ["cpio", "--create", "--format=newc", "--owner=+0:+0", "--quiet", "--null"],
                input="\0".join(entries).encode(), cwd=folder, capture_output=True, check=True,
            ).stdout  # fmt: skip
        except FileNotFoundError:
            raise SetupError("cpio is missing: apt-get install cpio") from None
