# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the module leaves memory behind: `python -m fuzz.soak.leaks -- CMD...`, in a guest.

Runs CMD, unloads the module and has kmemleak look for memory that nobody refers to any
more. Needs a kernel with kmemleak, booted with `kmemleak=on`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from fuzz.guest.kmemleak import FILE, SCAN_PAUSE_SECONDS, SCANS

_KMEMLEAK = Path(FILE)
# Sockets and namespaces go in the background.
_UNLOAD_SECONDS = 30.0


def start() -> bool:
    """Forget what was lost before; False if the kernel has no kmemleak."""
    if not _KMEMLEAK.exists():
        return False
    _KMEMLEAK.write_text("scan")
    _KMEMLEAK.write_text("clear")
    return True


def unload() -> str | None:
    """Remove the module; return rmmod's complaint if that fails, else None."""
    deadline = time.monotonic() + _UNLOAD_SECONDS
    while True:
        done = subprocess.run(["rmmod", "nst"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return None
        if time.monotonic() > deadline:
            return done.stderr.strip()
        time.sleep(1)


def report() -> str:
    """Return kmemleak's report of what was lost since `start`; empty if nothing was."""
    for _ in range(SCANS):
        time.sleep(SCAN_PAUSE_SECONDS)
        _KMEMLEAK.write_text("scan")
    return _KMEMLEAK.read_text()


def main(command: list[str]) -> int:
    """Run a command; return its exit status, or 1 if it leaves something behind."""
    if not start():
        print("leaks: this kernel has no kmemleak, or was booted without kmemleak=on")
        return 1
    status = subprocess.run(command, check=False).returncode
    complaint = unload()
    if complaint is not None:
        print(f"leaks: {complaint}")
    lost = report()
    if lost:
        print(f"leaks: memory is lost:\n{lost}")
    return status or int(bool(complaint or lost))


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :]))
