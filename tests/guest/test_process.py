# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that must not outlive the runner."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

from fuzz.guest.process import spawn_bound
from tests.guest.processes import running, until

_RUNNER = """
import sys, time
from pathlib import Path
from fuzz.guest.process import spawn_bound
print(spawn_bound(["sleep", "1000"], Path(sys.argv[1])).pid, flush=True)
time.sleep(1000)
"""


def test_a_killed_runner_takes_its_child_along(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _RUNNER, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as runner:
        assert runner.stdout is not None
        child = int(runner.stdout.readline())
        assert running(child)
        runner.send_signal(signal.SIGKILL)
        runner.wait()
        assert until(lambda: not running(child), 5)


def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    children: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(
        target=lambda: children.append(spawn_bound(["sleep", "1000"], tmp_path / "log"))
    )
    thread.start()
    thread.join()
    (child,) = children
    try:
        assert not until(lambda: not running(child.pid), 0.5)
    finally:
        child.kill()
        child.wait()
