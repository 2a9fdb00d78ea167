# SPDX-License-Identifier: GPL-2.0-or-later
"""Carries bytes between a guest's ports and file descriptors of this process."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import time
from collections.abc import Mapping

_CHUNK = 65536


class Relay:
    """Joins an input descriptor and output descriptors to sockets, in one thread.

    Input that the guest does not take waits without holding up output. A slow reader
    of the output holds up the guest, as it would a local command.
    """

    def __init__(
        self,
        source: int | None,
        sink: socket.socket,
        outputs: Mapping[socket.socket, int],
        status: socket.socket,
    ) -> None:
        """Join descriptor `source` to `sink`, and each socket of `outputs` to its descriptor.

        `status` carries lines that `status` returns. The sink gets an end of file
        after the source's, or at once if there is no source.
        """
        self._source = source
        self._sink = sink
        self._outputs = outputs
        self._status = status
        self._input = b""
        self._said = b""
        self._open = {*outputs, status}
        for port in self._open:
            port.setblocking(False)
        sink.setblocking(False)
        if source is None:
            self._end_input()

    def status(self, timeout: float) -> str:
        """Carry bytes until a line of status arrives and return it; "" if the guest ends.

        Raises TimeoutError after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while b"\n" not in self._said and self._status in self._open:
            self._step(deadline)
        line, _, self._said = self._said.partition(b"\n")
        return line.decode("utf-8", "replace")

    def drain(self, timeout: float) -> None:
        """Carry what is left of the output until the guest has closed everything."""
        deadline = time.monotonic() + timeout
        self._source, self._input = None, b""
        while self._open:
            self._step(deadline)

    def _step(self, deadline: float) -> None:
        """Wait for something to carry, and carry it."""
        # Not epoll: the input may be a regular file.
        with selectors.PollSelector() as ready:
            wanted: dict[socket.socket | int, int] = dict.fromkeys(self._open, selectors.EVENT_READ)
            if self._input:
                wanted[self._sink] = wanted.get(self._sink, 0) | selectors.EVENT_WRITE
            elif self._source is not None:
                wanted[self._source] = selectors.EVENT_READ
            for thing, events in wanted.items():
                ready.register(thing, events)
            left = deadline - time.monotonic()
            found = ready.select(None if left == float("inf") else max(0.0, left))
        if not found:
            raise TimeoutError
        for key, events in found:
            if events & selectors.EVENT_WRITE:
                self._give()
            if events & selectors.EVENT_READ:
                self._take(key.fileobj)

    def _give(self) -> None:
        try:
            self._input = self._input[self._sink.send(self._input) :]
        except ConnectionError:
            # The guest has ended. That it wanted no more input is not an error.
            self._source, self._input = None, b""

    def _take(self, thing: object) -> None:
        if not isinstance(thing, socket.socket):
            assert self._source is not None
            self._input = os.read(self._source, _CHUNK)
            if not self._input:
                self._end_input()
            return
        try:
            data = thing.recv(_CHUNK)
        except ConnectionError:
            data = b""
        if not data:
            self._open.discard(thing)
        elif thing is self._status:
            self._said += data
        else:
            _write_all(self._outputs[thing], data)

    def _end_input(self) -> None:
        self._source = None
        with contextlib.suppress(OSError):  # the guest may have ended
            self._sink.shutdown(socket.SHUT_WR)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
