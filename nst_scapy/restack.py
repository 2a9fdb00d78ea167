# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets taken apart and put together again, with other contents."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from scapy.config import conf
from scapy.packet import NoPayload, Packet

from .header import Header
from .layer import NSTPlain
from .verdict import UNVERIFIED, Verdict

MAX_CARRIED = 65535 - 60 - 20
"""Bytes that a packet can carry, whatever options its IP (at most 60) and TCP headers have."""

End = tuple[str, int]
"""An address and a port."""


def ends(carrier: Packet) -> tuple[End, End]:
    """Sender and receiver of a TCP or UDP layer."""
    network = carrier.underlayer
    src, dst = ("", "") if network is None else (network.src, network.dst)
    return (src, carrier.sport), (dst, carrier.dport)


def time_ns(pkt: Packet) -> int:
    """When it was captured or made, nanoseconds since 1970-01-01 UTC."""
    return int(Decimal(str(pkt.time)) * 10**9)


def bytes_of(pkt: Packet) -> bytes:
    """The bytes of a packet, without padding of the link layer."""
    if isinstance(pkt.payload, NoPayload):
        return bytes(pkt)
    padding = pkt.getlayer(conf.padding_layer)
    wire = bytes(pkt)
    return wire[: len(wire) - len(padding)] if padding is not None else wire


def plain_packet(
    header: Header | None, plaintext: bytes | None, verdict: Verdict | None, note: str = ""
) -> NSTPlain:
    """What a record became: its header, plaintext and verdict (``None`` for unverified).

    See :meth:`NSTPlain.unsealed` for what is left unset.
    """
    plain = NSTPlain.unsealed(header, plaintext)
    plain.verdict = UNVERIFIED if verdict is None else verdict
    plain.note = note
    return plain


def stacked(layers: Sequence[Packet]) -> Packet:
    """Each of *layers* the payload of the one before; no bytes if there are none."""
    for below, above in pairwise(layers):
        below.lastlayer().add_payload(above)
    return layers[0] if layers else conf.raw_layer(b"")


def replaced(
    pkt: Packet, layer: Packet | None, contents: Sequence[Packet], *, keep: bool
) -> Packet:
    """A copy of *pkt* with *contents* after *layer*, or instead of it if not to *keep*.

    Lengths and checksums below it are left to be computed again.
    """
    stack: list[Packet] = []
    lower: Packet | None = pkt
    while layer is not None and lower is not None and (keep or lower is not layer):
        bare = lower.copy()
        bare.remove_payload()
        for name in ("len", "plen", "chksum"):
            if name in bare.fields:
                bare.delfieldval(name)
        stack.append(bare)
        lower = None if lower is layer else lower.payload
    return stacked([*stack, *contents])
