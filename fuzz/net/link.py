# SPDX-License-Identifier: GPL-2.0-or-later
"""Ethernet frames over a stream socket, as QEMU's `stream` netdev has them.

Each frame follows its length, 4 bytes big-endian. Many go with one system call each way, and
QEMU hands as many to the guest when it is woken once.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterable

_LENGTH = struct.Struct(">I")
_AT_ONCE = 1 << 18
_SEND_SECONDS = 30.0
"""How long a guest may leave frames unread."""


class FrameLink:
    """The host's end of a guest's link, of one boot of it after the other."""

    def __init__(self) -> None:
        """Nothing is at the other end before `attach`."""
        self._socket: socket.socket | None = None
        self._ready = select.poll()
        self._came = bytearray()
        self._next = 0

    def attach(self, own: socket.socket) -> None:
        """Use another socket; what came over the one before is forgotten."""
        self.close()
        own.settimeout(_SEND_SECONDS)
        self._socket = own
        self._ready = select.poll()
        self._ready.register(own, select.POLLIN)

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._came.clear()
        self._next = 0

    def send(self, frames: Iterable[bytes]) -> None:
        """Send frames in order; blocks while the guest takes none.

        Raises:
            ConnectionError: QEMU is gone, or the guest takes none for half a minute.
        """
        data = b"".join([part for frame in frames for part in (_LENGTH.pack(len(frame)), frame)])
        if not data:
            return
        try:
            self._open().sendall(data)
        except TimeoutError:
            raise ConnectionAbortedError("the guest takes no frames") from None

    def receive(self, timeout: float) -> bytes | None:
        """The next frame; `None` if none comes within `timeout` seconds.

        Raises:
            ConnectionError: QEMU is gone.
        """
        while (frame := self._whole()) is None:
            own = self._open()
            if not self._ready.poll(timeout * 1000):
                return None
            data = own.recv(_AT_ONCE)
            if not data:
                raise ConnectionResetError("the guest's link is closed")
            del self._came[: self._next]
            self._next = 0
            self._came += data
        return frame

    def _open(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionResetError("the guest's link is closed")
        return self._socket

    def _whole(self) -> bytes | None:
        """The next frame of those that have come, if it has come whole."""
        begin = self._next + _LENGTH.size
        if len(self._came) < begin:
            return None
        (length,) = _LENGTH.unpack_from(self._came, self._next)
        if len(self._came) < begin + length:
            return None
        self._next = begin + length
        return bytes(self._came[begin : self._next])
