# SPDX-License-Identifier: GPL-2.0-or-later
"""Child processes that cannot outlive this one, however it ends."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from fuzz.guest.errors import SetupError


class _Spawner:
    """Starts processes from one thread that lives as long as the process.

    The kernel sends a child its parent-death signal when the *thread* that forked it
    ends (prctl(2), PR_SET_PDEATHSIG). A guest started by a short-lived worker thread
    would die with the worker; started from here it dies with the runner.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._jobs: queue.SimpleQueue[
            tuple[Future[subprocess.Popen[bytes]], Sequence[str], Path, Sequence[int]]
        ] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="spawner", daemon=True).start()

    def _serve(self) -> None:
        while True:
            future, command, output, fds = self._jobs.get()
            try:
                with output.open("wb") as log:
                    process = subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        pass_fds=fds,
                        # Ctrl-C is the runner's to handle; it ends the guest in order.
                        process_group=0,
                    )
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(process)

    def spawn(
        self, command: Sequence[str], output: Path, fds: Sequence[int]
    ) -> subprocess.Popen[bytes]:
        """Start a command from the spawner's thread."""
        future: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((future, command, output, fds))
        return future.result()

    def usable(self) -> bool:
        """Tell whether the thread exists in this process: it does not after a fork."""
        return self._pid == os.getpid()


# The signal does not come for a parent that had died before it was asked for.
_CHECK = 'test "$PPID" = "$0" && exec "$@"'

_spawner: _Spawner | None = None
_spawner_lock = threading.Lock()


def spawn_bound(
    command: Sequence[str], output: Path, fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a process that the kernel kills when this process ends, even by SIGKILL.

    Its stdout and stderr go to the file `output`; `fds` stay open in it.
    """
    global _spawner
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SetupError("setpriv is missing: apt-get install util-linux")
    with _spawner_lock:
        if _spawner is None or not _spawner.usable():
            _spawner = _Spawner()
    bound = [setpriv, "--pdeathsig", "KILL", "--", "sh", "-c", _CHECK, str(os.getpid())]
    return _spawner.spawn([*bound, *command], output, fds)
