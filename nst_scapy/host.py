# SPDX-License-Identifier: GPL-2.0-or-later
"""What user-space NST sockets of one host share, as kernel sockets share their namespace."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import Counter

from .checks import Policy
from .header import Transport
from .keybox import KeyBox
from .receiver import Receiver
from .replay import DEFAULT_WINDOW_NS
from .verdict import Verdict


class Host:
    """Key box, replay tables and counters of a set of sockets.

    Sockets that could be sent the same record must share one: a replay is only seen by
    the table that has the original. Nothing sealed before the host was made is accepted
    as the beginning of anything (section 9), so make it once and early.

    Attributes:
        receiver: replay tables and key box, for the receiver model.
        lock: held while :attr:`receiver` is used.
        verdicts: how many records had which verdict, by transport.
        multicast: multicast and broadcast datagrams dropped.
    """

    def __init__(
        self,
        keybox: KeyBox,
        *,
        window_ns: int = DEFAULT_WINDOW_NS,
        accept: Policy | None = None,
    ) -> None:
        """*accept* tells which suites and kids the sockets let through; default all."""
        self.receiver = Receiver(keybox, window_ns, Policy() if accept is None else accept)
        self.lock = threading.Lock()
        self.verdicts: dict[Transport, Counter[Verdict]] = {t: Counter() for t in Transport}
        self.multicast = 0
        self._created = _boottime()

    @property
    def keybox(self) -> KeyBox:
        """May be replaced: takes effect at the next datagram, or epoch of a stream."""
        return self.receiver.keybox

    @keybox.setter
    def keybox(self, keybox: KeyBox) -> None:
        self.receiver.keybox = keybox

    def age(self) -> int:
        """Nanoseconds since the replay tables were made, by a clock that is never set."""
        return _boottime() - self._created

    def __repr__(self) -> str:
        return f"<Host with {self.keybox!r}>"


def host_of(keys: KeyBox | Host) -> Host:
    """The host given, or one of its own for a key box."""
    return keys if isinstance(keys, Host) else Host(keys)


def readable(sock: socket.socket) -> bool:
    """Whether reading from the socket would not wait."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(0))


def _boottime() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
