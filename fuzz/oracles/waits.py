# SPDX-License-Identifier: GPL-2.0-or-later
"""What a reader returns that waits, and what happens to its socket meanwhile.

Of one that waits for frames this is asked before they come, and then, if the answer was EAGAIN,
once more.
"""

from __future__ import annotations

import errno
import socket
import zlib

from fuzz.api import Api, Event
from fuzz.oracles.calls import MSG_PEEK, Datagrams
from fuzz.oracles.served import Served
from fuzz.target.wire import Item, Kind

_HOW = {
    Event.SHUT_READING: socket.SHUT_RD,
    Event.SHUT_BOTH: socket.SHUT_RDWR,
    Event.DISABLED: socket.SHUT_RD,
}
_ERRORS = {Event.SIGNAL: errno.EINTR, Event.DISABLED: errno.ESHUTDOWN}


def wait_on_stream(served: Served, api: Api) -> Item:
    """What a `Call.WAITER` on a connection returns."""
    (size,) = api.sizes
    event = Event(api.value)
    error, data = served.take(size, peek=bool(api.flags & MSG_PEEK))
    waits = error == errno.EAGAIN
    if event in _HOW:
        served.shutdown(_HOW[event])
    if waits and event is not Event.FRAMES:
        error = _ERRORS.get(event, 0)
    return _returned(api, error, data)


def wait_for_datagram(datagrams: Datagrams, api: Api) -> list[Item]:
    """What a `Call.WAITER` on a socket for datagrams returns, and what is read of it at its end."""
    (size,) = api.sizes
    event = Event(api.value)
    error, data = errno.EAGAIN, b""
    if datagrams.waiting:
        error, data = 0, datagrams.waiting[0]
        if not api.flags & MSG_PEEK:
            del datagrams.waiting[0]
    elif event is not Event.FRAMES:
        error = _ERRORS.get(event, 0)
    items = [_returned(api, error, data[:size])]
    if event in _HOW:
        items += [datagram_item(datagrams.family, one) for one in datagrams.waiting]
        datagrams.waiting.clear()
    return items


def datagram_item(family: int, plaintext: bytes) -> Item:
    """What tells of a datagram that was received when all was."""
    return Item(Kind.DGRAM, family, 0, len(plaintext), zlib.crc32(plaintext))


def _returned(api: Api, error: int, data: bytes) -> Item:
    return Item(Kind.API, api.call, error, len(data), zlib.crc32(data))
