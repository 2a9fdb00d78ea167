# SPDX-License-Identifier: GPL-2.0-or-later
"""A bug as a C program, where no key is needed: what is sent need not verify.

Then a kernel developer needs nothing but a compiler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fuzz.triage.export.dossier import Dossier, describe
from fuzz.triage.export.render import rendered
from fuzz.triage.records import Connection, Datagram, Exchange, Piece, Raw, Reflection, Verbatim
from nst_scapy.header import MAGIC

_NEAR_NS = 3600 * 10**9


def c_program(dossier: Dossier) -> str | None:
    """The program's text; `None` if it would need keys, or the module's own records."""
    if not _keyless(dossier.exchanges):
        return None
    sends = [_send(one, dossier.earliest) for one in dossier.exchanges]
    return rendered("reproducer.c.j2", dossier=dossier, sends=sends)


def _keyless(exchanges: Sequence[Exchange]) -> bool:
    if not exchanges or any(isinstance(one, Reflection | Verbatim) for one in exchanges):
        return False
    return all(isinstance(piece, Raw) for one in exchanges for piece in _pieces(one))


def _pieces(one: Exchange) -> Sequence[Piece]:
    if isinstance(one, Connection):
        return one.pieces
    return (one.piece,) if isinstance(one, Datagram) else ()


def _send(one: Exchange, earliest: int) -> dict[str, Any]:
    assert not isinstance(one, Verbatim)
    data, stamps, words = b"", [], []
    for piece in _pieces(one):
        assert isinstance(piece, Raw)
        header = piece.header
        words.append(describe(piece))
        # A header's time stamp is told from the present, as it was from the case's.
        if header is not None and header.magic == MAGIC:
            apart = header.timestamp - earliest
            if abs(apart) < _NEAR_NS:
                stamps.append((len(data) + 8, apart))
        data += piece.data
    return {
        "stream": isinstance(one, Connection),
        "family": one.family,
        "bytes": [data[at : at + 12] for at in range(0, len(data), 12)],
        "stamps": stamps,
        "words": words,
        "cuts": [c for c in one.cuts if 0 < c < len(data)] if isinstance(one, Connection) else [],
        "fin": isinstance(one, Connection) and one.fin,
        "length": len(data),
    }
