# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of the application in the guest, with all that can be chosen about them.

Packed they are what the target program reads (`fuzz/target/target.h`): call (1 byte),
gone (1), wait (2), flags (4), value (8, all big-endian), and what comes after depends on
the call.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, Self

_HEAD = struct.Struct(">BBHIQ")
_SIZE = struct.Struct(">I")
KEPT = 0
"""The argument of a step whose call is on the connection that is kept; else it is the IP
version of the socket for datagrams."""


class Call(IntEnum):
    """Which call it is."""

    RECVMSG = 1
    """Into buffers of the sizes given."""
    READV = 2
    """The same."""
    RECVMMSG = 3
    """As many messages as there are sizes, each into one buffer."""
    SPLICE_OUT = 4
    """Into a pipe, at most as many bytes as the first size says."""
    READERS = 5
    """A thread for each size, which receives so many bytes at a time until nothing is left.
    With a value other than 0 the last one only peeks."""
    INQ = 6
    """ioctl FIONREAD."""
    POLL = 7
    """Whether there is anything to read."""
    SET_OPTION = 8
    """setsockopt; the value is level << 32 | name, the rest is the option's value. Flags other
    than 0 are the length that it is said to have; memory ends where it does."""

    GET_OPTION = 9
    """getsockopt; the value as for setting, the flags are the room for it."""
    CONNECT = 10
    """Connect a socket for datagrams to us, until the case ends."""
    WAITER = 11
    """A thread receives into one buffer, and waits, or is done; then the value happens, an
    `Event`."""
    SENDMSG = 16
    """From buffers of the sizes given; the value is what the first byte is (`outgoing`). With
    `WITH_UDP_SEGMENT` a control message asks for segmentation."""
    WRITEV = 17
    """The same, but for the control message."""
    SENDMMSG = 18
    """As many messages as there are sizes, from one buffer each."""
    SPLICE_IN = 19
    """From a pipe, which may keep what is not taken."""
    SENDFILE = 20
    """From a file."""
    WRITERS = 21
    """A thread for each size, which sends so many bytes, all of the value given."""
    NETLINK = 32
    """The rest is a message to a generic-netlink family (`fuzz/netlink.py`)."""
    WRITE_FILE = 33
    """The rest is PATH NUL CONTENTS, which are written with one write(2)."""
    READ_FILE = 34
    """The rest is PATH."""


class Event(IntEnum):
    """What happens while a `Call.WAITER` waits."""

    FRAMES = 0
    """When it waits what the next steps send comes: one step's on a connection, all datagrams up
    to the next call. If there are none, nothing happens."""
    SIGNAL = 1
    """A signal to the thread."""
    SHUT_READING = 2
    """The socket is shut down for reading. One for datagrams is read to its end afterwards, and
    another one takes its place."""
    SHUT_BOTH = 3
    """The same both ways."""
    DISABLED = 4
    """NST is disabled, reading is shut down, and NST is enabled again."""


CONTROL = frozenset({Call.NETLINK, Call.WRITE_FILE, Call.READ_FILE})
"""Calls on no socket."""
SENDING = frozenset(
    {Call.SENDMSG, Call.WRITEV, Call.SENDMMSG, Call.SPLICE_IN, Call.SENDFILE, Call.WRITERS}
)
"""Calls that send."""
SIZED = SENDING | {
    Call.RECVMSG,
    Call.READV,
    Call.RECVMMSG,
    Call.SPLICE_OUT,
    Call.READERS,
    Call.WAITER,
}
"""Calls whose rest is sizes, 4 bytes each."""
FLAGGED = frozenset({Call.SENDMSG, Call.SENDMMSG, Call.RECVMSG, Call.RECVMMSG})
"""Calls whose flags reach the socket."""
WITH_UDP_SEGMENT = 1 << 32
_CYCLE = 251
_SHOWN = 24
"""Bytes of a message or file that are shown: no key is among them."""


class Api(NamedTuple):
    """A call.

    Attributes:
        call: which.
        flags: as recvmsg(2) and its like take them.
        value: see `Call`.
        rest: see `Call`.
        wait: how long it may wait, ms; 0 does not wait.
        socket: `KEPT`, 4 or 6.
        gone: the buffer, from 1, that is nowhere; 0 is none.
    """

    call: Call
    flags: int = 0
    value: int = 0
    rest: bytes = b""
    wait: int = 0
    socket: int = KEPT
    gone: int = 0

    @property
    def sizes(self) -> list[int]:
        """The sizes that the rest is."""
        return [size for (size,) in _SIZE.iter_unpack(self.rest)]

    @property
    def before_gone(self) -> int:
        """Bytes in the buffers before the one that is nowhere."""
        return sum(self.sizes[: self.gone - 1])

    def pack(self) -> bytes:
        """The call as the target program reads it, without the socket."""
        return _HEAD.pack(self.call, self.gone, self.wait, self.flags, self.value) + self.rest

    @classmethod
    def unpack(cls, data: bytes, socket: int) -> Self:
        """Read what `pack` made.

        Raises:
            ValueError: it is no call.
        """
        if len(data) < _HEAD.size:
            raise ValueError(f"a call of {len(data)} bytes")
        number, gone, wait, flags, value = _HEAD.unpack_from(data)
        call, rest = Call(number), data[_HEAD.size :]
        if call in SIZED and len(rest) % _SIZE.size:
            raise ValueError(f"a call with {len(rest)} bytes of sizes")
        if call is Call.WAITER:
            Event(value)
        return cls(call, flags, value, rest, wait, socket, gone)

    def described(self) -> str:
        """The call in words."""
        words = self.call.name.lower()
        words += f" on datagrams IPv{self.socket}" if self.socket else ""
        if self.call is Call.SET_OPTION:
            level, name = self.value >> 32, self.value & 0xFFFFFFFF
            words += f" level {level} name {name} to {self.rest.hex() or 'nothing'}"
            words += f", said to be {self.flags} bytes" if self.flags else ""
        elif self.call is Call.GET_OPTION:
            words += f" level {self.value >> 32} name {self.value & 0xFFFFFFFF}, room {self.flags}"
        elif self.call is Call.NETLINK:
            words += f" {len(self.rest)} bytes {self.rest[:_SHOWN].hex()}"
        elif self.call in CONTROL:
            path, _, contents = self.rest.partition(b"\0")
            words += f" {path.decode(errors='replace')} {contents[:_SHOWN]!r}"
        elif self.call in SIZED:
            words += f" sizes {self.sizes}, flags {self.flags:#x}"
            words += ", the last one peeks" if self.value and self.call is Call.READERS else ""
            words += f", bytes from {self.value:#x} on" if self.call in SENDING else ""
            words += f": {Event(self.value).name.lower()}" if self.call is Call.WAITER else ""
        words += f", buffer {self.gone} is nowhere" if self.gone else ""
        return words + (f", waits {self.wait} ms" if self.wait else "")


def sized(
    call: Call,
    sizes: Sequence[int],
    flags: int = 0,
    *,
    value: int = 0,
    wait: int = 0,
    socket: int = KEPT,
) -> Api:
    """A call with sizes."""
    rest = b"".join(_SIZE.pack(size) for size in sizes)
    return Api(call, flags, value, rest, wait, socket)


def option(level: int, name: int, value: int | bytes, *, socket: int = KEPT) -> Api:
    """A setsockopt call; a number is an int, as C has it on x86."""
    rest = value if isinstance(value, bytes) else struct.pack("<i", value)
    return Api(Call.SET_OPTION, value=level << 32 | name, rest=rest, socket=socket)


def outgoing(api: Api, size: int) -> bytes:
    """The first bytes of what a call sends."""
    first = api.value & 0xFFFFFFFF
    if api.call is Call.WRITERS:
        return bytes((first % _CYCLE,)) * size
    cycle = bytes((first + at) % _CYCLE for at in range(_CYCLE))
    return (cycle * (size // _CYCLE + 1))[:size]


def reading(level: int, name: int, room: int) -> Api:
    """A getsockopt call with so much room."""
    return Api(Call.GET_OPTION, flags=room, value=level << 32 | name)


def file_write(path: str, contents: bytes) -> Api:
    """A call that writes a file."""
    return Api(Call.WRITE_FILE, rest=path.encode() + b"\0" + contents)


def file_read(path: str) -> Api:
    """A call that reads a file."""
    return Api(Call.READ_FILE, rest=path.encode())
