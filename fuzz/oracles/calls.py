# SPDX-License-Identifier: GPL-2.0-or-later
"""What the calls of API steps return that do not send, according to recvmsg(2) and its like.

A call that receives is told with the CRC-32 of all its buffers and of the guards before,
between and after them, so that a byte in the wrong place shows. Behind what is returned may be
what the module had to clear: a record that it opened there, and that did not verify. A call
whose flags rule it out fails whatever the socket's state.
"""

from __future__ import annotations

import errno
import socket
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, zip_longest

from fuzz.api import Api, Call
from fuzz.oracles.served import Served
from fuzz.target.wire import Item, Kind

MSG_OOB = int(socket.MSG_OOB)
MSG_PEEK = int(socket.MSG_PEEK)
MSG_TRUNC = int(socket.MSG_TRUNC)
MSG_ERRQUEUE = int(socket.MSG_ERRQUEUE)
MSG_CMSG_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)
MSG_CMSG_COMPAT = 1 << 31
"""The kernel's own, refused from outside; one that has no 32-bit calls does not know it."""
SO_RCVLOWAT = int(socket.SO_RCVLOWAT)
SO_PEEK_OFF = 42
_GUARD = b"\xa5" * 8
_PIPE_BYTES = 65536
_ADDRESS_BYTES = {4: 16, 6: 28}
Take = Callable[[int], tuple[int, bytes, int]]
"""Of how many bytes a message has room for: the error, what is received, and how much behind that
may have been cleared."""


@dataclass
class Datagrams:
    """A socket for datagrams.

    Attributes:
        family: its IP version.
        waiting: plaintexts that were accepted and not yet read.
        sent: plaintexts that were sent.
        connected: only what comes from our own port is for it.
    """

    family: int
    waiting: list[bytes] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    connected: bool = False


def known_flags(api: Api, told: Item | None) -> Api:
    """The call without a flag that the kernel, by what the call came to, does not know."""
    if not api.flags & MSG_CMSG_COMPAT or told is None or told.error == errno.EINVAL:
        return api
    return api._replace(flags=api.flags & ~MSG_CMSG_COMPAT)


def on_stream(served: Served, api: Api, told: Item | None) -> list[Item]:
    """What a call on a connection returns, if it does not send; `told` is what the module says."""
    match api.call:
        case Call.INQ:
            return [Item(Kind.API, api.call, 0, served.waiting(), 0)]
        case Call.POLL:
            return [Item(Kind.API, api.call, 0, int(served.readable()), 0)]
        case Call.READERS:
            error, plaintext = served.receive() if api.sizes else (0, b"")
            return [Item(Kind.API, api.call, error, len(plaintext), _sum(plaintext))]
    if error := _refused(api, oob=True):
        return _failed(api, error)
    peek, discards = bool(_flags(api) & MSG_PEEK), bool(_flags(api) & MSG_TRUNC)
    in_place = not (peek or discards or api.call is Call.SPLICE_OUT)

    def take(size: int) -> tuple[int, bytes, int]:
        error, data = served.take(size, peek=peek, in_place=in_place)
        return error, data, served.incoming.cleared

    if api.call is Call.RECVMMSG:
        return _messages(api, take, told, copies=not discards)
    if _asks_nothing(api):
        return [_received(api, 0, 0, b"")]
    if api.gone:
        return _in_part(served, api, told)
    error, data, cleared = take(_total(api))
    return received(api, error, data, told, [bytes(cleared)])


def _in_part(served: Served, api: Api, told: Item | None) -> list[Item]:
    """A call on a connection of which a buffer is nowhere: records are taken that fit before.

    Of the one that does not the buffers before hold a part.
    """
    room, data = api.before_gone, b""
    while (rest := served.opened(room)) and len(rest) <= room:
        data += served.take_opened(len(rest))
        room -= len(rest)
    # Several that were opened before: those at their beginning may fit.
    if told is not None and 0 <= told.length - len(data) <= room and rest:
        taken = served.take_opened(told.length - len(data))
        data, rest, room = data + taken, rest[len(taken) :], room - len(taken)
    error = 0 if data else errno.EFAULT if rest else served.no_more
    return received(api, error, data, told, [rest[:room], bytes(served.incoming.cleared)])


def received(
    api: Api, error: int, data: bytes, told: Item | None = None, behind: Iterable[bytes] = ()
) -> list[Item]:
    """What a call on a connection tells that got these bytes, or an error.

    Behind them nothing was written, or any of `behind`, if the module tells so.
    """
    copied = b"" if _flags(api) & MSG_TRUNC else data
    items = [_received(api, error, len(data), copied)]
    if told is not None and told.crc != items[0].crc:
        others = (_received(api, error, len(data), copied + more) for more in behind)
        items = [next((other for other in others if other == told), items[0])]
    if api.call is Call.RECVMSG and not error:
        items.append(Item(Kind.MESSAGE, api.call, 0, _flags(api) & MSG_CMSG_CLOEXEC, 0))
    return items


def partly(api: Api, start: int, data: bytes) -> Iterator[bytes]:
    """The beginnings of data that end with one of the call's buffers, from `start` in them on."""
    for end in accumulate(api.sizes):
        if start < end < start + len(data):
            yield data[: end - start]


def on_datagrams(datagrams: Datagrams, api: Api) -> list[Item]:
    """What a call on a socket for datagrams returns, if it does not send."""
    waiting = datagrams.waiting
    match api.call:
        case Call.INQ:
            return [Item(Kind.API, api.call, 0, len(waiting[0]) if waiting else 0, 0)]
        case Call.POLL:
            return [Item(Kind.API, api.call, 0, int(bool(waiting)), 0)]
        case Call.READERS:
            return [_read_by_all(datagrams, api)]
        case Call.SET_OPTION:
            return [Item(Kind.API, api.call, errno.EOPNOTSUPP, 0, 0)]
        case Call.CONNECT:
            datagrams.connected = True
            return [Item(Kind.API, api.call, 0, 0, 0)]
    if error := _refused(api, oob=False):
        return _failed(api, error)
    peek = bool(_flags(api) & MSG_PEEK)

    def take(size: int) -> tuple[int, bytes, int]:  # noqa: ARG001
        if not waiting:
            return errno.EAGAIN, b"", 0
        return 0, waiting[0] if peek else waiting.pop(0), 0

    if api.call is Call.RECVMMSG:
        return _messages(api, take, None, copies=True)
    if _asks_nothing(api):
        return [_received(api, 0, 0, b"")]
    error, data, _ = take(0)
    if not error and api.gone and len(data) > api.before_gone:
        return [_received(api, errno.EFAULT, 0, data[: api.before_gone])]
    size = _total(api)
    length = len(data) if _flags(api) & MSG_TRUNC else min(len(data), size)
    items = [_received(api, error, length, data[:size])]
    if api.call is Call.RECVMSG and not error:
        flags = _flags(api) & MSG_CMSG_CLOEXEC | (MSG_TRUNC if size < len(data) else 0)
        items.append(Item(Kind.MESSAGE, api.call, 0, flags, _ADDRESS_BYTES[datagrams.family]))
    return items


def _read_by_all(datagrams: Datagrams, api: Api) -> Item:
    """Threads whose buffers are all of one size: which of them gets what is chance."""
    if not api.sizes:
        return Item(Kind.API, api.call, 0, 0, 0)
    data = b"".join(plaintext[: api.sizes[0]] for plaintext in datagrams.waiting)
    datagrams.waiting.clear()
    return Item(Kind.API, api.call, errno.EAGAIN, len(data), _sum(data))


def _flags(api: Api) -> int:
    """The call's flags as the socket sees them; readv and splice have none of recvmsg's."""
    return api.flags if api.call in (Call.RECVMSG, Call.RECVMMSG) else 0


def _total(api: Api) -> int:
    if api.call is Call.SPLICE_OUT:
        return min(sum(api.sizes[:1]), _PIPE_BYTES)
    return sum(api.sizes)


def _asks_nothing(api: Api) -> bool:
    """Such calls end before they reach the socket."""
    return api.call in (Call.READV, Call.SPLICE_OUT) and not _total(api)


def _refused(api: Api, *, oob: bool) -> int:
    """The error of flags that rule the call out, or 0."""
    flags = _flags(api)
    if flags & MSG_CMSG_COMPAT:
        return errno.EINVAL
    if flags & MSG_ERRQUEUE:
        return errno.EAGAIN  # there is never anything in it
    return errno.EINVAL if oob and flags & MSG_OOB else 0


def _failed(api: Api, error: int) -> list[Item]:
    return [_received(api, error, 0, b"")]


def _received(api: Api, error: int, length: int, data: bytes) -> Item:
    if api.call is Call.SPLICE_OUT:
        return Item(Kind.API, api.call, error, length, zlib.crc32(data))
    return Item(Kind.API, api.call, error, length, zlib.crc32(_arena(_cut(api.sizes, data))))


def _cut(sizes: Sequence[int], data: bytes) -> list[tuple[int, bytes]]:
    """Buffers' sizes and what is in them."""
    buffers = []
    for size in sizes:
        buffers.append((size, data[:size]))
        data = data[size:]
    return buffers


def _arena(buffers: Sequence[tuple[int, bytes]]) -> bytes:
    """All the buffers, with guards; where nothing was written they look like these."""
    parts = [_GUARD]
    for size, data in buffers:
        parts += [data, _GUARD[:1] * (size - len(data)), _GUARD]
    return b"".join(parts)


def _messages(api: Api, take: Take, told: Item | None, *, copies: bool) -> list[Item]:
    """recvmmsg: one message after the other, until there is an error."""
    flags, dgram = _flags(api), bool(api.socket)
    filled: list[bytes] = []
    behind: list[bytes] = []
    messages: list[Item] = []
    error = 0
    for size in api.sizes:
        error, data, cleared = take(size)
        behind.append(bytes(cleared))
        if error:
            break
        cut = size < len(data)
        length = len(data) if flags & MSG_TRUNC else min(size, len(data))
        marks = flags & MSG_CMSG_CLOEXEC | (MSG_TRUNC if dgram and cut else 0)
        messages.append(Item(Kind.MESSAGE, api.call, 0, length, marks))
        filled.append(data[:size] if copies else b"")
    others = [b"".join(parts) for parts in zip_longest(filled, behind, fillvalue=b"")]
    unused = [b""] * len(api.sizes)
    sums = [
        zlib.crc32(_arena(list(zip(api.sizes, buffers + unused, strict=False))))
        for buffers in (filled, others)
    ]
    crc = told.crc if told is not None and told.crc in sums else sums[0]
    return [Item(Kind.API, api.call, 0 if messages else error, len(messages), crc), *messages]


def _sum(data: bytes) -> int:
    """The sum of all bytes' CRC-32: the same in whichever order they were read."""
    return sum(zlib.crc32(bytes((byte,))) for byte in data) & 0xFFFFFFFF


def set_option(served: Served, api: Api, told: Item | None) -> int:
    """Set an option of TCP or of any socket; the error, or 0. `told` is the module's answer."""
    level, name = api.value >> 32, api.value & 0xFFFFFFFF
    if len(api.rest) != 4:
        return errno.EINVAL
    (value,) = struct.unpack("<i", api.rest)
    if (level, name) == (socket.SOL_SOCKET, SO_RCVLOWAT):
        served.set_lowat(value)
    elif (level, name) == (socket.SOL_SOCKET, SO_PEEK_OFF):
        if told is not None and told.error == errno.EOPNOTSUPP:
            return errno.EOPNOTSUPP  # a stream has none before Linux 6.9
        served.set_peek_off(value)
    return 0
