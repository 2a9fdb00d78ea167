# SPDX-License-Identifier: GPL-2.0-or-later
"""What a case does on the wire, as steps and as the bytes that are stored.

A case's bytes are its steps one after another: operation (1 byte), argument
(1 byte), length (4 bytes, big-endian), and that many bytes of data.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple, Self

from fuzz.api import Api, Call, Event
from nst_scapy.keybox import KeyBox

_STEP = struct.Struct(">BBI")
_LOOSE = struct.Struct(">iBHH?")
_KEY = struct.Struct(">HH")
_SHOWN_BYTES = 64


class Action(IntEnum):
    """What a step does; the argument's meaning is in brackets."""

    DATAGRAM = 1
    """Send the data as a UDP payload [IP version]."""
    REFLECT = 2
    """Have the module seal a datagram and send it back [IP version]. The data are patches:
    4 bytes each, offset (2), a byte to XOR, 0."""
    CONNECT = 3
    """Open a TCP connection, which the steps that follow use [IP version]."""
    SEGMENT = 4
    """Send the data as one segment, or as many as the path's MTU asks for [unused]."""
    FIN = 5
    """End our direction of the connection [unused]."""
    TCP = 6
    """Send one segment on the connection, as `Loose` packs it [unused]."""
    PACKET = 7
    """Send the data as an IP packet, its header included [IP version]."""
    ACCEPT = 8
    """The application in the guest accepts the oldest connection and keeps it [IP version]."""
    RECEIVE = 9
    """It receives all there is on the connection that it keeps [unused]."""
    SEND = 10
    """It sends the data on it [unused]."""
    SHUTDOWN = 11
    """It shuts it down [as shutdown(2): 0 reading, 1 writing, 2 both]."""
    CLOSE = 12
    """It closes it [unused]."""
    LOOK = 14
    """It asks whether there is anything to read, as an event loop does, and no more [unused]."""
    API = 15
    """It makes the call that the data are (`fuzz/api.py`) [socket: as in `Api`]."""
    RESTORE = 16
    """Make key box and settings what they were when the guest came up [unused]."""
    SHORTAGE = 17
    """Have an allocation fail in the application's next call, or copying from or to it [which
    one, from 1]."""
    DROUGHT = 18
    """Have allocations fail outside of the application's calls, in softirq and work items, from
    now until its next one [how much is given out before, in units of 64 bytes]."""
    DIAL = 19
    """The application connects to us and keeps the connection, which the steps that follow use
    [IP version]. When all is done the data are the token of the first record that it sent, if
    there is one."""
    BIND = 20
    """Send the data as a segment: a record, which is sealed again so that it belongs to what the
    application has sent first (`fuzz/binding.py`) [unused]."""
    REDIAL = 21
    """The application disconnects the connection that it keeps, and has the same socket connect
    again; then as `DIAL`."""
    KEYS = 13
    """Replace the guest's key box until the case ends [unused]. The data are pairs of 2 bytes
    each: a kid, and the kid in the run's key box whose key it gets."""


DIALS = frozenset({Action.DIAL, Action.REDIAL})
"""What has the application begin one."""

OPENS = DIALS | {Action.CONNECT}
"""What begins a connection."""

ON_CONNECTION = frozenset({Action.SEGMENT, Action.FIN, Action.TCP, Action.BIND})
"""What is sent on the connection that was opened last."""

_ALONE = frozenset({Action.DATAGRAM, Action.PACKET})
"""What is sent on no connection."""

SENT = ON_CONNECTION | _ALONE
"""What sends frames and no more."""

CALLS_ON_KEPT = frozenset({Action.RECEIVE, Action.SEND, Action.SHUTDOWN, Action.CLOSE, Action.LOOK})
"""What the application does with the connection that it keeps."""

FAMILY = frozenset({Action.DATAGRAM, Action.REFLECT, Action.PACKET, Action.ACCEPT, *OPENS})
"""What has an IP version for its argument."""


class Step(NamedTuple):
    """One thing that a case does."""

    action: Action
    argument: int = 0
    data: bytes = b""

    def pack(self) -> bytes:
        """The step as stored."""
        return _STEP.pack(self.action, self.argument, len(self.data)) + self.data


class Loose(NamedTuple):
    """A TCP segment of which everything is given, the data of a TCP step.

    Attributes:
        offset: of its first byte in the stream, in bytes; may be negative.
        flags: TCP's control bits.
        window: as announced.
        urgent: the urgent pointer.
        intact: whether the checksum is right.
        payload: its bytes.
    """

    offset: int
    flags: int
    window: int = 65535
    urgent: int = 0
    intact: bool = True
    payload: bytes = b""

    def step(self) -> Step:
        """The step that sends it."""
        head = _LOOSE.pack(self.offset, self.flags, self.window, self.urgent, self.intact)
        return Step(Action.TCP, 0, head + self.payload)

    @classmethod
    def of(cls, step: Step) -> Self:
        """Read a TCP step's data.

        Raises:
            ScriptError: they are too short.
        """
        if len(step.data) < _LOOSE.size:
            raise ScriptError(f"a TCP step of {len(step.data)} bytes")
        offset, flags, window, urgent, intact = _LOOSE.unpack_from(step.data)
        payload = step.data[_LOOSE.size :]
        return cls(offset, flags, window, urgent, intact=intact, payload=payload)


class ScriptError(ValueError):
    """Stored bytes that are not a case."""


def unpack(script: bytes) -> list[Step]:
    """Read a case's bytes.

    Raises:
        ScriptError: they are not steps.
    """
    steps: list[Step] = []
    offset = 0
    while offset < len(script):
        try:
            action, argument, length = _STEP.unpack_from(script, offset)
            step = Step(Action(action), argument, script[offset + _STEP.size :][:length])
        except (struct.error, ValueError) as error:
            raise ScriptError(f"step {len(steps)}: {error}") from None
        if len(step.data) != length:
            raise ScriptError(f"step {len(steps)}: {length} bytes of data are not there")
        offset += _STEP.size + length
        steps.append(step)
    return steps


def patched(record: bytes, patches: bytes) -> bytes:
    """A record with the patches of a REFLECT step applied; those past its end do nothing."""
    changed = bytearray(record)
    for offset, mask, _ in struct.iter_unpack(">HBB", patches):
        if offset < len(changed):
            changed[offset] ^= mask
    return bytes(changed)


def patch(offset: int, mask: int) -> bytes:
    """One patch of a REFLECT step."""
    return struct.pack(">HBB", offset, mask, 0)


def described(step: Step) -> str:
    """A step in words, with the beginning of its data."""
    words = step.action.name.lower()
    if step.action in FAMILY:
        words += f" IPv{step.argument}"
    elif step.action in (Action.SHUTDOWN, Action.SHORTAGE, Action.DROUGHT):
        words += f" {step.argument}"
    elif step.action is Action.API:
        return api_of(step).described()
    data = step.data
    if step.action is Action.TCP:
        loose = Loose.of(step)
        words += f" at {loose.offset}, flags {loose.flags:#04x}, window {loose.window}"
        words += f", urgent {loose.urgent}" + ("" if loose.intact else ", wrong checksum")
        data = loose.payload
    if data:
        shown = data[:_SHOWN_BYTES].hex() + ("..." if len(data) > _SHOWN_BYTES else "")
        words += f" {len(data)} bytes {shown}"
    return words


def api_step(api: Api) -> Step:
    """The step that makes a call."""
    return Step(Action.API, api.socket, api.pack())


def api_of(step: Step) -> Api:
    """The call that an API step makes.

    Raises:
        ScriptError: it is none.
    """
    try:
        return Api.unpack(step.data, step.argument)
    except ValueError as error:
        raise ScriptError(f"an API step: {error}") from None


def waits_for_frames(step: Step) -> bool:
    """Whether a step is a call that waits for frames.

    Raises:
        ScriptError: it is an API step without a call.
    """
    if step.action is not Action.API:
        return False
    api = api_of(step)
    return api.call is Call.WAITER and api.value == Event.FRAMES


def paired(steps: Sequence[Step]) -> Iterator[tuple[Step, Sequence[Step]]]:
    """The steps in order, each with those behind it whose frames come while it waits.

    Raises:
        ScriptError: an API step is none.
    """
    at = 0
    while at < len(steps):
        step, begin = steps[at], at + 1
        at = begin
        if waits_for_frames(step):
            if not step.argument:
                at += at < len(steps) and steps[at].action in ON_CONNECTION
            while step.argument and at < len(steps) and steps[at].action in _ALONE:
                at += 1
        yield step, steps[begin:at]


def keys_step(origins: Mapping[int, int]) -> Step:
    """The step that gives each kid the key of a kid in the run's key box."""
    return Step(Action.KEYS, 0, b"".join(_KEY.pack(*pair) for pair in sorted(origins.items())))


def keys_in(step: Step) -> Iterator[tuple[int, int]]:
    """The kids of a KEYS step, each with the kid in the run's key box whose key it gets."""
    yield from _KEY.iter_unpack(step.data)


def keys_of(step: Step, box: KeyBox) -> KeyBox:
    """The key box that a KEYS step makes of the run's.

    Raises:
        ScriptError: it names a key that is not there, or none.
    """
    try:
        return KeyBox({kid: box[origin] for kid, origin in keys_in(step)})
    except (KeyError, ValueError, struct.error) as error:
        raise ScriptError(f"a KEYS step: {error}") from None


def connections(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """The steps of each TCP connection, the one that opens it first."""
    current: list[Step] = []
    for step in steps:
        if step.action in OPENS:
            if current:
                yield current
            current = [step]
        elif step.action in ON_CONNECTION and current:
            current.append(step)
    if current:
        yield current
