# SPDX-License-Identifier: GPL-2.0-or-later
"""Control messages that tell times (Documentation/networking/timestamping.rst)."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

from tests.in_guest.sockets import TIMEOUT_S

SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING = 29, 35, 37
SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPING_NEW = 63, 64, 65
TX_SOFTWARE, RX_SOFTWARE, SOFTWARE, OPT_ID, OPT_TSONLY = 1 << 1, 1 << 3, 1 << 4, 1 << 7, 1 << 11
OPTIONS = {
    SO_TIMESTAMP: 1,
    SO_TIMESTAMPNS: 1,
    SO_TIMESTAMPING: RX_SOFTWARE | SOFTWARE,
    SO_TIMESTAMP_NEW: 1,
    SO_TIMESTAMPNS_NEW: 1,
    SO_TIMESTAMPING_NEW: RX_SOFTWARE | SOFTWARE,
}
"""Each way to ask for the time that data came, and what to set it to."""
_MICROSECONDS = {SO_TIMESTAMP, SO_TIMESTAMP_NEW}
ROOM = 512


class Stamp(NamedTuple):
    """One that was told: the control message that it came in, and seconds since 1970."""

    level: int
    kind: int
    length: int
    time_s: float


def stamps(ancillary: list[tuple[int, int, bytes]]) -> list[Stamp]:
    """The stamps by software among the control messages."""
    found = []
    for level, kind, value in ancillary:
        if level != socket.SOL_SOCKET or kind not in OPTIONS:
            continue
        seconds, parts = struct.unpack_from("qq", value)
        unit = 1e-6 if kind in _MICROSECONDS else 1e-9
        found.append(Stamp(level, kind, len(value), seconds + parts * unit))
    return found


def told_between(ancillary: list[tuple[int, int, bytes]], since_s: float) -> list[object]:
    """What of the stamps has to be the same everywhere, and whether their times can be."""
    until_s = time.time()
    # The kernel rounds down.
    return [(s[:3], since_s - 1e-6 <= s.time_s <= until_s) for s in stamps(ancillary)]


def stamps_of_sending(
    sock: socket.socket, send: Callable[[], object]
) -> list[tuple[tuple[int, int, int], int]]:
    """Send once with a stamp wanted of the way out: (what tells it, the number it is for)."""
    want(sock, TX_SOFTWARE)
    send()
    return queued(sock)


def want(sock: socket.socket, when: int) -> None:
    """Have stamps of sending in the error queue, of all that is sent or of what asks itself."""
    flags = when | SOFTWARE | OPT_ID | OPT_TSONLY
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, flags)


def of_sending(when: int) -> tuple[int, int, bytes]:
    """What asks for a stamp of one send."""
    return socket.SOL_SOCKET, SO_TIMESTAMPING, struct.pack("=I", when)


def queued(sock: socket.socket) -> list[tuple[tuple[int, int, int], int]]:
    """Wait for the error queue's next stamp."""
    end = time.monotonic() + TIMEOUT_S
    while True:
        try:
            _, ancillary, _, _ = sock.recvmsg(0, ROOM, socket.MSG_ERRQUEUE)
            break
        except BlockingIOError:
            assert time.monotonic() < end, "no stamp"
            time.sleep(0.005)
    # struct sock_extended_err, whose last field is ee_data.
    numbers = [
        struct.unpack_from("=IBBBBII", value)[6]
        for level, kind, value in ancillary
        if level != socket.SOL_SOCKET
    ]
    return list(zip([s[:3] for s in stamps(ancillary)], numbers, strict=True))
