# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's serial console: kept in a file with time stamps, and followed live."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fuzz.guest.errors import GuestError, GuestPanic, GuestTimeout

PANIC = re.compile(r"Kernel panic - not syncing.*")
# Colours and cursor movements, which firmware and shells emit.
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|[()][0-9A-B]|[c78=>])|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Line:
    """One line of console output and when it began to arrive (seconds since 1970, UTC)."""

    time: float
    text: str


Listener = Callable[[Line], None]


class Console:
    """Collects the lines of one serial port.

    Lines are numbered from 0 in order of arrival; a position in this order can be
    given to `since` and `wait_for`. One reader thread calls the listeners, appends to
    the log file and wakes those who wait, so listeners must return quickly.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._lines: list[Line] = []
        self._changed = threading.Condition()
        self._ended = False
        self._listeners: list[Listener] = []
        self._thread: threading.Thread | None = None

    def attach(self, port: socket.socket) -> None:
        """Follow a connected stream socket until the other end closes it."""
        self._ended = False
        self._thread = threading.Thread(
            target=self._follow, args=(port,), name="console", daemon=True
        )
        self._thread.start()

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every new line, from the reader's thread."""
        self._listeners.append(listener)

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[Line]:
        return iter(self.since(0))

    def since(self, position: int) -> list[Line]:
        """Return the lines from a position on."""
        with self._changed:
            return self._lines[position:]

    @property
    def ended(self) -> bool:
        """True when the guest's end of the port is closed: QEMU is gone."""
        return self._ended

    def panic_since(self, position: int) -> str | None:
        """Return the first panic message of the kernel from a position on, if any."""
        for line in self.since(position):
            if found := PANIC.search(line.text):
                return found[0]
        return None

    def wait_for(self, pattern: str, timeout: float, since: int = 0) -> re.Match[str]:
        """Wait until a line matches a regular expression (`re.search`); return the match.

        Raises GuestTimeout after `timeout` seconds, GuestPanic if the kernel panics
        first (unless that is what the pattern matches) and GuestError if QEMU ends.
        """
        wanted = re.compile(pattern)
        deadline = time.monotonic() + timeout
        panic: str | None = None
        while True:
            with self._changed:
                if len(self._lines) <= since and not self._ended:
                    self._changed.wait(max(0.0, deadline - time.monotonic()))
                fresh, ended = self._lines[since:], self._ended
            since += len(fresh)
            for line in fresh:
                if found := wanted.search(line.text):
                    return found
                if panicked := PANIC.search(line.text):
                    panic = panicked[0]
            if panic:
                raise GuestPanic(panic, self.log)
            if ended:
                raise GuestError(f"QEMU ended while waiting for {pattern!r}", self.log)
            if not fresh and time.monotonic() >= deadline:
                raise GuestTimeout(f"no {pattern!r} after {timeout:g} s", self.log)

    def join(self, timeout: float | None = None) -> None:
        """Wait until everything the guest wrote has been taken in."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _follow(self, port: socket.socket) -> None:
        pending, began = b"", 0.0
        with port, self.log.open("a", encoding="utf-8") as log:
            while data := _receive(port):
                now = time.time()
                began = began if pending else now
                *whole, pending = (pending + data).split(b"\n")
                for raw in whole:
                    self._take(Line(began, _clean(raw)), log.write)
                    began = now
                log.flush()
            if pending:
                self._take(Line(began, _clean(pending)), log.write)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, line: Line, write: Callable[[str], int]) -> None:
        stamp = datetime.fromtimestamp(line.time, UTC).isoformat("T", "milliseconds")
        write(f"{stamp.removesuffix('+00:00')}Z {line.text}\n")
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()
        for listener in self._listeners:
            listener(line)


def _receive(port: socket.socket) -> bytes:
    """Receive some bytes; a QEMU that was killed counts as the end."""
    try:
        return port.recv(65536)
    except ConnectionError:
        return b""


def _clean(raw: bytes) -> str:
    return _ESCAPES.sub("", raw.decode("utf-8", "replace").rstrip("\r"))
