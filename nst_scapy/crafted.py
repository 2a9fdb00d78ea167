# SPDX-License-Identifier: GPL-2.0-or-later
"""What a layer made by hand, or by ``fuzz``, wants in the header of the record to be sealed."""

from __future__ import annotations

from typing import Any

from scapy.packet import Packet
from scapy.volatile import VolatileValue

from .header import Header, make_nonce
from .layer import NST, NSTPlain

_FORCIBLE = frozenset(field.name for field in NSTPlain.fields_desc)


def crafted_layer(pkt: Packet) -> Packet | None:
    """The layer of *pkt* that says what is to be in the header."""
    plain: Packet | None = pkt.getlayer(NSTPlain)
    if plain is not None:
        return plain
    record: Packet | None = pkt.getlayer(NST)
    return record if record is not None and not record.original else None


def _fields(values: dict[str, Any]) -> dict[str, int | bytes]:
    """Header fields that are to go out as they are."""
    return {
        name: bytes(value) if name == "token" else int(value)
        for name, value in values.items()
        if value is not None and name in _FORCIBLE
    }


def forced_fields(layer: Packet) -> dict[str, int | bytes]:
    """What the layer wants in the header: what is set, and what ``fuzz`` has drawn.

    A token that was merely drawn is none to insist on: the record is to verify.
    """
    if isinstance(layer, NSTPlain):
        return _fields({field.name: layer.getfieldval(field.name) for field in layer.fields_desc})
    drawn = {
        name: value._fix()
        for name, value in layer.default_fields.items()
        if isinstance(value, VolatileValue) and name != "token"
    }
    fields = {
        name: value._fix() if isinstance(value, VolatileValue) else value
        for name, value in layer.fields.items()
    }
    return _fields(drawn | fields)


def with_fields(header: Header, forced: dict[str, Any]) -> Header:
    """The header with these fields instead of its own."""
    forced = dict(forced)
    session_id = forced.pop("session_id", header.session_id)
    counter = forced.pop("counter", header.counter)
    return header._replace(nonce=make_nonce(session_id, counter), **forced)
