# SPDX-License-Identifier: GPL-2.0-or-later
"""Watches loopback for plaintext."""

from __future__ import annotations

import contextlib
import socket
import struct
from types import TracebackType
from typing import Self

from tests.in_guest.semantics.world import MARK

ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
ROOM = 1 << 26


class Wire:
    """All frames on loopback while it is open. Use as a context manager."""

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
        # Keeps the kernel from patching its own code each time that a property turns time
        # stamps on or off: QEMU's emulation of a second CPU may trip over that.
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind(("lo", ETH_P_ALL))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def frames_in_clear(self) -> int:
        """How many of the frames since the last call show what was to be sealed."""
        found = 0
        with contextlib.suppress(BlockingIOError):
            while frame := self._socket.recv(1 << 17, socket.MSG_DONTWAIT):
                found += MARK in frame
        _, dropped = struct.unpack("II", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        assert not dropped, "frames got lost"
        return found
