# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections whose handshake is under way before they are needed."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

from fuzz.net.connection import Connection
from fuzz.net.host import Host

_FIRST_PORT, _LAST_PORT = 10000, 60000
# The peer repeats its answer to SYN after a second.
_FRESH_SECONDS = 0.9


@dataclass(frozen=True)
class _Spare:
    connection: Connection
    made: float


class Dialler:
    """Opens connections to one port of the peer, from a new port each.

    The answer to SYN takes as long as a whole case. So `prepare` sends SYN for the next
    connection while there is something else to wait for; the peer's application sees
    nothing of it until the handshake is completed by the connection's first frame.
    """

    def __init__(self, host: Host, peer_port: int) -> None:
        self._host = host
        self._peer_port = peer_port
        self._ports = itertools.cycle(range(_FIRST_PORT, _LAST_PORT))
        self._spares: dict[int, _Spare] = {}

    def prepare(self, family: int) -> None:
        """Begin the next connection over an IP version, 4 or 6."""
        if family not in self._spares:
            connection = self._new(family)
            connection.begin()
            self._spares[family] = _Spare(connection, time.monotonic())

    def connect(self, family: int, timeout: float) -> Connection:
        """A connection whose SYN has been answered.

        Raises:
            Refused: there was a reset, or no answer within `timeout` seconds.
        """
        spare = self._spares.pop(family, None)
        if spare is not None and time.monotonic() - spare.made > _FRESH_SECONDS:
            spare.connection.close()
            spare = None
        if spare is not None:
            connection = spare.connection
        else:
            connection = self._new(family)
            connection.begin()
        connection.established(timeout)
        return connection

    def forget(self) -> None:
        """Drop what was prepared: the peer is another one."""
        for spare in self._spares.values():
            spare.connection.close()
        self._spares.clear()

    def _new(self, family: int) -> Connection:
        port = next(self._ports)
        return Connection(
            self._host, own_port=port, peer_port=self._peer_port, family=family, isn=port << 8
        )
