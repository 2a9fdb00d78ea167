# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages between a campaign and the target program (`nst_target.c`), big-endian."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from fuzz.script import Action

_REQUEST = struct.Struct(">IIBBHQ")
_REPLY = struct.Struct(">IIBxHIQQQ")
_ITEM = struct.Struct(">BBHII")
_REQUEST_MAGIC = 0x4E535451
_REPLY_MAGIC = 0x4E535452
MAX_ITEMS = 160
"""How many received datagrams and connections one reply can tell of."""


class Op(IntEnum):
    """What the target is asked to do."""

    COLLECT = 1
    """Receive all there is, but on the connection that is kept; report it and the counters.
    With a value other than 0 that one is closed, too."""
    SEND = 2
    """Send the data as an NST datagram to the asker (IPv6: the data begin with its address)."""
    CLOCK = 3
    """Set the real-time clock to the value, ns since 1970."""
    WRITE = 4
    """The data are PATH NUL CONTENTS: write CONTENTS with one write(2)."""
    READ = 5
    """The data are PATH: return its first 1000 bytes."""
    ACCEPT = 6
    """Accept a connection over the IP version and keep it."""
    RECEIVE = 7
    """Receive all there is on the connection that is kept."""
    TRANSMIT = 8
    """Send the data on it."""
    SHUTDOWN = 9
    """Shut it down, the value as for shutdown(2)."""
    CLOSE = 10
    """Close it."""
    LOOK = 11
    """Poll it, as is done before every other call."""
    API = 12
    """The data are a call (`fuzz/api.py`), the family is its socket."""
    SHORTAGE = 13
    """Have the allocation that the value says fail, from 1, in the next call of the others
    before this one. An item of its kind then comes before the call's."""
    DROUGHT = 14
    """Have allocations fail until the next request but for the target's own, when 64 bytes times
    the value have been given out."""
    JOIN = 15
    """Wait for the reader that a `Call.WAITER` left waiting for frames; its item comes now."""
    DIAL = 16
    """Connect to the port, from the port of that number, over the IP version, and keep the
    connection. With a value other than 0 it is the socket that is kept, disconnected before."""
    EDGES = 32
    """Count the edges of the module's code taken since the last time, as text: all, and those
    never seen before. All follow on the control channel if any is new, or the value is not 0."""
    EDGES_SEEN = 33
    """Hold the edges in the data for seen."""
    GCOV = 34
    """Unload the module, send gcov's data files over the control channel, and end."""
    HOLDINGS = 35
    """Return what the kernel holds: lines of a name and a number. With a value other than 0 at
    once, what is about to be freed included."""
    KMEMLEAK = 36
    """Return what kmemleak has reported of the memory that the module, or who it called, allocated:
    how many objects on a line, and then what it says of the first, but for what that held."""


CALLS = {
    Action.ACCEPT: Op.ACCEPT,
    Action.DIAL: Op.DIAL,
    Action.REDIAL: Op.DIAL,
    Action.RECEIVE: Op.RECEIVE,
    Action.SEND: Op.TRANSMIT,
    Action.SHUTDOWN: Op.SHUTDOWN,
    Action.CLOSE: Op.CLOSE,
    Action.LOOK: Op.LOOK,
    Action.API: Op.API,
    Action.SHORTAGE: Op.SHORTAGE,
    Action.DROUGHT: Op.DROUGHT,
}
"""The steps that are a call of the application, or come before one."""


class Kind(IntEnum):
    """What an item tells of."""

    DGRAM = 1
    STREAM = 2
    CALL = 3
    API = 4
    """What a call of an API step returned; there is one for each."""
    MESSAGE = 5
    """One message that such a call received or sent."""
    SHORTAGE = 6
    """Whether a call, whose item comes next, met the failure that was asked for (length 1)."""


TOLD = frozenset({Kind.CALL, Kind.API, Kind.SHORTAGE})
"""What the model is told, as it may be up to the kernel."""


class Item(NamedTuple):
    """Something received: a datagram, a connection from accept to its end, or by a call.

    Attributes:
        kind: datagram, stream or call.
        family: 4 or 6; of a call or a shortage, its `Op`; of a call of an API step, its `Call`.
        error: errno of the last recv, or of the call; 0 for a datagram and for a stream's end
            of file, EAGAIN for a stream that has not ended.
        length: bytes of plaintext; what a call of an API step returned.
        crc: their CRC-32 (as `zlib.crc32`); `fuzz/oracles/calls.py` tells what it is of an API
            step's.
    """

    kind: Kind
    family: int
    error: int
    length: int
    crc: int


class Reply(NamedTuple):
    """The target's answer.

    Attributes:
        seq: that of the request.
        op: that of the request.
        error: errno of the operation, 0 if it succeeded.
        items: what was received, at most `MAX_ITEMS`.
        received: how many items there were.
        drained: the guest's real-time clock when all was received, ns.
        done: the same after reading the counters, ns.
        taint: the kernel's taint flags.
        text: /proc/net/nst_stat, or the file that was read.
    """

    seq: int
    op: Op
    error: int
    items: tuple[Item, ...]
    received: int
    drained: int
    done: int
    taint: int
    text: str


def request(
    seq: int, op: Op, data: bytes = b"", *, family: int = 4, port: int = 0, value: int = 0
) -> bytes:
    """One request, to be sent to the target's control port."""
    return _REQUEST.pack(_REQUEST_MAGIC, seq, op, family, port, value) + data


def parse_reply(data: bytes) -> Reply | None:
    """Read a reply; `None` if it is none."""
    if len(data) < _REPLY.size:
        return None
    magic, seq, op, received, error, drained, done, taint = _REPLY.unpack_from(data)
    if magic != _REPLY_MAGIC:
        return None
    kept = min(received, MAX_ITEMS)
    end = _REPLY.size + kept * _ITEM.size
    items = tuple(
        Item(Kind(kind), *rest) for kind, *rest in _ITEM.iter_unpack(data[_REPLY.size : end])
    )
    text = data[end:].decode("ascii", "replace")
    return Reply(seq, Op(op), error, items, received, drained, done, taint, text)
