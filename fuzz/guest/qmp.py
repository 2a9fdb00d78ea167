# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's control channel (QMP) for code that is not asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

from qemu.qmp import QMPClient, QMPError

from fuzz.guest.errors import GuestError

T = TypeVar("T")


class Qmp:
    """A QMP server socket that one QEMU connects to; usable from any thread.

    qemu.qmp is asyncio; its event loop runs in a thread of its own here.
    """

    def __init__(self, path: Path) -> None:
        self._client = QMPClient()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qmp", daemon=True)
        self._thread.start()
        self._run(self._client.start_server(str(path)), timeout=10)

    def accept(self, timeout: float) -> None:
        """Wait for QEMU to connect and agree on capabilities."""
        try:
            self._run(self._client.accept(), timeout)
        except QMPError as error:
            raise GuestError(f"QMP: {error}") from error

    def execute(self, command: str, timeout: float = 30, **arguments: Any) -> object:
        """Run a QMP command and return what it returns; GuestError if it fails."""
        try:
            return self._run(self._client.execute(command, arguments or None), timeout)
        except QMPError as error:
            raise GuestError(f"QMP {command}: {error}") from error

    def monitor(self, line: str, timeout: float = 60) -> str:
        """Run a line of the human monitor, such as `info status`; return its output."""
        said = self.execute("human-monitor-command", timeout, **{"command-line": line})
        return str(said)

    def close(self) -> None:
        """End the connection and the thread."""
        with contextlib.suppress(Exception):
            self._run(self._client.disconnect(), timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Awaitable[T], timeout: float) -> T:
        async def bounded() -> T:
            return await asyncio.wait_for(work, timeout)

        try:
            return asyncio.run_coroutine_threadsafe(bounded(), self._loop).result()
        except TimeoutError as error:
            raise GuestError(f"QMP: no answer from QEMU after {timeout:g} s") from error
