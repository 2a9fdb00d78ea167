# SPDX-License-Identifier: GPL-2.0-or-later
"""What the two forms of a record share as Scapy layers."""

from __future__ import annotations

import time
from typing import Any

from scapy.fields import FlagValue
from scapy.layers.inet import UDP
from scapy.packet import Packet

from .blank import blank_of
from .header import (
    COUNTER_BITS,
    HEADER,
    HEADER_LEN,
    MAX_COUNTER,
    Flags,
    make_nonce,
)
from .suite import SuiteId

CIPHER_IDS = {int(suite): suite.name for suite in SuiteId}
FLAG_NAMES = [flag.name or "" for flag in Flags]
_LENGTH = slice(6, 8)
_TIMESTAMP = slice(8, 16)
_FLAGS = slice(44, 48)
_DISSECTING = {"_internal", "_underlayer", "_parent", "stop_dissection_after"}
"""What Scapy's dissection gives a constructor besides bytes."""


class _Header(Packet):
    """What the two forms share: the fields of the header, and their computation."""

    def __init__(self, *args: Any, nonce: int | None = None, **fields: Any) -> None:
        """Take a packet's arguments, and ``nonce`` for ``session_id`` and ``counter`` at once."""
        if len(args) == 1 and args[0] and nonce is None and fields.keys() <= _DISSECTING:
            self._dissect_into_blank(bytes(args[0]), **fields)
            return
        if nonce is not None:
            fields.setdefault("session_id", nonce >> COUNTER_BITS)
            fields.setdefault("counter", nonce & MAX_COUNTER)
        super().__init__(*args, **fields)

    def _dissect_into_blank(
        self,
        wire: bytes,
        _internal: int = 0,
        _underlayer: Packet | None = None,
        _parent: Packet | None = None,
        stop_dissection_after: type[Packet] | None = None,
    ) -> None:
        """What the constructor does with bytes and no field's value."""
        blank_of(type(self)).fill(self)
        self.original = wire
        if _internal:
            self.time = 0.0
        self.underlayer, self.parent = _underlayer, _parent
        self.stop_dissection_after = stop_dissection_after
        self.dissect(wire)
        if not _internal:
            self.dissection_done(self)

    def do_dissect(self, s: bytes) -> bytes:
        """Scapy's, field by field, takes most of a dissection's time; this is one step.

        What has no whole header fails there, as ever.
        """
        if len(s) < HEADER_LEN:
            rest: bytes = super().do_dissect(s)
            return rest
        fields = self.fields
        (
            fields["magic"],
            fields["version"],
            fields["cipher_id"],
            fields["transport_len"],
            fields["timestamp"],
            nonce,
            fields["token"],
            fields["kpos"],
            fields["kval"],
            fields["kid"],
            flags,
        ) = HEADER.unpack_from(s)
        fields["session_id"] = nonce >> COUNTER_BITS
        fields["counter"] = nonce & MAX_COUNTER
        fields["flags"] = FlagValue(flags, FLAG_NAMES)
        # A change of what is mutable is noticed by what it was.
        self.raw_packet_cache_fields = {"flags": flags}
        end = HEADER_LEN + self._dissect_body(s)
        self.raw_packet_cache = s[:end]
        self.explicit = 1
        return s[end:]

    def _dissect_body(self, wire: bytes) -> int:
        """Take what follows the header; returns how many bytes that is."""
        return 0

    @property
    def nonce(self) -> int:
        """``session_id`` (upper 48 bits) and ``counter`` (lower 16 bits); ``None`` counts as 0."""
        return make_nonce(int(self.session_id or 0), int(self.counter or 0))

    @nonce.setter
    def nonce(self, value: int) -> None:
        self.session_id = value >> COUNTER_BITS
        self.counter = value & MAX_COUNTER

    def hashret(self) -> bytes:
        """Alike for all records: nothing in them pairs question and answer."""
        return b"NST"

    def answers(self, other: Packet) -> int:
        """Whether *other* is a record of the other direction, as far as the flags tell."""
        if not isinstance(other, _Header):
            return 0
        if self.flags is None or other.flags is None:
            return 1
        mine, theirs = int(self.flags), int(other.flags)
        if mine & Flags.DGRAM and theirs & Flags.DGRAM:
            return 1
        return int((mine ^ theirs) & (Flags.REPLY | Flags.DGRAM) == Flags.REPLY)

    def _command(self, json: bool = False) -> list[tuple[str, Any]]:
        """As Scapy's; but in JSON, bytes are in hex, so that they can be read again."""
        shown: list[tuple[str, Any]] = super()._command(json=json)
        if not json:
            return shown
        values = ((name, self.getfieldval(name), text) for name, text in shown)
        return [
            (name, bytes(value).hex() if isinstance(value, bytes) else text)
            for name, value, text in values
        ]

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Any:
        """A packet with what :meth:`_command` made of the fields."""
        names = {field.name for field in cls.fields_desc}
        if unknown := fields.keys() - names:
            raise ValueError(f"{cls.__name__} has no field {min(unknown)!r}")
        for name in "token", "body":
            if isinstance(fields.get(name), str):
                fields[name] = bytes.fromhex(fields[name])
        return cls(**fields)

    def _computed_len(self, payload: bytes) -> int:
        raise NotImplementedError

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        """Fill in ``transport_len``, ``timestamp`` and ``flags`` where they are ``None``."""
        header = bytearray(pkt)
        if self.transport_len is None:
            header[_LENGTH] = min(self._computed_len(pay), 0xFFFF).to_bytes(2)
        if self.timestamp is None:
            header[_TIMESTAMP] = time.time_ns().to_bytes(8)
        if self.flags is None:
            header[_FLAGS] = int(self._default_flags()).to_bytes(4)
        return bytes(header) + pay

    def _default_flags(self) -> Flags:
        return Flags.DGRAM if isinstance(self.underlayer, UDP) else Flags(0)

    def mysummary(self) -> str:
        """Suite, kid, counter and length, as in ``AES_GCM kid 3 seq 17 len 1400``."""
        suite = CIPHER_IDS.get(self.cipher_id, f"cipher {self.cipher_id}")
        flags = f" {self.flags}" if self.flags else ""
        length = self.transport_len
        if length is None:
            length = self._computed_len(bytes(self.payload))
        return f"{self.name} {suite} kid {self.kid} seq {self.counter} len {length}{flags}"


HeaderLayer = _Header
"""By its other name: Scapy lists as a layer whatever begins with no underscore."""
