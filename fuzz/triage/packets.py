# SPDX-License-Identifier: GPL-2.0-or-later
"""IP packets of a case as what carries a record: where in them its bytes are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fuzz.net.ip import checksum
from fuzz.script import Step
from nst_scapy.header import MAGIC

_MAGIC = MAGIC.to_bytes(4)
_UDP_HEADER = 8
_HEADER = {4: 20, 6: 40}
_ADDRESSES = {4: slice(12, 20), 6: slice(8, 40)}
_FRAGMENT6 = 44
_FRAGMENTED = 0x3FFF


@dataclass(frozen=True)
class Carried:
    """What a packet carries of a datagram.

    Attributes:
        number: tells the datagram from others.
        payload: of the datagram, as far as the packets hold it, zeros in its gaps.
        before: the packet up to its first byte of that.
        offset: of that byte in the payload.
        data: the bytes.
        addresses: source and destination.
        udp: the UDP header, if `before` ends with it; else empty.
    """

    number: int
    payload: bytes
    before: bytes
    offset: int
    data: bytes
    addresses: bytes
    udp: bytes


def carried(steps: Sequence[Step]) -> Iterator[Carried | None]:
    """What each PACKET step carries; `None` for one in which there is no record."""
    fragments = [_fragment(step) for step in steps]
    whole: dict[bytes, dict[int, int]] = {}
    for one in fragments:
        if one is not None:
            key, offset, start, packet = one
            known = whole.setdefault(key, {})
            for at, byte in enumerate(packet[start:], offset):
                known.setdefault(at, byte)
    numbers = {key: number for number, key in enumerate(whole)}
    for number, (step, one) in enumerate(zip(steps, fragments, strict=True), len(numbers)):
        addresses = step.data[_ADDRESSES[step.argument]]
        if one is None:
            yield _unfragmented(step, addresses, number)
            continue
        key, offset, start, packet = one
        known = whole[key]
        segment = bytes(known.get(at, 0) for at in range(max(known, default=-1) + 1))
        skipped = max(0, min(_UDP_HEADER - offset, len(packet) - start))
        before = packet[: start + skipped]
        udp = before[-_UDP_HEADER:] if offset == 0 and skipped == _UDP_HEADER else b""
        yield Carried(
            numbers[key], segment[_UDP_HEADER:], before, max(0, offset - _UDP_HEADER),
            packet[start + skipped :], addresses, udp,
        )  # fmt: skip


def _fragment(step: Step) -> tuple[bytes, int, int, bytes] | None:
    """A fragment's key, its offset in the segment, where its bytes start, and the packet."""
    packet, family = step.data, step.argument
    if len(packet) < _HEADER[family]:
        return None
    key = packet[_ADDRESSES[family]]
    if family == 4:
        start, field = (packet[0] & 15) * 4, int.from_bytes(packet[6:8])
        if not field & _FRAGMENTED or start < _HEADER[4]:
            return None
        return key + packet[4:6], (field & 0x1FFF) * 8, start, packet
    start = _HEADER[6] + 8
    if packet[6] != _FRAGMENT6 or len(packet) < start:
        return None
    field = int.from_bytes(packet[start - 6 : start - 4])
    return key + packet[start - 4 : start], field & ~7, start, packet


def _unfragmented(step: Step, addresses: bytes, number: int) -> Carried | None:
    packet = step.data
    at = packet.find(_MAGIC, _HEADER[step.argument] + _UDP_HEADER)
    if at < 0:
        return None
    udp = packet[at - _UDP_HEADER : at]
    return Carried(number, packet[at:], packet[:at], 0, packet[at:], addresses, udp)


def resized(before: bytes, grown: int) -> bytes:
    """The beginning of a packet, up to and with the UDP length, for another size of payload.

    A fragment stays as it is.
    """
    family = before[0] >> 4 if before else 0
    if family == 4 and len(before) > _HEADER[4] and not int.from_bytes(before[6:8]) & _FRAGMENTED:
        start = (before[0] & 15) * 4
        head = before[:2] + _added(before[2:4], grown) + before[4:start]
        if checksum(before[:start]) in (0, 0xFFFF):
            head = head[:10] + checksum(head[:10] + bytes(2) + head[12:]).to_bytes(2) + head[12:]
        before = head + before[start:]
    elif family == 6 and len(before) > _HEADER[6] and before[6] != _FRAGMENT6:
        before = before[:4] + _added(before[4:6], grown) + before[6:]
    else:
        return before
    return before[:-2] + _added(before[-2:], grown)


def _added(field: bytes, grown: int) -> bytes:
    return ((int.from_bytes(field) + grown) & 0xFFFF).to_bytes(2)
