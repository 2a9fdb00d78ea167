# SPDX-License-Identifier: GPL-2.0-or-later
"""Ethernet II frames (without FCS) and the addresses of a station."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, Self

IPV4 = 0x0800
ARP = 0x0806
IPV6 = 0x86DD
MTU = 1500

_HEADER = struct.Struct(">6s6sH")


@dataclass(frozen=True)
class Station:
    """One end of the link: its addresses, packed."""

    mac: bytes
    ipv4: bytes
    ipv6: bytes

    @classmethod
    def of(cls, mac: str, ipv4: str | IPv4Address, ipv6: str | IPv6Address) -> Self:
        """The station of addresses in text form, `02:00:00:00:00:01` and so on."""
        return cls(
            bytes.fromhex(mac.replace(":", "")), IPv4Address(ipv4).packed, IPv6Address(ipv6).packed
        )

    def ip(self, family: int) -> bytes:
        """The address for IP version 4 or 6."""
        return self.ipv4 if family == 4 else self.ipv6


class Frame(NamedTuple):
    """An Ethernet frame."""

    destination: bytes
    source: bytes
    ethertype: int
    payload: bytes

    def pack(self) -> bytes:
        """The bytes on the wire."""
        return _HEADER.pack(self.destination, self.source, self.ethertype) + self.payload

    @classmethod
    def unpack(cls, data: bytes) -> Self | None:
        """Read a frame; `None` if it is too short."""
        if len(data) < _HEADER.size:
            return None
        destination, source, ethertype = _HEADER.unpack_from(data)
        return cls(destination, source, ethertype, data[_HEADER.size :])
