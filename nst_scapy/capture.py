# SPDX-License-Identifier: GPL-2.0-or-later
"""Capture files: frames out of pcap and pcapng, one at a time.

Scapy's readers cut a frame at 65535 bytes, which a segment captured before
segmentation offload exceeds, end silently where a file is damaged, and take most of
the time that decoding a record has. Formats: draft-ietf-opsawg-pcap and -pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MAX_FRAME = 1 << 24
"""Bytes; a longer frame or block is taken for damage, not for memory to allocate."""

NS = 1_000_000_000

_PCAP_UNITS = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}
"""Magic number to nanoseconds in a unit of the fraction field."""

_SECTION = 0x0A0D0D0A
_INTERFACE = 1
_OBSOLETE_PACKET = 2
_SIMPLE_PACKET = 3
_PACKET = 6
_BYTE_ORDER = 0x1A2B3C4D
_OPT_TSRESOL = 9
_OPT_TSOFFSET = 14


class CaptureError(ValueError):
    """Not a capture file, or a damaged one; the message names file and frame."""


class Frame(NamedTuple):
    """One captured frame.

    Attributes:
        number: 1-based position in the file.
        time: capture time, nanoseconds since 1970-01-01 UTC; ``None`` where the file
            has none (pcapng's Simple Packet Block).
        linktype: LINKTYPE_ value.
        data: as captured, from the link-layer header.
        wire_len: length on the wire, bytes; more than ``len(data)`` if cut off.
    """

    number: int
    time: int | None
    linktype: int
    data: bytes
    wire_len: int


class Stamp(NamedTuple):
    """A place in a capture: frame number (1-based) and time of capture (ns)."""

    frame: int
    time: int


def read_frames(file: BinaryIO, name: str) -> Iterator[Frame]:
    """Every frame of a pcap or pcapng file, in order; *name* is for errors.

    Raises:
        CaptureError: the file is of neither form, or damaged. Frames before the damage
            have been yielded.
        OSError: it cannot be read.
    """
    magic = file.read(4)
    if len(magic) == 4:
        if int.from_bytes(magic) == _SECTION:
            return _read_pcapng(file, name)
        for order, endian in (("big", ">"), ("little", "<")):
            unit = _PCAP_UNITS.get(int.from_bytes(magic, order))  # type: ignore[arg-type]
            if unit is not None:
                return _read_pcap(file, name, endian, unit)
    raise CaptureError(f"{name}: neither a pcap nor a pcapng file")


def _read_pcap(file: BinaryIO, name: str, endian: str, unit: int) -> Iterator[Frame]:
    head = file.read(20)
    if len(head) < 20:
        raise CaptureError(f"{name}: cut short in the file header")
    # The upper half of the field tells of frame check sequences, which no one reads here.
    linktype = struct.unpack_from(endian + "I", head, 16)[0] & 0xFFFF
    unpack = struct.Struct(endian + "4I").unpack
    number = 0
    read, new = file.read, tuple.__new__
    while head := read(16):
        number += 1
        if len(head) < 16:
            raise CaptureError(f"{name}: cut short in frame {number}")
        seconds, fraction, captured, wire_len = unpack(head)
        if captured > MAX_FRAME:
            raise CaptureError(f"{name}: frame {number}: impossible length {captured}")
        data = read(captured)
        if len(data) < captured:
            raise CaptureError(f"{name}: cut short in frame {number}")
        yield new(Frame, (number, seconds * NS + fraction * unit, linktype, data, wire_len))


class _Interface(NamedTuple):
    """What frames of one interface of a pcapng section share."""

    linktype: int
    snaplen: int
    units: int
    """Time units in a second."""
    offset: int
    """Seconds to add to every time."""

    def time(self, high: int, low: int) -> int:
        ticks = high << 32 | low
        return self.offset * NS + ticks * NS // self.units


def _blocks(file: BinaryIO, name: str) -> Iterator[tuple[int, str, bytes]]:
    """``(type, byte order, body)`` of every block; the first one's type has been read."""
    endian = "<"
    head = _SECTION.to_bytes(4)
    count = 0
    while head:
        count += 1
        cut_short = CaptureError(f"{name}: cut short in block {count}")
        head += file.read(8 - len(head))
        if len(head) < 8:
            raise cut_short
        body = b""
        if int.from_bytes(head[:4]) == _SECTION:  # which reads the same in either order
            body = file.read(4)
            if body == _BYTE_ORDER.to_bytes(4, "big"):
                endian = ">"
            elif body == _BYTE_ORDER.to_bytes(4, "little"):
                endian = "<"
            else:
                raise CaptureError(f"{name}: damaged section header in block {count}")
        kind, length = struct.unpack(endian + "II", head)
        if length % 4 or not 12 + len(body) <= length <= MAX_FRAME:
            raise CaptureError(f"{name}: block {count}: impossible length {length}")
        rest = length - 8 - len(body)
        tail = file.read(rest)
        if len(tail) < rest:
            raise cut_short
        yield kind, endian, body + tail[:-4]
        head = file.read(8)


def _read_pcapng(file: BinaryIO, name: str) -> Iterator[Frame]:
    number = 0
    interfaces: list[_Interface] = []
    for kind, endian, body in _blocks(file, name):
        try:
            if kind == _SECTION:
                interfaces = []
            elif kind == _INTERFACE:
                interfaces.append(_interface(body, endian))
            elif kind in (_PACKET, _SIMPLE_PACKET, _OBSOLETE_PACKET):
                number += 1
                yield _packet(kind, body, endian, interfaces, number)
        except (struct.error, IndexError):
            raise CaptureError(
                f"{name}: damaged block of type {kind:#x} after frame {number}"
            ) from None


def _interface(body: bytes, endian: str) -> _Interface:
    """An interface description block."""
    linktype, snaplen = struct.unpack_from(endian + "HxxI", body)
    units, offset = 1_000_000, 0
    at = 8
    while at + 4 <= len(body):
        code, length = struct.unpack_from(endian + "HH", body, at)
        at += 4
        if code == 0:
            break
        if code == _OPT_TSRESOL:
            exponent = body[at]
            units = 1 << (exponent & 0x7F) if exponent & 0x80 else 10**exponent
        elif code == _OPT_TSOFFSET:
            (offset,) = struct.unpack_from(endian + "q", body, at)
        at += length + -length % 4
    return _Interface(linktype, snaplen, units, offset)


def _packet(
    kind: int, body: bytes, endian: str, interfaces: list[_Interface], number: int
) -> Frame:
    """An enhanced, simple or obsolete packet block."""
    if kind == _SIMPLE_PACKET:
        (wire_len,) = struct.unpack_from(endian + "I", body)
        interface = interfaces[0]
        captured = min(wire_len, interface.snaplen or wire_len)
        return Frame(number, None, interface.linktype, body[4 : 4 + captured], wire_len)
    layout = "I4I" if kind == _PACKET else "Hxx4I"
    index, high, low, captured, wire_len = struct.unpack_from(endian + layout, body)
    interface = interfaces[index]
    data = body[20 : 20 + captured]
    if len(data) < captured:
        raise IndexError("captured length is over the block's end")
    return Frame(number, interface.time(high, low), interface.linktype, data, wire_len)
