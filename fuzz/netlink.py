# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages of the generic-netlink family `nst` as bytes, right and wrong ones alike.

`nst_scapy.kernel_messages` has them for pyroute2, which makes right ones only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

ANY_FAMILY = 0xFFFF
"""In a message: the number that the family has in the guest."""
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
NESTED = 0x8000
TYPE_MASK = 0x3FFF
"""Of an attribute's type; the rest are flags."""
KEYS_KEY, KEYS_REPLACE, KEYS_KIDS = 1, 2, 3
KEY_KID, KEY_MATERIAL = 1, 2
_HEAD = struct.Struct("<IHHII")
_GENERIC = struct.Struct("<BBH")
_ATTRIBUTE = struct.Struct("<HH")
_HEADERS = _HEAD.size + _GENERIC.size


class Attribute(NamedTuple):
    """Its type with all flags, and its payload."""

    type: int
    payload: bytes

    def pack(self) -> bytes:
        """On the wire, padded."""
        whole = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(self.payload), self.type) + self.payload
        return whole + bytes(-len(whole) % 4)


class Message(NamedTuple):
    """A message.

    Attributes:
        command: one of `nst_scapy.kernel_messages.Command`.
        body: attributes, packed.
        flags: of the header.
        type: of the header.
        version: of the generic header.
        reserved: of the same.
        longer: by how much the length says more than there is.
    """

    command: int
    body: bytes = b""
    flags: int = REQUEST | ACK
    type: int = ANY_FAMILY
    version: int = 1
    reserved: int = 0
    longer: int = 0

    def pack(self) -> bytes:
        """On the wire."""
        length = max(0, _HEADERS + len(self.body) + self.longer)
        generic = _GENERIC.pack(self.command, self.version, self.reserved)
        return _HEAD.pack(length, self.type, self.flags, 1, 0) + generic + self.body

    @classmethod
    def unpack(cls, data: bytes) -> Message | None:
        """Read what `pack` made; `None` if there are no headers."""
        if len(data) < _HEADERS:
            return None
        length, kind, flags, _, _ = _HEAD.unpack_from(data)
        command, version, reserved = _GENERIC.unpack_from(data, _HEAD.size)
        return cls(
            command, data[_HEADERS:], flags, kind, version, reserved, longer=length - len(data)
        )


def packed(attributes: Iterable[Attribute]) -> bytes:
    """Attributes, one after another."""
    return b"".join(attribute.pack() for attribute in attributes)


def attributes(body: bytes) -> Iterator[Attribute]:
    """Attributes as far as they can be read."""
    while len(body) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(body)
        if not _ATTRIBUTE.size <= length <= len(body):
            return
        yield Attribute(kind, body[_ATTRIBUTE.size : length])
        body = body[(length + 3) // 4 * 4 :]


def key(kid: int, material: bytes) -> Attribute:
    """A key to add."""
    parts = (Attribute(KEY_KID, struct.pack("<H", kid)), Attribute(KEY_MATERIAL, material))
    return Attribute(KEYS_KEY | NESTED, packed(parts))


def kids(values: Iterable[int]) -> Attribute:
    """A list of kids."""
    return Attribute(KEYS_KIDS, b"".join(struct.pack("<H", kid) for kid in values))


def setting(number: int, value: int) -> Attribute:
    """A setting; `number` counts from 1."""
    return Attribute(number, struct.pack("<I", value))
