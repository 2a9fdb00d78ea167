# SPDX-License-Identifier: GPL-2.0-or-later
"""What a case does on the wire, as steps and as the bytes that are stored.

A case's bytes are its steps one after another: operation (1 byte), argument
(1 byte), length (4 bytes, big-endian), and that many bytes of data.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

_STEP = struct.Struct(">BBI")


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


class Step(NamedTuple):
    """One thing that a case does."""

    action: Action
    argument: int = 0
    data: bytes = b""

    def pack(self) -> bytes:
        """The step as stored."""
        return _STEP.pack(self.action, self.argument, len(self.data)) + self.data


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


def connections(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """The steps of each TCP connection, CONNECT first."""
    current: list[Step] = []
    for step in steps:
        if step.action is Action.CONNECT:
            if current:
                yield current
            current = [step]
        elif step.action in (Action.SEGMENT, Action.FIN) and current:
            current.append(step)
    if current:
        yield current
