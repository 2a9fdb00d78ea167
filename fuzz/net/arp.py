# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers to address resolution: ARP (RFC 826) and neighbour discovery (RFC 4861)."""

from __future__ import annotations

import struct

from fuzz.net.ethernet import ARP, IPV6, Frame, Station
from fuzz.net.ip import ICMPV6, Packet, ipv6_packet, pseudo_checksum

_ARP = struct.Struct(">HHBBH6s4s6s4s")
_REQUEST, _REPLY = 1, 2
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOLICITED_OVERRIDE = 0x6000_0000
_TARGET_LINK_ADDRESS = 2


def arp_reply(own: Station, payload: bytes) -> bytes | None:
    """The frame that answers an ARP request for our address; `None` if it is not one."""
    if len(payload) < _ARP.size:
        return None
    *_, operation, mac, ip, _, wanted = _ARP.unpack_from(payload)
    if operation != _REQUEST or wanted != own.ipv4:
        return None
    body = _ARP.pack(1, 0x0800, 6, 4, _REPLY, own.mac, own.ipv4, mac, ip)
    return Frame(mac, own.mac, ARP, body).pack()


def neighbour_advertisement(own: Station, asker_mac: bytes, packet: Packet) -> bytes | None:
    """The frame that answers a neighbour solicitation for our address, else `None`."""
    body = packet.payload
    if packet.protocol != ICMPV6 or len(body) < 24 or body[0] != _SOLICITATION:
        return None
    if body[8:24] != own.ipv6:
        return None
    head = struct.pack(">BBHI", _ADVERTISEMENT, 0, 0, _SOLICITED_OVERRIDE)
    answer = head + own.ipv6 + struct.pack(">BB6s", _TARGET_LINK_ADDRESS, 1, own.mac)
    check = pseudo_checksum(own.ipv6, packet.source, ICMPV6, answer)
    answer = answer[:2] + check.to_bytes(2) + answer[4:]
    # Hop limit 255 proves that it was not routed (RFC 4861, 7.1.2).
    whole = ipv6_packet(own.ipv6, packet.source, ICMPV6, answer, hop_limit=255)
    return Frame(asker_mac, own.mac, IPV6, whole).pack()
