# SPDX-License-Identifier: GPL-2.0-or-later
"""A bug as a Python script that needs Scapy and nst_scapy and nothing else.

It runs as root on the machine that is to crash: there it makes a key box of its own,
a receiver, and the records, sealed at the time that it runs.
"""

from __future__ import annotations

from typing import Any

from fuzz.triage.export.dossier import Dossier, describe
from fuzz.triage.export.render import rendered
from fuzz.triage.records import Connection, Datagram, Exchange, Piece, Reflection, Sealed, Verbatim
from nst_scapy.header import HEADER_LEN

_SECOND = 1_000_000_000
_NEAR = 3600 * _SECOND
"""A time stamp so near the case's own time is told from it."""


def python_script(dossier: Dossier) -> str | None:
    """The script's text; `None` if the case is more than sockets can do."""
    if any(isinstance(one, Verbatim) for one in dossier.exchanges):
        return None
    return rendered(
        "reproducer.py.j2",
        dossier=dossier,
        exchanges=[_exchange(one, dossier.earliest) for one in dossier.exchanges],
        datagrams=any(isinstance(one, Datagram | Reflection) for one in dossier.exchanges),
        streams=any(isinstance(one, Connection) for one in dossier.exchanges),
        reflections=any(isinstance(one, Reflection) for one in dossier.exchanges),
    )


def _exchange(one: Exchange, earliest: int) -> dict[str, Any]:
    if isinstance(one, Datagram):
        return {"kind": "datagram", "family": one.family, "piece": _piece(one.piece, earliest)}
    if isinstance(one, Connection):
        return {
            "kind": "stream",
            "family": one.family,
            "pieces": [_piece(piece, earliest) for piece in one.pieces],
            "cuts": list(one.cuts),
            "fin": one.fin,
        }
    assert isinstance(one, Reflection)
    return {"kind": "reflect", "family": one.family, "patches": one.patches}


def _piece(piece: Piece, earliest: int) -> dict[str, Any]:
    header = piece.header
    if header is None or header.timestamp == 0:
        return {"words": describe(piece), "data": _literal(_bytes_of(piece)), "header": None}
    values: dict[str, Any] = {
        "words": describe(piece),
        "header": header._replace(token=bytes(16)),
        "timestamp": _timestamp(header.timestamp, earliest),
        "sealed": isinstance(piece, Sealed),
    }
    if isinstance(piece, Sealed):
        return {
            **values,
            "params": piece.params,
            "data": _literal(piece.plaintext),
            "chained": piece.chained,
        }
    return {**values, "data": _literal(piece.data[HEADER_LEN:]), "token": header.token}


def _bytes_of(piece: Piece) -> bytes:
    return b"" if isinstance(piece, Sealed) else piece.data


def _timestamp(stamp: int, earliest: int) -> str:
    """A time stamp as an expression: as far from now as it was from the case's time."""
    apart = stamp - earliest
    if abs(apart) >= _NEAR:
        return str(stamp)
    return (
        f"time.time_ns() {'+' if apart >= 0 else '-'} {abs(apart)}" if apart else "time.time_ns()"
    )


def _literal(data: bytes) -> str:
    """Bytes as an expression that one can read."""
    if len(data) > 8 and len(set(data)) == 1:
        return f"{data[:1]!r} * {len(data)}"
    if len(data) > 32:
        return f'bytes.fromhex("{data.hex()}")'
    return repr(data)
