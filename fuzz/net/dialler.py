# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections whose handshake is under way before they are needed."""

from __future__ import annotations

import itertools
import time
from collections import deque
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
        self._spares: dict[int, deque[_Spare]] = {4: deque(), 6: deque()}

    def prepare(self, family: int, count: int = 1) -> None:
        """Begin the next connections over an IP version, 4 or 6: have `count` of them ready."""
        spares = self._spares[family]
        while spares and time.monotonic() - spares[0].made > _FRESH_SECONDS:
            spares.popleft().connection.close()
        fresh = [self._new(family) for _ in range(count - len(spares))]
        self._host.transmit([connection.syn() for connection in fresh])
        spares.extend(_Spare(connection, time.monotonic()) for connection in fresh)

    def connect(self, family: int, timeout: float) -> Connection:
        """A connection whose SYN has been answered.

        Raises:
            Refused: there was a reset, or no answer within `timeout` seconds.
        """
        self.prepare(family)
        connection = self._spares[family].popleft().connection
        connection.established(timeout)
        return connection

    def expect(self, family: int, peer_port: int = 0) -> Connection:
        """A connection that the peer is to open, unless told otherwise from a port of the number
        of ours."""
        port = next(self._ports)
        return Connection(
            self._host, own_port=port, peer_port=peer_port or port, family=family, isn=port << 8
        )

    def forget(self) -> None:
        """Drop what was prepared: the peer is another one."""
        for spares in self._spares.values():
            while spares:
                spares.popleft().connection.close()

    def _new(self, family: int) -> Connection:
        port = next(self._ports)
        return Connection(
            self._host, own_port=port, peer_port=self._peer_port, family=family, isn=port << 8
        )
