# SPDX-License-Identifier: GPL-2.0-or-later
"""Scapy fields that show a record's header to people."""

from __future__ import annotations

from datetime import UTC, datetime

from scapy.fields import Field, LongField
from scapy.packet import Packet
from scapy.volatile import RandNum

from .header import MAX_SESSION_ID


class SessionIdField(Field[int, int]):
    """The upper 48 bits of the nonce."""

    _LEN = 6

    def __init__(self, name: str, default: int | None) -> None:
        Field.__init__(self, name, default, "6s")

    def addfield(self, pkt: Packet, s: bytes, val: int | None) -> bytes:
        """Append the six bytes."""
        return s + self.i2m(pkt, val).to_bytes(self._LEN)

    def getfield(self, pkt: Packet, s: bytes) -> tuple[bytes, int]:
        """Take six bytes off *s*."""
        return s[self._LEN :], int.from_bytes(s[: self._LEN])

    def i2repr(self, pkt: Packet | None, x: int) -> str:
        """Twelve hexadecimal digits, as in the records' summaries elsewhere."""
        return f"0x{x:012x}" if isinstance(x, int) else repr(x)

    def randval(self) -> RandNum:
        """Any value that fits."""
        return RandNum(0, MAX_SESSION_ID)


class TimestampField(LongField):
    """Nanoseconds, shown with the date that they make."""

    def i2repr(self, pkt: Packet | None, x: int | None) -> str:
        """The number, and the time in UTC if it is one that has a date."""
        if not isinstance(x, int):
            return repr(x)
        seconds, fraction = divmod(x, 10**9)
        try:
            date = datetime.fromtimestamp(seconds, UTC)
        except (OverflowError, ValueError):
            return str(x)
        return f"{x} ({date:%Y-%m-%d %H:%M:%S}.{fraction:09})"
