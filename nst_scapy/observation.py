# SPDX-License-Identifier: GPL-2.0-or-later
"""What an observer says of one record."""

from __future__ import annotations

from typing import Any, NamedTuple

from .header import Header, Transport
from .inet import Endpoint
from .verdict import UNVERIFIED, Verdict

_NO_HEADER = dict.fromkeys((*Header._fields, "session_id", "counter"))


class Observation(NamedTuple):
    """One record seen in a capture.

    Attributes:
        frame: 1-based number of the frame in which the verdict was reached: as a rule
            the one that completed the record.
        time: capture time of that frame, ns since 1970-01-01 UTC.
        src, dst: sender and receiver.
        header: ``None`` if 48 bytes were never there.
        verdict: ``None`` for ``unverified``.
        plaintext: authentic if the verdict is ``OK``; decrypted but not authenticated
            if it is ``None``; else ``None``.
        note: why there is no verdict, else empty.
    """

    frame: int
    time: int
    transport: Transport
    src: Endpoint
    dst: Endpoint
    header: Header | None
    verdict: Verdict | None
    plaintext: bytes | None
    note: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON: bytes in hex, ``plaintext`` only if it is authentic."""
        authentic = self.verdict is Verdict.OK
        text = None if self.plaintext is None else self.plaintext.hex()
        return {
            "frame": self.frame,
            "time": self.time,
            "transport": self.transport.value,
            "src": str(self.src),
            "dst": str(self.dst),
            **(_NO_HEADER if self.header is None else self.header.as_dict()),
            "verdict": UNVERIFIED if self.verdict is None else self.verdict.value,
            "plaintext": text if authentic else None,
            "unverified_plaintext": None if authentic else text,
            "note": self.note,
        }
