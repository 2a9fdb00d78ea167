# SPDX-License-Identifier: GPL-2.0-or-later
"""Running the kernel's make for modules."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def environment() -> dict[str, str]:
    """Return an environment for make; variables of one that called us would leak into it."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    } | {"LC_ALL": "C"}


def make(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run `make` in a directory; return its exit status and all it wrote."""
    done = subprocess.run(
        ["make", f"-j{os.cpu_count() or 1}", "-C", str(folder), *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env=environment(), check=False,
    )  # fmt: skip
    return done.returncode, done.stdout
