# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user-space sockets have in common: the TCP or UDP socket that carries them."""

from __future__ import annotations

import os
import socket
from typing import Any

from .closing import Closing
from .host import Host
from .sender import DgramSender, StreamSender


class CarriedSocket(Closing):
    """A socket whose records go through a TCP or UDP socket, here called its carrier.

    Attributes:
        host: what it shares with other sockets.
    """

    def __init__(self, carrier: socket.socket, host: Host) -> None:
        """Take over *carrier*."""
        self.host = host
        self._carrier = carrier
        self._pid = os.getpid()

    def close(self) -> None:
        """Close the socket."""
        self._carrier.close()

    def bind(self, address: Any) -> None:
        """As :meth:`socket.socket.bind`."""
        self._carrier.bind(address)

    def fileno(self) -> int:
        """The carrier's file descriptor, -1 when closed."""
        return self._carrier.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """As :meth:`socket.socket.settimeout`."""
        self._carrier.settimeout(seconds)

    def gettimeout(self) -> float | None:
        """As :meth:`socket.socket.gettimeout`."""
        return self._carrier.gettimeout()

    def setblocking(self, flag: bool) -> None:
        """As :meth:`socket.socket.setblocking`."""
        self._carrier.setblocking(flag)

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Set an option of the carrier."""
        self._carrier.setsockopt(level, option, value)

    def getsockopt(self, level: int, option: int) -> int:
        """Get an option of the carrier."""
        return self._carrier.getsockopt(level, option)

    def getsockname(self) -> Any:
        """As :meth:`socket.socket.getsockname`."""
        return self._carrier.getsockname()

    def getpeername(self) -> Any:
        """As :meth:`socket.socket.getpeername`; an address that nothing proves."""
        return self._carrier.getpeername()

    def _refresh(self, sender: DgramSender | StreamSender) -> None:
        """Before sealing: a forked process starts an epoch, as both would use its counters."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            sender.new_epoch()
        sender.keybox = self.host.keybox
